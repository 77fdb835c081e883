package light

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/internal/pause"
	"walrus/ledger"
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
	// objectTries limits the attempts to list an account that changes during the listing.
	objectTries = 5
	// mismatches limits the lists of a node that do not match an unchanged account. One such list may be honest, if
	// one object came and another went meanwhile, so the node gets a second chance after a pause.
	mismatches    = 2
	mismatchPause = 500 * time.Millisecond
)

// errMismatch reports a list that contradicts the account's counts.
var errMismatch = errors.New("objects are withheld or made up")

// Objects lists all objects that an account owns. Each record is proven, and the account's counts prove that none is
// missing. An account that changes all the time gives ErrChanging. If the ledger is stalled, the list comes with a
// *Stall.
func (c *Client) Objects(ctx context.Context, owner ledger.Address) (*Owned, error) {
	owned, err := first(ctx, c, func(ctx context.Context, id peer.ID) (*Owned, error) {
		return (&lister{c, id, owner}).list(ctx)
	})
	if owned == nil {
		return nil, fmt.Errorf("list objects of %s: %w", owner, err)
	}
	return owned, err
}

// lister lists an account's objects as one node names them.
type lister struct {
	client *Client
	node   peer.ID
	owner  ledger.Address
}

// list makes a few attempts to list the objects.
func (l *lister) list(ctx context.Context) (*Owned, error) {
	wrongs := 0
	for range objectTries {
		owned, err := l.once(ctx)
		switch {
		case err == nil || owned != nil:
			return owned, err
		case errors.Is(err, ErrChanging):
			continue
		case errors.Is(err, errMismatch):
			if wrongs++; wrongs == mismatches {
				return nil, falsehood{err}
			}
			if !pause.For(ctx, mismatchPause) {
				return nil, context.Cause(ctx)
			}
		default:
			return nil, err
		}
	}
	return nil, ErrChanging
}

// once reads the account, the names and the records. A list comes with nil or a *Stall.
func (l *lister) once(ctx context.Context) (*Owned, error) {
	c := l.client
	v, stall := c.readFrom(ctx, l.node, c.lowest(), [][]byte{ledger.KeyAccount(l.owner)})
	if v == nil {
		return nil, stall
	}
	account, err := ledger.ReadAccount(v, l.owner)
	if err != nil {
		return nil, err
	}
	owned := &Owned{Account: account}
	count := int(account.Storages) + int(account.Blobs)
	for found, after := 0, (ledger.ObjectID{}); ; {
		var page objectsAnswer
		if err := c.calls.ask(ctx, l.node, objectsProtocol, &objectsRequest{l.owner, after, MaxObjects}, &page); err != nil {
			return nil, err
		}
		for _, o := range page.Objects {
			if string(o.ID[:]) <= string(after[:]) {
				return nil, wrong("objects of %s are not in order", l.owner)
			}
			after = o.ID
		}
		if found += len(page.Objects); found > count {
			return nil, l.mismatch(ctx, account, "but the node names more")
		}
		if err := l.records(ctx, v.Height, page.Objects, owned); err != nil {
			return nil, err
		}
		if len(page.Objects) < MaxObjects {
			break
		}
	}
	if len(owned.Storages) != int(account.Storages) || len(owned.Blobs) != int(account.Blobs) {
		return nil, l.mismatch(ctx, account, fmt.Sprintf("but the node shows %d and %d",
			len(owned.Storages), len(owned.Blobs)))
	}
	return owned, stall
}

// mismatch returns the error for a list that does not match the account; ErrChanging if the account has changed.
func (l *lister) mismatch(ctx context.Context, before ledger.Account, what string) error {
	v, err := l.client.readFrom(ctx, l.node, l.client.lowest(), [][]byte{ledger.KeyAccount(l.owner)})
	if !answered(err) {
		return err
	}
	now, err := ledger.ReadAccount(v, l.owner)
	if err != nil {
		return err
	}
	if now != before {
		return ErrChanging
	}
	return fmt.Errorf("%w: %s owns %d storage resources and %d blobs, %s", errMismatch, l.owner,
		now.Storages, now.Blobs, what)
}

// records reads the named objects and adds the owner's. The account must be unchanged.
func (l *lister) records(ctx context.Context, height uint64, names []Object, owned *Owned) error {
	for len(names) > 0 {
		some := names[:min(len(names), MaxKeys-1)]
		names = names[len(some):]
		keys := [][]byte{ledger.KeyAccount(l.owner)}
		for _, o := range some {
			keys = append(keys, o.key())
		}
		v, err := l.client.readFrom(ctx, l.node, height, keys)
		if !answered(err) {
			return err
		}
		account, err := ledger.ReadAccount(v, l.owner)
		if err != nil {
			return err
		}
		if account != owned.Account {
			return ErrChanging
		}
		for _, o := range some {
			if err := owned.add(v, l.owner, o); err != nil {
				return err
			}
		}
	}
	return nil
}

// add adds a record from v if it belongs to the owner.
func (o *Owned) add(v *View, owner ledger.Address, name Object) error {
	if name.Blob {
		b, err := ledger.ReadBlob(v, name.ID)
		if err == nil && b.Owner == owner {
			o.Blobs = append(o.Blobs, OwnedBlob{name.ID, b})
		}
		return ignoreAbsent(err)
	}
	s, err := ledger.ReadStorage(v, name.ID)
	if err == nil && s.Owner == owner {
		o.Storages = append(o.Storages, OwnedStorage{name.ID, s})
	}
	return ignoreAbsent(err)
}

// ignoreAbsent drops the error for an absent record: the counts reveal it.
func ignoreAbsent(err error) error {
	if errors.Is(err, ledger.ErrNotFound) {
		return nil
	}
	return err
}
