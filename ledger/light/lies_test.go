package light

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/cometbft/cometbft/types"
	"github.com/libp2p/go-libp2p/core/network"

	"walrus/ledger"
	"walrus/ledger/merkle"
	"walrus/shards"
)

// few selects two validators of four, with half of the shards or little more.
func few(set *types.ValidatorSet) func(*types.Validator) bool {
	return func(v *types.Validator) bool {
		return bytes.Equal(v.Address, set.Validators[0].Address) || bytes.Equal(v.Address, set.Validators[1].Address)
	}
}

// forge returns w's chain with a false change of the state before its last block, and a false last block that proves
// it, signed by those of set that signs selects.
func (w *world) forge(t testing.TB, change merkle.Change, set *types.ValidatorSet, signs func(*types.Validator) bool) *chain {
	t.Helper()
	c := &chain{genesis: w.genesis, keys: w.chain.keys, grown: make(chan struct{}), values: clone(w.values)}
	n := len(w.blocks) - 2
	c.blocks = slices.Clone(w.blocks[:n+1])
	state := *c.blocks[n]
	state.tree = must(state.tree.Apply([]merkle.Change{change}, 1))
	state.values = clone(state.values)
	state.values[string(change.Key)] = change.Value
	state.next = set
	c.blocks[n] = &state
	c.add(t, blockOf{signs: signs})
	return c
}

// lie returns a Source that reads from c and falsifies the reading.
func lie(c Source, change func(r *Reading)) *source {
	s := &source{Source: c}
	s.read = func(ctx ctxt, at At, keys [][]byte) (*Reading, error) {
		r, err := c.Read(ctx, at, keys)
		if err == nil {
			change(r)
		}
		return r, err
	}
	return s
}

// Every false answer to a read is detected, and the liar named and never asked again; another node gives the true
// answer.
func TestLies(t *testing.T) {
	w := newWorld(t)
	true1 := ledger.Account{Balance: 5, Nonce: 1}
	false1 := ledger.Account{Balance: 1 << 40, Nonce: 1}
	w.set(t, put(ledger.KeyAccount(alice), true1.Marshal()))
	w.set(t)
	rich := put(ledger.KeyAccount(alice), false1.Marshal())
	set := w.blocks[0].next
	foreignKeys := newKeys(t, 2, 4)
	foreign := newChain(t, newGenesis(t, "test", 10, foreignKeys), foreignKeys)
	other := *w.genesis
	other.Capacity--
	otherChain := newChain(t, &other, w.keys)
	strangers := types.NewValidatorSet([]*types.Validator{types.NewValidator(foreignKeys[0].PubKey(), 10)})
	w.chain.keys[string(strangers.Validators[0].Address)] = foreignKeys[0]
	for foreign.height() < w.height() {
		foreign.grow(t)
		otherChain.grow(t)
	}
	for name, tale := range map[string]struct {
		source Source
		what   string // part of the error's text
	}{
		"another value":          {lie(w.chain, func(r *Reading) { r.Items[0].Value = false1.Marshal() }), "proof does not hold"},
		"a proof of another key": {lie(w.chain, func(r *Reading) { r.Items[0].Proof = must(w.blocks[5].tree.Prove(ledger.KeyEpoch())) }), "proof does not hold"},
		"absent":                 {lie(w.chain, func(r *Reading) { r.Items[0].Value = nil }), "proof does not hold"},
		"empty":                  {lie(w.chain, func(r *Reading) { r.Items[0].Value = []byte{} }), "proof does not hold"},
		"an old proof":           {lie(w.chain, func(r *Reading) { r.Items[0] = Item{nil, must(w.blocks[2].tree.Prove(ledger.KeyAccount(alice)))} }), "proof does not hold"},
		"an old state":           {lie(w.chain, func(r *Reading) { *r = *w.stateAt(2, ledger.KeyAccount(alice)) }), "old state"},
		"fewer values":           {lie(w.chain, func(r *Reading) { r.Items = nil }), "0 values for 1 keys"},
		"more values":            {lie(w.chain, func(r *Reading) { r.Items = append(r.Items, r.Items[0]) }), "2 values for 1 keys"},
		"another height":         {lie(w.chain, func(r *Reading) { r.Height++ }), "instead of the next block"},
		"a huge height":          {lie(w.chain, func(r *Reading) { r.Height = 1<<64 - 1 }), "instead of the next block"},
		"another network":        {foreign, "belongs to chain"},
		"another genesis":        {otherChain, "belongs to chain"},
		"too few signed":         {w.forge(t, rich, set, few(set)), "does not follow from"},
		"nobody signed":          {w.forge(t, rich, set, func(*types.Validator) bool { return false }), "does not follow from"},
		"other validators":       {w.forge(t, rich, strangers, nil), "no hand-over leads"},
		"another validator set": {lie(w.chain, func(r *Reading) {
			r.Block = &types.LightBlock{SignedHeader: r.Block.SignedHeader, ValidatorSet: strangers}
		}), ""},
		"an old header":    {lie(w.chain, func(r *Reading) { r.Block = w.blocks[2].light }), "instead of the next block"},
		"a changed header": {lie(w.chain, func(r *Reading) { r.Block = changed(r.Block, func(h *types.Header) { h.AppHash = make([]byte, 32) }) }), ""},
		"no root":          {lie(w.chain, func(r *Reading) { r.Block = changed(r.Block, func(h *types.Header) { h.AppHash = nil }) }), ""},
		"signatures of another block": {lie(w.chain, func(r *Reading) {
			r.Block = &types.LightBlock{SignedHeader: &types.SignedHeader{Header: r.Block.Header, Commit: w.blocks[2].light.Commit}, ValidatorSet: set}
		}), ""},
	} {
		t.Run(name, func(t *testing.T) {
			told := &source{Source: tale.source}
			w.tale.Store(told)
			ctx := limited(t)
			known := w.height() - 1
			alone := w.asking(t, w.liar)
			alone.raise(known)
			_, err := alone.Account(ctx, alice)
			var l *Lie
			if !errors.As(err, &l) || !errors.Is(err, ErrLied) || l.Node != w.liar.ID() || !contains(err.Error(), "node-0", tale.what) {
				t.Fatalf("the only node lies, and the error is: %v", err)
			}
			if _, err := alone.Committee(ctx); !errors.Is(err, ErrLied) {
				t.Errorf("committee from a liar: %v", err)
			}
			both := w.asking(t, w.liar, w.honest)
			both.raise(known)
			for range 2 {
				if got, err := both.Account(ctx, alice); err != nil || got != true1 {
					t.Errorf("with an honest node alice has %+v, %v", got, err)
				}
			}
			if order, lies := both.book.order(both.nodes(ctx), time.Now()); len(order) != 1 || len(lies) != 1 || order[0] != w.honest.ID() {
				t.Errorf("%d nodes to ask, %d liars", len(order), len(lies))
			}
		})
	}
}

func changed(b *types.LightBlock, change func(*types.Header)) *types.LightBlock {
	h := *b.Header
	change(&h)
	c := *b.Commit
	c.BlockID.Hash = h.Hash()
	return &types.LightBlock{SignedHeader: &types.SignedHeader{Header: &h, Commit: &c}, ValidatorSet: b.ValidatorSet}
}

// stateAt returns a true reading of an old state.
func (c *chain) stateAt(h int, keys ...[]byte) *Reading {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := &Reading{Height: uint64(h), Block: c.blocks[h+1].light}
	for _, k := range keys {
		r.Items = append(r.Items, Item{c.blocks[h].values[string(k)], must(c.blocks[h].tree.Prove(k))})
	}
	return r
}

// A client whose only node lies about the committee, a balance or a blob reports that.
func TestOnlyNodeLies(t *testing.T) {
	w := newWorld(t)
	id, object := shards.BlobID{3}, ledger.ObjectID{4}
	info := ledger.BlobInfo{InitialCertified: 1, PermanentEnd: 9, PermanentCertifiedEnd: 9}
	blob := ledger.Blob{Owner: alice, BlobID: id, End: 9, Registered: 1, Certified: 1}
	w.set(t, put(ledger.KeyAccount(alice), ledger.Account{Balance: 7}.Marshal()), put(ledger.KeyBlobInfo(id), info.Marshal()), put(ledger.KeyBlob(object), blob.Marshal()))
	for name, call := range map[string]func(c *Client) error{
		"committee": func(c *Client) error { _, err := c.Committee(limited(t)); return err },
		"balance":   func(c *Client) error { _, err := c.Account(limited(t), alice); return err },
		"blob info": func(c *Client) error { _, err := c.BlobInfo(limited(t), id); return err },
		"blob":      func(c *Client) error { _, err := c.Blob(limited(t), object); return err },
		"epoch":     func(c *Client) error { _, err := c.Epoch(limited(t)); return err },
		"prices":    func(c *Client) error { _, err := c.Params(limited(t)); return err },
	} {
		t.Run(name, func(t *testing.T) {
			w.tale.Store(&source{Source: w.chain})
			if err := call(w.asking(t, w.liar)); err != nil {
				t.Fatalf("while it is honest: %v", err)
			}
			w.tale.Store(lie(w.chain, func(r *Reading) {
				last := &r.Items[len(r.Items)-1]
				if last.Value == nil {
					last = &r.Items[len(r.Items)-2] // the last member
				}
				if last.Value == nil {
					last.Value = ledger.Account{Balance: 1}.Marshal()
					return
				}
				last.Value = slices.Clone(last.Value)
				last.Value[0] ^= 1
			}))
			if err := call(w.asking(t, w.liar)); !errors.Is(err, ErrLied) || !contains(err.Error(), w.liar.ID().String()) {
				t.Errorf("error %v", err)
			}
		})
	}
}

// Broken answers: invalid bytes, too many bytes and too few.
func TestBrokenAnswers(t *testing.T) {
	w := newWorld(t)
	for name, tt := range map[string]struct {
		tell func(st network.Stream)
		want error
	}{
		"nothing":   {func(st network.Stream) { st.Close() }, ErrUnavailable},
		"cut":       {func(st network.Stream) { st.Reset() }, ErrUnavailable},
		"truncated": {func(st network.Stream) { st.Write([]byte{0, 200, 0, 0, 0, 1, 2, 3}); st.Close() }, ErrUnavailable},
		"endless": {func(st network.Stream) {
			st.Write([]byte{0, 255, 255, 255, 255})
			for {
				if _, err := st.Write(make([]byte, 1<<16)); err != nil {
					return
				}
			}
		}, ErrLied},
		"garbage":            {func(st network.Stream) { st.Write(append([]byte{0, 200, 0, 0, 0}, make([]byte, 200)...)); st.Close() }, ErrLied},
		"empty":              {func(st network.Stream) { st.Write([]byte{0, 0, 0, 0, 0}); st.Close() }, ErrLied},
		"a refusal of junk":  {func(st network.Stream) { st.Write([]byte{1, 3, 0, 0, 0, 1, 2, 3}); st.Close() }, ErrLied},
		"an endless refusal": {func(st network.Stream) { st.Write([]byte{1, 255, 255, 255, 0}); st.Close() }, ErrLied},
		"an unknown refusal": {func(st network.Stream) {
			b, _ := encodeAnswer(77, &refusal{Text: "later \x1b version"})
			st.Write(b)
			st.Close()
		}, errInternal},
	} {
		t.Run(name, func(t *testing.T) {
			w.liar.SetStreamHandler(protocolID("test", readProtocol), func(st network.Stream) {
				defer st.Reset()
				if _, _, err := readRequestFrame(st); err != nil {
					t.Error(err)
				}
				tt.tell(st)
				_, _ = io.Copy(io.Discard, st) // until the client has read as much as it wants
			})
			if _, err := w.asking(t, w.liar).Account(limited(t), alice); !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
			if a, err := w.asking(t, w.liar, w.honest).Account(limited(t), alice); err != nil {
				t.Errorf("with an honest node: %+v, %v", a, err)
			}
		})
	}
}

// Honest validators with clocks far ahead are not called liars: this machine's clock is wrong.
func TestClockBehind(t *testing.T) {
	w := newWorld(t)
	w.add(t, blockOf{time: time.Now().Add(time.Minute)})
	_, err := w.asking(t, w.honest).Account(limited(t), alice)
	if !errors.Is(err, ErrClock) || errors.Is(err, ErrLied) {
		t.Errorf("a block a minute ahead: %v", err)
	}
}
