// Package ledgertest is a ledger for tests: the real rules in memory, a block for every transaction, and no consensus,
// so it is fast and works in virtual time. Tests can delay or halt it for nodes, clients and payers. Start with Chain.
package ledgertest

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"walrus/certs"
	"walrus/internal/pause"
	"walrus/ledger"
	"walrus/ledger/machine"
	"walrus/ledger/merkle"
	"walrus/shards"
)

// Chain is the ledger of one network. It is safe for concurrent use.
type Chain struct {
	network    certs.NetworkID // constant, as the next two
	committees *ledger.Committees
	params     ledger.Params

	submitting sync.Mutex // serializes transactions

	mu      sync.Mutex // guards the rest
	blocks  []*Block   // from height 1; never empty
	changed chan struct{}
	delay   time.Duration
	halted  error
	pruned  uint64 // events below this height are forgotten
}

// Block is the state after a height, with the events of the block. It is immutable.
type Block struct {
	Height uint64
	Time   int64 // Unix nanoseconds
	Events []ledger.Event
	values map[string][]byte
	tree   *merkle.Tree
}

// Get implements ledger.Reader.
func (b *Block) Get(key []byte) ([]byte, error) { return b.values[string(key)], nil }

// New makes the ledger that begins with g.
func New(g *ledger.Genesis) (*Chain, error) {
	committees, err := g.Committees()
	if err != nil {
		return nil, err
	}
	changes, tree, err := machine.Genesis(g)
	if err != nil {
		return nil, err
	}
	first := &Block{Height: 1, Time: g.Time.UnixNano(), values: map[string][]byte{}, tree: tree}
	for _, c := range changes {
		first.values[string(c.Key)] = c.Value
	}
	return &Chain{network: g.NetworkID(), committees: committees, params: g.Params(), blocks: []*Block{first},
		changed: make(chan struct{})}, nil
}

// Head returns the newest state.
func (c *Chain) Head() *Block {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.blocks[len(c.blocks)-1]
}

// Changed returns a channel that is closed at the next block, or when the ledger halts or continues. Call it before the
// action that may cause the change.
func (c *Chain) Changed() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.changed
}

// Delay makes every later transaction take d to be committed.
func (c *Chain) Delay(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.delay = d
}

// Halt stalls the ledger, which then returns err to readers; nil lets it continue.
func (c *Chain) Halt(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.halted = err
	c.wake()
}

// Prune drops all events so far.
func (c *Chain) Prune() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pruned = c.blocks[len(c.blocks)-1].Height + 1
}

// wake announces a change. The caller holds mu.
func (c *Chain) wake() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// Advance lets epochs pass, one after the other.
func (c *Chain) Advance(epochs int) error {
	for range epochs {
		if _, err := c.commit(nil, c.params.EpochDuration); err != nil {
			return err
		}
	}
	return nil
}

// Epoch returns the current epoch.
func (c *Chain) Epoch() uint32 {
	e, err := ledger.ReadEpoch(c.Head())
	if err != nil {
		return 0
	}
	return e.Epoch
}

// commit makes a block at the given time after the last.
func (c *Chain) commit(txs [][]byte, after time.Duration) (*machine.Outcome, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.halted != nil {
		return nil, c.halted
	}
	last := c.blocks[len(c.blocks)-1]
	block := machine.Block{Height: last.Height + 1, Time: last.Time + int64(after), Txs: txs}
	out, err := machine.State{Tree: last.tree, Values: last, Network: c.network, Committees: c.committees}.Apply(block,
		machine.Options{Workers: 1})
	if err != nil {
		return nil, err
	}
	next := &Block{Height: block.Height, Time: block.Time, values: maps.Clone(last.values), tree: out.Tree,
		Events: out.Events}
	for _, ch := range out.Changes {
		if next.values[string(ch.Key)] = ch.Value; ch.Value == nil {
			delete(next.values, string(ch.Key))
		}
	}
	for _, r := range out.Results {
		next.Events = append(next.Events, r.Events...)
	}
	c.blocks = append(c.blocks, next)
	c.wake()
	return out, nil
}

// Submit commits a transaction in its own block.
func (c *Chain) Submit(ctx context.Context, tx *ledger.Tx) (ledger.Receipt, error) {
	c.mu.Lock()
	delay := c.delay
	c.mu.Unlock()
	if delay > 0 && !pause.For(ctx, delay) {
		return ledger.Receipt{}, ctx.Err()
	}
	out, err := c.commit([][]byte{tx.Marshal()}, time.Millisecond)
	if err != nil {
		return ledger.Receipt{}, err
	}
	head := c.Head()
	r := ledger.Receipt{ID: tx.ID(), Height: head.Height, Time: head.Time, Result: out.Results[0]}
	return r, r.Err()
}

// Committees returns the current epoch and the committees, also while the ledger is stalled.
func (c *Chain) Committees(ctx context.Context) (epoch uint32, all certs.Committees, err error) {
	return c.Epoch(), c.committees, ctx.Err()
}

// Read returns the newest state for clients. It knows only the named keys.
func (c *Chain) Read(ctx context.Context, keys ...[]byte) (ledger.Reader, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := errors.Join(ctx.Err(), c.halted); err != nil {
		return nil, err
	}
	last := c.blocks[len(c.blocks)-1]
	part := &Block{Height: last.Height, Time: last.Time, values: map[string][]byte{}}
	for _, k := range keys {
		if v, ok := last.values[string(k)]; ok {
			part.values[string(k)] = v
		}
	}
	return &named{part, keys}, nil
}

// Peek is Read, which never waits in this package.
func (c *Chain) Peek(ctx context.Context, keys ...[]byte) (ledger.Reader, error) {
	return c.Read(ctx, keys...)
}

// CatchUp does nothing: there is one state only.
func (c *Chain) CatchUp(context.Context) {}

// named refuses keys that were not asked for, like a reader that has proofs for some keys only.
type named struct {
	*Block
	keys [][]byte
}

// Get implements ledger.Reader.
func (n *named) Get(key []byte) ([]byte, error) {
	if !slices.ContainsFunc(n.keys, func(k []byte) bool { return bytes.Equal(k, key) }) {
		return nil, fmt.Errorf("key %x was not read", key)
	}
	return n.Block.Get(key)
}

// Offers names the objects that are offered to an account.
func (c *Chain) Offers(ctx context.Context, to ledger.Address, limit int) (ids []ledger.ObjectID, err error) {
	for k, v := range c.Head().values {
		if k[0] != 'O' {
			continue
		}
		o, err := ledger.UnmarshalOffer(v)
		if err != nil {
			return nil, err
		}
		if o.To == to {
			ids = append(ids, ledger.ObjectID([]byte(k[1:])))
		}
	}
	return ids[:min(limit, len(ids))], ctx.Err()
}

// Objects returns everything owner owns.
func (c *Chain) Objects(ctx context.Context,
	owner ledger.Address) (map[ledger.ObjectID]ledger.Storage, map[ledger.ObjectID]ledger.Blob, error) {
	c.mu.Lock()
	halted := c.halted
	c.mu.Unlock()
	if err := errors.Join(ctx.Err(), halted); err != nil {
		return nil, nil, err
	}
	storages, blobs := map[ledger.ObjectID]ledger.Storage{}, map[ledger.ObjectID]ledger.Blob{}
	for k, v := range c.Head().values {
		var id ledger.ObjectID
		copy(id[:], k[1:])
		switch k[0] {
		case 'S':
			s, err := ledger.UnmarshalStorage(v)
			if err != nil {
				return nil, nil, err
			}
			if s.Owner == owner {
				storages[id] = s
			}
		case 'B':
			b, err := ledger.UnmarshalBlob(v)
			if err != nil {
				return nil, nil, err
			}
			if b.Owner == owner {
				blobs[id] = b
			}
		}
	}
	return storages, blobs, nil
}

// Payer runs operations from an account.
type Payer struct {
	chain *Chain
	key   ed25519.PrivateKey
}

// Payer returns a payer for the account of key.
func (c *Chain) Payer(key ed25519.PrivateKey) *Payer { return &Payer{c, key} }

// Address returns the account's address.
func (p *Payer) Address() ledger.Address {
	return ledger.PublicKey(p.key[ed25519.SeedSize:]).Address()
}

// SignToken signs an upload token as the account.
func (p *Payer) SignToken(t *ledger.UploadToken) { t.Sign(p.key) }

// Do signs and submits a transaction. It waits while the ledger is halted.
func (p *Payer) Do(ctx context.Context, build ledger.Build) (ledger.Receipt, error) {
	p.chain.submitting.Lock()
	defer p.chain.submitting.Unlock()
	for {
		p.chain.mu.Lock()
		halted, changed := p.chain.halted, p.chain.changed
		p.chain.mu.Unlock()
		if halted == nil {
			break
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ledger.Receipt{}, ctx.Err()
		}
	}
	head := p.chain.Head()
	account, err := ledger.ReadAccount(head, p.Address())
	if err != nil {
		return ledger.Receipt{}, err
	}
	tx := &ledger.Tx{
		Network: p.chain.network, Nonce: account.Nonce, Expiry: head.Height + 1000,
		Ops: build(func(op int) ledger.ObjectID { return ledger.NewObjectID(p.Address(), account.Nonce, op) }),
	}
	tx.Fee = p.chain.params.MinFee(len(tx.Marshal()), tx.Ops)
	tx.Sign(p.key)
	return p.chain.Submit(ctx, tx)
}

// Register buys storage for the given number of epochs from now and registers a blob in it.
func (p *Payer) Register(ctx context.Context, meta *shards.Metadata, epochs uint32,
	deletable bool) (object ledger.ObjectID, err error) {
	now, size := p.chain.Epoch(), uint64(meta.Params().EncodedSize(meta.Length))
	_, err = p.Do(ctx, func(made func(int) ledger.ObjectID) []ledger.Op {
		object = made(1)
		return []ledger.Op{
			ledger.BuyStorage{Bytes: size, Start: now, End: now + epochs},
			ledger.RegisterBlob{Storage: made(0), BlobID: meta.ID(), Root: meta.BlobRoot(), Size: meta.Length,
				Deletable: deletable},
		}
	})
	return object, err
}

// Run runs operations that do not refer to each other's objects.
func (p *Payer) Run(ctx context.Context, ops ...ledger.Op) error {
	_, err := p.Do(ctx, ledger.Fixed(ops...))
	return err
}
