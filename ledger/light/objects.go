package light

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"sync"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/internal/pause"
	"walrus/ledger"
	"walrus/ledger/merkle"
)

// Owned lists all objects of an account.
type Owned struct {
	Account  ledger.Account
	Storages []OwnedStorage // ascending by ID, as are Blobs; expired ones included
	Blobs    []OwnedBlob
}

// OwnedStorage is a storage resource with its ID.
type OwnedStorage struct {
	ID ledger.ObjectID
	ledger.Storage
}

// OwnedBlob is a blob's record with its ID.
type OwnedBlob struct {
	ID ledger.ObjectID
	ledger.Blob
}

const (
	// objectTries bounds the rounds of a listing in a row after which no more objects are proven than before.
	objectTries = 5
	// objectReads is the number of reads that a listing has under way at a time.
	objectReads = 4
	// objectBusy bounds how often a busy node is asked again, after busyPause each time.
	objectBusy = 40
)

// Objects lists all objects that an account owns, at one height. Each record is proven, and the account's counts prove
// that none is missing. If the ledger is stalled, the list comes with a *Stall.
//
// A node keeps the states of some heights only. When it no longer has the one that is being listed, the listing goes on
// at a newer height: the top of that state's tree tells which of the proven records are unchanged, and only the others
// are read again. So it succeeds however many objects there are and whatever changes meanwhile. If the changes come
// faster than they can be read, it gives ErrChanging.
func (c *Client) Objects(ctx context.Context, owner ledger.Address) (*Owned, error) {
	l := &lister{client: c, owner: owner, known: make(map[ledger.ObjectID]held)}
	var failed error
	for best, fruitless := 0, 0; fruitless < objectTries; fruitless++ {
		o, stall := l.open(ctx)
		if o == nil {
			failed = stall
			break
		}
		r := judge(ctx, c, o.node, func(ctx context.Context, _ peer.ID) (*Owned, error) { return l.list(ctx, o) })
		if r.err == nil {
			c.raise(o.answer.Height)
			return r.value, stall
		}
		if failed = r.err; ctx.Err() != nil {
			failed = context.Cause(ctx)
			break
		}
		if errors.Is(failed, ErrPruned) {
			failed = ErrChanging
		}
		if len(l.known) > best {
			best, fruitless = len(l.known), -1
		}
	}
	return nil, fmt.Errorf("list objects of %s: %w", owner, failed)
}

// lister lists an account's objects.
type lister struct {
	client *Client
	owner  ledger.Address
	depth  uint8 // of the tops of the tree; constant once objects are known

	mu    sync.Mutex
	known map[ledger.ObjectID]held // proven at the height listed now, or not compared with it yet; guarded by mu
}

// held is the value of an object with the subtree that its proof went through.
type held struct {
	blob    bool
	value   []byte
	subtree merkle.Hash
}

// opening is the height at which a node lists, with the account.
type opening struct {
	node   peer.ID
	answer *readAnswer
}

// open reads the account at a new height, and forgets the objects that have changed since they were proven.
func (l *lister) open(ctx context.Context) (*opening, error) {
	c := l.client
	at := At{Height: c.lowest()}
	if len(l.known) > 0 {
		at.Top = l.depth
	}
	var tops sync.Map // by node: its subtrees
	o, err := first(ctx, c, func(ctx context.Context, id peer.ID) (*opening, error) {
		a, err := readAt(ctx, c, id, at, [][]byte{ledger.KeyAccount(l.owner)})
		if err != nil {
			return nil, err
		}
		if at.Top > 0 {
			subtrees, err := merkle.ReadTop(merkle.Hash(a.Block.AppHash), a.Top, int(at.Top))
			if err != nil {
				return nil, wrong("the state at height %d: %w", a.Height, err)
			}
			tops.Store(id, subtrees)
		}
		return &opening{id, a}, c.fresh(id, a.Block, a.Trouble)
	})
	if o == nil {
		return nil, err
	}
	if top, ok := tops.Load(o.node); ok {
		subtrees, _ := top.(map[merkle.Hash]bool)
		for id, h := range l.known {
			if !subtrees[h.subtree] {
				delete(l.known, id)
			}
		}
	}
	return o, err
}

// list lists the account at the height of o, as its node names the objects, and reads those that are not known.
// ErrPruned: the node no longer has that height.
func (l *lister) list(ctx context.Context, o *opening) (*Owned, error) {
	v := &View{values: map[string][]byte{string(ledger.KeyAccount(l.owner)): o.answer.Items[0].Value}}
	account, err := ledger.ReadAccount(v, l.owner)
	if err != nil {
		return nil, err
	}
	count := int(account.Storages) + int(account.Blobs)
	if len(l.known) == 0 {
		l.depth = uint8(min(1+bits.Len(uint(count)), merkle.MaxTopDepth))
	}
	names, err := l.names(ctx, o, count)
	if err != nil {
		return nil, err
	}
	var missing []Object
	for _, name := range names {
		if h, ok := l.known[name.ID]; !ok || h.blob != name.Blob {
			missing = append(missing, name)
		}
	}
	if err := l.read(ctx, o, missing); err != nil {
		return nil, err
	}
	owned := &Owned{Account: account}
	for _, name := range names {
		if err := owned.add(l.owner, name, l.known[name.ID].value); err != nil {
			return nil, err
		}
	}
	if len(owned.Storages) != int(account.Storages) || len(owned.Blobs) != int(account.Blobs) {
		return nil, wrong("objects are withheld: %s owns %d storage resources and %d blobs, but the node shows %d and %d",
			l.owner, account.Storages, account.Blobs, len(owned.Storages), len(owned.Blobs))
	}
	return owned, nil
}

// names asks for the names of all objects, of which there are count.
func (l *lister) names(ctx context.Context, o *opening, count int) (names []Object, err error) {
	for after := (ledger.ObjectID{}); ; {
		var page objectsAnswer
		request := &objectsRequest{Listing{Account: l.owner, Height: o.answer.Height}, after, MaxObjects}
		if err := l.patient(ctx, func() error {
			return l.client.calls.ask(ctx, o.node, objectsProtocol, request, &page)
		}); err != nil {
			return nil, err
		}
		for _, name := range page.Objects {
			if string(name.ID[:]) <= string(after[:]) {
				return nil, wrong("objects of %s are not in order", l.owner)
			}
			after = name.ID
		}
		if names = append(names, page.Objects...); len(names) > count {
			return nil, wrong("objects are made up: %s owns %d, but the node names more", l.owner, count)
		}
		if len(page.Objects) < MaxObjects {
			return names, nil
		}
	}
}

// patient calls ask until the node is not busy.
func (l *lister) patient(ctx context.Context, ask func() error) error {
	for range objectBusy {
		if err := ask(); !errors.Is(err, ErrBusy) || !pause.For(ctx, busyPause) {
			return err
		}
	}
	return ask()
}

// read reads objects at exactly the height of o, several parts at a time. What was read stays known after an error.
func (l *lister) read(ctx context.Context, o *opening, names []Object) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	parts := make(chan []Object)
	var all sync.WaitGroup
	for range objectReads {
		all.Go(func() {
			for part := range parts {
				if err := l.patient(ctx, func() error { return l.readPart(ctx, o, part) }); err != nil {
					cancel(err) // the first one counts
				}
			}
		})
	}
	for len(names) > 0 && ctx.Err() == nil {
		part := names[:min(len(names), MaxKeys)]
		names = names[len(part):]
		parts <- part
	}
	close(parts)
	all.Wait()
	return context.Cause(ctx)
}

func (l *lister) readPart(ctx context.Context, o *opening, part []Object) error {
	keys := make([][]byte, len(part))
	for i, name := range part {
		keys[i] = name.key()
	}
	a, err := readAt(ctx, l.client, o.node, At{Height: o.answer.Height, Exact: true}, keys)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, name := range part {
		value := a.Items[i].Value
		if value == nil {
			return wrong("objects are made up: it names %s, and the state at height %d has none", name.ID, a.Height)
		}
		l.known[name.ID] = held{name.Blob, value, a.Items[i].Proof.Subtree(keys[i], value, int(l.depth))}
	}
	return nil
}

// add adds an object, which must be the owner's.
func (o *Owned) add(owner ledger.Address, name Object, value []byte) error {
	if name.Blob {
		b, err := ledger.UnmarshalBlob(value)
		if err == nil && b.Owner != owner {
			err = wrong("objects are made up: blob record %s belongs to %s, not to %s", name.ID, b.Owner, owner)
		}
		o.Blobs = append(o.Blobs, OwnedBlob{name.ID, b})
		return err
	}
	s, err := ledger.UnmarshalStorage(value)
	if err == nil && s.Owner != owner {
		err = wrong("objects are made up: storage resource %s belongs to %s, not to %s", name.ID, s.Owner, owner)
	}
	o.Storages = append(o.Storages, OwnedStorage{name.ID, s})
	return err
}
