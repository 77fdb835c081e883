package light

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/cometbft/cometbft/crypto/ed25519"
	"github.com/cometbft/cometbft/types"
)

// nowhere fetches nothing.
var nowhere = node{
	block:     func(ctxt, int64) (*types.LightBlock, error) { return nil, ErrUnavailable },
	handovers: func(ctxt, int64) ([]*types.LightBlock, error) { return nil, ErrUnavailable },
}

// setOf makes validators of keys with one vote each, whose signatures c can make.
func (c *chain) setOf(keys []ed25519.PrivKey) *types.ValidatorSet {
	var list []*types.Validator
	for _, k := range keys {
		c.keys[string(k.PubKey().Address())] = k
		list = append(list, types.NewValidator(k.PubKey(), 1))
	}
	return types.NewValidatorSet(list)
}

// epochs adds epochs of so many blocks; the last block of each hands over to strangers, size of them. It returns the
// sets, that of the first epoch first. seed is of their keys.
func (c *chain) epochs(t testing.TB, seed byte, count, blocks, size int) (sets []*types.ValidatorSet) {
	t.Helper()
	keys := newKeys(t, seed, count*size)
	for i := range count {
		for range blocks - 1 {
			c.grow(t)
		}
		next := c.setOf(keys[size*i : size*(i+1)])
		sets = append(sets, c.blocks[len(c.blocks)-1].next)
		c.add(t, blockOf{next: next})
	}
	c.grow(t)
	c.grow(t)
	return append(sets, c.blocks[len(c.blocks)-1].next)
}

// counted returns a Source that counts requests for hand-overs.
func counted(c Source, pages *int) *source {
	s := &source{Source: c}
	s.changes = func(ctx ctxt, after uint64, limit int) ([]*types.LightBlock, error) {
		*pages++
		return c.Handovers(ctx, after, limit)
	}
	return s
}

// A client follows 70 sets, none of which has a key of the one before, in three pages, and remembers where it is.
func TestHandovers(t *testing.T) {
	w := newWorld(t)
	w.epochs(t, 30, 70, 2, 3)
	pages := 0
	w.tale.Store(counted(w.chain, &pages))
	c := w.asking(t, w.liar)
	if _, err := c.Account(limited(t), alice); err != nil || pages != 3 {
		t.Fatalf("%d pages, %v", pages, err)
	}
	pages = 0
	w.set(t)
	if _, err := c.Account(limited(t), alice); err != nil || pages > 0 {
		t.Errorf("the next read fetched %d pages, %v", pages, err)
	}
	for _, height := range []uint64{1, 5, 9, 100} {
		if b, err := c.Block(limited(t), height); err != nil || b.Height != int64(height) {
			t.Errorf("block %d: %v", height, err)
		}
	}
	w.epochs(t, 200, 1, 4, 5)
	if _, err := c.Account(limited(t), alice); err != nil || pages != 1 {
		t.Errorf("one epoch later it fetched %d pages, %v", pages, err)
	}
}

// Each false hand-over is named as its node's lie, and the honest nodes are believed afterwards.
func TestFalseHandovers(t *testing.T) {
	w := newWorld(t)
	sets := w.epochs(t, 30, 3, 3, 10)
	honest, err := w.Handovers(t.Context(), 0, 10)
	if err != nil || len(honest) != 3 {
		t.Fatal(err)
	}
	evil := w.setOf(newKeys(t, 9, 3))
	// forged hands over to evil in the second epoch, with some of its signatures.
	forged := func(count int) *types.LightBlock {
		h := *honest[1].Header
		h.NextValidatorsHash = evil.Hash()
		seen := 0
		return w.sign(t, &h, sets[1], func(*types.Validator) bool { seen++; return seen <= count })
	}
	head := w.blocks[len(w.blocks)-1].light
	last := *head.Header
	last.ValidatorsHash, last.NextValidatorsHash = evil.Hash(), evil.Hash()
	throne := w.sign(t, &last, evil, nil) // a head by evil
	moved := *honest[1]
	unsigned := *honest[1].Commit
	unsigned.Signatures = slices.Repeat([]types.CommitSig{types.NewCommitSigAbsent()}, 10)
	moved.SignedHeader = &types.SignedHeader{Header: honest[1].Header, Commit: &unsigned}
	for name, page := range map[string][]*types.LightBlock{
		"none":                         {},
		"none that lead there":         honest[:1],
		"the second without the first": honest[1:],
		"no hand-over":                 {w.blocks[1].light, honest[0], honest[1]},
		"twice":                        {honest[0], honest[0], honest[1]},
		"backwards":                    {honest[1], honest[0]},
		"by the genesis's keys":        {w.sign(t, forged(0).Header, sets[0], nil)},
		"without signatures":           {honest[0], &moved, honest[2]},
		"by 3 of 10":                   {honest[0], forged(3)},
		"by 4 of 10":                   {honest[0], forged(4)},
		"by 6 of 10":                   {honest[0], forged(6)},
	} {
		t.Run(name, func(t *testing.T) {
			s := lie(w.chain, func(r *Reading) { r.Block = throne })
			s.changes = func(_ ctxt, after uint64, _ int) (list []*types.LightBlock, err error) {
				for _, h := range page {
					if h.Height > int64(after) || name == "twice" {
						list = append(list, h)
					}
				}
				return list, nil
			}
			w.tale.Store(s)
			c := w.asking(t, w.liar)
			var l *Lie
			if _, err := c.Account(limited(t), alice); !errors.As(err, &l) || l.Node != w.liar.ID() {
				t.Fatalf("a false hand-over: %v", err)
			}
			c.cfg.Peers = w.asking(t, w.liar, w.honest).cfg.Peers
			if _, err := c.Account(limited(t), alice); err != nil {
				t.Errorf("the honest node afterwards: %v", err)
			}
		})
	}
	// Seven of ten are more than two thirds: that is the limit of what anybody can know.
	s := lie(w.chain, func(r *Reading) { r.Block = throne })
	s.changes = func(ctxt, uint64, int) ([]*types.LightBlock, error) {
		return []*types.LightBlock{honest[0], forged(7)}, nil
	}
	w.tale.Store(s)
	if _, err := w.asking(t, w.liar).Account(limited(t), alice); err != nil {
		t.Errorf("seven of ten hand over: %v", err)
	}
}

// The keys of validators that have left prove nothing to a client that has seen them leave: no new block, and no new
// block at an old height.
func TestLeakedKeys(t *testing.T) {
	w := newWorld(t)
	sets := w.epochs(t, 30, 2, 3, 4)
	c := w.asking(t, w.honest)
	if _, err := c.Account(limited(t), alice); err != nil {
		t.Fatal(err)
	}
	for name, base := range map[string]*types.LightBlock{"a new block": w.blocks[len(w.blocks)-1].light, "an old height": w.blocks[2].light} {
		h := *base.Header
		h.Time, h.AppHash = time.Now(), make([]byte, 32)
		h.ValidatorsHash, h.NextValidatorsHash = sets[0].Hash(), sets[0].Hash()
		if name == "a new block" {
			h.Height++
		}
		forged := w.sign(t, &h, sets[0], nil)
		w.tale.Store(&source{Source: w.chain, block: func(ctxt, uint64) (*types.LightBlock, error) { return forged, nil },
			changes: func(ctxt, uint64, int) ([]*types.LightBlock, error) {
				return []*types.LightBlock{w.blocks[6].light}, nil
			}})
		c.cfg.Peers = w.asking(t, w.liar).cfg.Peers
		clear(c.book.nodes)
		if _, err := c.Head(limited(t)); !errors.Is(err, ErrLied) {
			t.Errorf("%s by validators that have left: %v", name, err)
		}
	}
	c.cfg.Peers = w.asking(t, w.honest).cfg.Peers
	if _, err := c.Account(limited(t), alice); err != nil {
		t.Errorf("the honest node afterwards: %v", err)
	}
}

// A client that slept for longer than the trust period believes nothing, says so, and goes on with a checkpoint.
func TestSlept(t *testing.T) {
	w := newWorld(t)
	w.epochs(t, 30, 5, 3, 4)
	later := func(c *Client, by time.Duration) *Client {
		c.trust.now = func() time.Time { return time.Now().Add(by) }
		return c
	}
	const year = 365 * 24 * time.Hour
	_, err := later(w.asking(t, w.honest), year).Account(limited(t), alice)
	if !errors.Is(err, ErrExpired) || errors.Is(err, ErrLied) || !contains(err.Error(), "the genesis, of", "365 days old", "28 days", "walrus checkpoint", "--trust height:hash") {
		t.Errorf("a year later: %v", err)
	}
	c := w.asking(t, w.honest)
	if _, err := c.Account(limited(t), alice); err != nil {
		t.Fatal(err)
	}
	if _, err := later(c, year).Account(limited(t), alice); !errors.Is(err, ErrStalled) {
		t.Errorf("a client and a ledger that slept for a year: %v", err)
	}
	// The ledger went on for that year, and made a block now.
	now := time.Now().Add(year)
	w.add(t, blockOf{time: now.Add(-time.Second)})
	w.add(t, blockOf{time: now})
	if _, err := c.Account(limited(t), alice); !errors.Is(err, ErrExpired) || !contains(err.Error(), "newest block known to this client, 20") {
		t.Errorf("a client that slept for a year, on a chain that went on: %v", err)
	}
	newest := w.blocks[len(w.blocks)-1].light
	fresh := later(w.with(t, &Checkpoint{Height: uint64(newest.Height), Hash: [32]byte(newest.Hash())}, w.honest), year)
	if _, err := fresh.Head(limited(t)); err != nil {
		t.Errorf("with a checkpoint: %v", err)
	}
	old := w.blocks[10].light
	at := Checkpoint{Height: 10, Hash: [32]byte(old.Hash())}
	if _, err := later(w.with(t, &at, w.honest), year).Head(limited(t)); !errors.Is(err, ErrExpired) {
		t.Errorf("with a checkpoint of a year ago: %v", err)
	}
	at.Stalled = true // somebody vouches for it
	if _, err := later(w.with(t, &at, w.honest), year).Head(limited(t)); err != nil {
		t.Errorf("with a checkpoint of a ledger that stood still: %v", err)
	}
}

// A wrong checkpoint is not a lie of the nodes.
func TestWrongCheckpoint(t *testing.T) {
	w := newWorld(t)
	w.epochs(t, 30, 2, 3, 4)
	c := w.with(t, &Checkpoint{Height: 5, Hash: [32]byte{1}}, w.honest, w.liar)
	if _, err := c.Account(limited(t), alice); !errors.Is(err, ErrCheckpoint) || errors.Is(err, ErrLied) || !contains(err.Error(), "ask for it again") {
		t.Errorf("a wrong checkpoint: %v", err)
	}
	// One node has another block there: the others have the right one.
	forged := *w.blocks[8].light.Header
	forged.AppHash = make([]byte, 32)
	w.tale.Store(&source{Source: w.chain, block: func(ctx ctxt, h uint64) (*types.LightBlock, error) {
		return w.sign(t, &forged, w.blocks[8].light.ValidatorSet, nil), nil
	}})
	c = w.with(t, &Checkpoint{Height: 8, Hash: [32]byte(w.blocks[8].light.Hash())}, w.liar, w.honest)
	if _, err := c.Account(limited(t), alice); err != nil {
		t.Errorf("one node has another block: %v", err)
	}
	c.cfg.Peers = w.asking(t, w.honest).cfg.Peers
	// Blocks before the checkpoint by the same validators are proven, older ones are not.
	if _, err := c.Block(limited(t), 7); err != nil {
		t.Errorf("a block before the checkpoint: %v", err)
	}
	if _, err := c.Block(limited(t), 2); !errors.Is(err, ErrUnproven) || errors.Is(err, ErrLied) {
		t.Errorf("a block of an epoch before the checkpoint: %v", err)
	}
}

func TestParseCheckpoint(t *testing.T) {
	hash := fmt.Sprintf("%064x", 7)
	for _, good := range []string{"5:" + hash, "5:" + hash + ":stalled"} {
		c, err := ParseCheckpoint(good)
		if err != nil || c.String() != good || c.Height != 5 || c.Hash[31] != 7 {
			t.Errorf("%s: %+v, %v", good, c, err)
		}
	}
	for _, bad := range []string{"", "5", "5:", ":" + hash, "0:" + hash, "-1:" + hash, "5:" + hash[2:], "5:" + hash + ":", "5:" + hash + ":old", "99999999999999999999:" + hash, "5:zz" + hash[2:]} {
		if _, err := ParseCheckpoint(bad); err == nil || !contains(err.Error(), "want height:hash") {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if TrustPeriod(14*24*time.Hour) != 28*24*time.Hour || TrustPeriod(time.Minute) != minTrust {
		t.Error("the trust period is not two epochs, or a day")
	}
}
