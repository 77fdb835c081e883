package light

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/ledger"
	"walrus/ledger/merkle"
	"walrus/shards"
)

// View holds the proven values of some keys of the state, all at one height. It is a ledger.Reader for these keys;
// any other key is an error. It is immutable.
type View struct {
	Height uint64
	Time   time.Time // time of the next block, whose header has the state's root
	values map[string][]byte
}

// Get returns the value of one of the view's keys; nil if it is absent.
func (v *View) Get(key []byte) ([]byte, error) {
	value, ok := v.values[string(key)]
	if !ok {
		return nil, fmt.Errorf("key %x was not read from the ledger", key)
	}
	return value, nil
}

// Get reads keys of the state, at most MaxKeys, all at one height. The height is at least atLeast, and never below
// one that this client has seen. The state is not older than the chain's heartbeat allows; if the ledger is
// stalled, it is the last state, and a *Stall comes with it.
func (c *Client) Get(ctx context.Context, atLeast uint64, keys ...[]byte) (*View, error) {
	return c.get(ctx, c.cfg.Hasty, atLeast, keys)
}

// Peek is Get for callers that can do without the newest state: it does not wait for the next block of a ledger that is
// stalled or about to resume.
func (c *Client) Peek(ctx context.Context, keys ...[]byte) (*View, error) {
	return c.get(ctx, true, 0, keys)
}

func (c *Client) get(ctx context.Context, hasty bool, atLeast uint64, keys [][]byte) (*View, error) {
	if len(keys) == 0 || len(keys) > MaxKeys {
		return nil, fmt.Errorf("read the ledger: %d keys at once: must be 1 to %d", len(keys), MaxKeys)
	}
	atLeast = max(atLeast, c.lowest())
	v, err := firstOf(ctx, c, hasty, func(ctx context.Context, id peer.ID) (*View, error) {
		return c.readFrom(ctx, id, At{Height: atLeast}, keys)
	})
	if v == nil {
		return nil, fmt.Errorf("read the ledger: %w", err)
	}
	c.raise(v.Height)
	return v, err
}

// readFrom reads keys from one node and verifies the whole answer.
func (c *Client) readFrom(ctx context.Context, id peer.ID, at At, keys [][]byte) (*View, error) {
	answer, err := readAt(ctx, c, id, at, keys)
	if err != nil {
		return nil, err
	}
	v := &View{Height: answer.Height, Time: answer.Block.Time, values: make(map[string][]byte, len(keys))}
	for i, key := range keys {
		v.values[string(key)] = answer.Items[i].Value
	}
	return v, c.fresh(id, answer.Block, answer.Trouble)
}

// readAt reads keys from one node and verifies all of the answer but its top, and how new it is.
func readAt(ctx context.Context, c *Client, id peer.ID, at At, keys [][]byte) (*readAnswer, error) {
	var answer readAnswer
	if err := c.calls.ask(ctx, id, readProtocol, &readRequest{at, keys}, &answer); err != nil {
		return nil, err
	}
	switch b := answer.Block; {
	case len(answer.Items) != len(keys):
		return nil, wrong("it gave %d values for %d keys", len(answer.Items), len(keys))
	case answer.Height < at.Height:
		return nil, wrong("it gave an old state: at height %d instead of at least %d", answer.Height, at.Height)
	case at.Exact && answer.Height > at.Height:
		return nil, wrong("it gave another state: at height %d instead of %d", answer.Height, at.Height)
	case uint64(b.Height) != answer.Height+1:
		return nil, wrong("it proved the state at height %d with block %d instead of the next block", answer.Height, b.Height)
	}
	if err := c.verify(ctx, id, answer.Block); err != nil {
		return nil, err
	}
	if len(answer.Block.AppHash) != len(merkle.Hash{}) {
		return nil, wrong("block %d has no root of the state", answer.Block.Height)
	}
	root := merkle.Hash(answer.Block.AppHash)
	for i, key := range keys {
		if err := merkle.Verify(root, key, answer.Items[i].Value, answer.Items[i].Proof); err != nil {
			return nil, wrong("the value of key %x at height %d: %w", key, answer.Height, err)
		}
	}
	return &answer, nil
}

// read reads the value of one key. A value may come with a *Stall.
func read[T any](ctx context.Context, c *Client, key []byte, parse func(ledger.Reader) (T, error)) (T, error) {
	var none T
	v, stall := c.Get(ctx, 0, key)
	if v == nil {
		return none, stall
	}
	value, err := parse(v)
	if err != nil {
		return none, err
	}
	return value, stall
}

// Account reads an account; an account that was never paid is zero. If the ledger is stalled, this method and the
// methods below return the last value and a *Stall.
func (c *Client) Account(ctx context.Context, a ledger.Address) (ledger.Account, error) {
	return read(ctx, c, ledger.KeyAccount(a),
		func(r ledger.Reader) (ledger.Account, error) { return ledger.ReadAccount(r, a) })
}

// Blob reads a blob's record, or fails with ledger.ErrNotFound.
func (c *Client) Blob(ctx context.Context, id ledger.ObjectID) (ledger.Blob, error) {
	return read(ctx, c, ledger.KeyBlob(id), func(r ledger.Reader) (ledger.Blob, error) { return ledger.ReadBlob(r, id) })
}

// BlobInfo reads the ledger's information on a blob ID; it is zero if the blob was never registered.
func (c *Client) BlobInfo(ctx context.Context, id shards.BlobID) (ledger.BlobInfo, error) {
	return read(ctx, c, ledger.KeyBlobInfo(id),
		func(r ledger.Reader) (ledger.BlobInfo, error) { return ledger.ReadBlobInfo(r, id) })
}

// Epoch reads the current epoch.
func (c *Client) Epoch(ctx context.Context) (ledger.EpochInfo, error) {
	return read(ctx, c, ledger.KeyEpoch(), ledger.ReadEpoch)
}

// Params reads the network's parameters.
func (c *Client) Params(ctx context.Context) (ledger.Params, error) {
	return read(ctx, c, ledger.KeyParams(), ledger.ReadParams)
}

// answered reports whether a value came with err: it is nil, or only a stall.
func answered(err error) bool { return err == nil || errors.Is(err, ErrStalled) }
