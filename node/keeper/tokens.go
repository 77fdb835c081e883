package keeper

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/certs"
	"walrus/ledger"
	"walrus/p2p"
	"walrus/shards"
)

const (
	// maxTokenTime bounds how far ahead a token may end.
	maxTokenTime = time.Hour
	// clockSkew is the difference allowed between a client's clock and ours.
	clockSkew = 2 * time.Minute
	// promiseTime: for this long a peer counts as a payer whose account has not registered yet. Blocks take seconds.
	promiseTime = time.Minute
	// maxRegistrations bounds the newest registrations remembered, 250 bytes each.
	maxRegistrations = 4096
)

// tokens decides who may upload: a peer with a token of the account that owns a live record of the blob, or
// registered it lately.
type tokens struct {
	network   certs.NetworkID
	chain     chain
	params    shards.Params
	recent    *registrations
	recognize func(id peer.ID, account p2p.Account, until time.Time)
}

// read decodes the token of a request and checks what needs no ledger. ErrDenied.
func (t *tokens) read(from peer.ID, id shards.BlobID, raw []byte) (*ledger.UploadToken, error) {
	if len(raw) == 0 {
		return nil, fmt.Errorf("%w: the request has none", p2p.ErrDenied)
	}
	token, err := ledger.UnmarshalUploadToken(t.network, id, from, raw)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", p2p.ErrDenied, err)
	}
	now := time.Now()
	switch end := time.Unix(int64(min(token.Expiry, 1<<40)), 0); {
	case now.Add(-clockSkew).After(end):
		return nil, fmt.Errorf("%w: it ended %v ago by this node's clock: get a new one, or set your clock", p2p.ErrDenied,
			now.Sub(end).Round(time.Second))
	case now.Add(maxTokenTime + clockSkew).Before(end):
		return nil, fmt.Errorf("%w: it ends in %v by this node's clock, at most %v: get a shorter one, or set your clock",
			p2p.ErrDenied, end.Sub(now).Round(time.Second), maxTokenTime)
	}
	if err := token.Verify(); err != nil {
		return nil, fmt.Errorf("%w: for this network, blob and peer it is %w", p2p.ErrDenied, err)
	}
	return token, nil
}

// record returns the live record that lets a token's account upload, and the epoch at whose start storage of the blob
// ends. ErrDenied if the record that the token names does not; ErrInvalid if no record does; ErrNotRegistered or
// ErrUnavailable if a later block may bring one.
func (t *tokens) record(token *ledger.UploadToken) (object ledger.ObjectID, end uint32, err error) {
	state, _ := t.chain.State()
	info, epoch, err := t.chain.lookUp(token.Blob)
	if err != nil {
		return object, 0, err
	}
	if t.chain.isInvalid(token.Blob, &info) {
		return object, 0, errInvalid
	}
	account := token.Account.Address()
	made := t.recent.find(token.Blob, account) // it may be given away before the last nodes have their pairs
	for _, object := range []ledger.ObjectID{token.Object, made} {
		if object == (ledger.ObjectID{}) {
			continue
		}
		b, lost := ledger.ReadBlob(state, object)
		switch {
		case errors.Is(lost, ledger.ErrNotFound):
			continue
		case lost != nil:
			return object, 0, unreadable(lost)
		case b.BlobID == token.Blob && (b.Owner == account || object == made) && b.End > epoch:
			t.recognize(token.Peer, account, time.Unix(int64(token.Expiry), 0))
			return object, max(b.End, info.RegisteredUntil(epoch)), nil
		case object == token.Object:
			err = fmt.Errorf("%w: account %s owns no live record %s of this blob", p2p.ErrDenied, account, object)
		}
	}
	if err == nil {
		err = t.chain.notRegistered(epoch)
	}
	return object, 0, err
}

// promise checks that a token's account, which has not registered the blob yet, can pay for that. ErrNotRegistered; it
// may have WAL a block later. ErrUnavailable if this node has not caught up.
func (t *tokens) promise(token *ledger.UploadToken, size uint64) error {
	state, _ := t.chain.State()
	params, err := ledger.ReadParams(state)
	if err != nil {
		return unreadable(err)
	}
	address := token.Account.Address()
	account, err := ledger.ReadAccount(state, address)
	if err != nil {
		return unreadable(err)
	}
	cost, err := params.WriteCost(uint64(t.params.EncodedSize(size)))
	if err == nil {
		cost, err = cost.Add(params.FeeTx)
	}
	switch {
	case err == nil && account.Balance >= cost:
	case !t.chain.caughtUp():
		return t.chain.notRegistered(0)
	default:
		return fmt.Errorf("%w, and account %s cannot pay for that", p2p.ErrNotRegistered, address)
	}
	t.recognize(token.Peer, address, time.Now().Add(promiseTime))
	return nil
}

// registrations remembers the newest records by blob and owner: a client may upload before it knows its record's ID.
type registrations struct {
	mu      sync.Mutex
	objects map[registered]ledger.ObjectID // guarded by mu, as are the next two
	ring    []registered
	next    int
}

// registered names a blob and the account that registered it.
type registered struct {
	blob  shards.BlobID
	owner ledger.Address
}

func newRegistrations() *registrations {
	return &registrations{objects: map[registered]ledger.ObjectID{}}
}

// note remembers the registrations among the events of a block.
func (r *registrations) note(events []ledger.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range events {
		if e.Kind != ledger.EventRegistered {
			continue
		}
		key := registered{e.Blob, e.From}
		_, known := r.objects[key]
		r.objects[key] = e.Object
		switch {
		case known:
		case len(r.ring) < maxRegistrations:
			r.ring = append(r.ring, key)
		default:
			delete(r.objects, r.ring[r.next])
			r.ring[r.next] = key
			r.next = (r.next + 1) % maxRegistrations
		}
	}
}

// find returns the newest record that an account registered of a blob; zero if it is not remembered.
func (r *registrations) find(id shards.BlobID, owner ledger.Address) ledger.ObjectID {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.objects[registered{id, owner}]
}
