package light

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"runtime"
	"testing"

	"walrus/ledger"
	"walrus/ledger/merkle"
)

var endOfPaths = merkle.Hash(bytes.Repeat([]byte{255}, len(merkle.Hash{})))

// A whole state comes in ranges, each proven.
func TestRanges(t *testing.T) {
	w := newWorld(t)
	c := w.asking(t, w.honest)
	ctx := limited(t)
	list, err := c.Snapshots(ctx, w.honest.ID())
	if err != nil || len(list) != 1 || list[0] != 2 {
		t.Fatalf("snapshots %v, %v", list, err)
	}
	at := w.blocks[2]
	got := make(map[string][]byte)
	middle := merkle.Hash{128}
	for _, part := range [][2]merkle.Hash{{{}, middle}, {{128, 1}, endOfPaths}} {
		r, end, err := c.Range(ctx, w.honest.ID(), 2, at.tree.Root(), part[0], part[1])
		if err != nil || end != part[1] {
			t.Fatalf("from %s: %v", part[0], err)
		}
		for b := r.Pairs; len(b) > 0; {
			var key, value []byte
			key, value, b, err = NextPair(b)
			if err != nil {
				t.Fatal(err)
			}
			got[string(key)] = value
		}
	}
	if len(got) != len(at.values) {
		t.Errorf("%d pairs, want %d", len(got), len(at.values))
	}
	if _, _, err := c.Range(ctx, w.honest.ID(), 3, at.tree.Root(), merkle.Hash{}, endOfPaths); !errors.Is(err, ledger.ErrNotFound) {
		t.Errorf("a height that is not served: %v", err)
	}
}

// A node that changes, adds or leaves out a pair is found by this one range, and not asked again.
func TestFalseRanges(t *testing.T) {
	for name, change := range map[string]func(r *Range){
		"a value":         func(r *Range) { r.Pairs[len(r.Pairs)-1] ^= 1 },
		"a pair added":    func(r *Range) { r.Pairs = AppendPair(r.Pairs, []byte("key"), []byte("value")) },
		"pairs left out":  func(r *Range) { r.Pairs = nil },
		"an end too soon": func(r *Range) { _, _, rest, _ := NextPair(r.Pairs); r.Pairs = r.Pairs[:len(r.Pairs)-len(rest)] },
		"more of nothing": func(r *Range) { r.Pairs, r.More = nil, true },
		"more":            func(r *Range) { r.More = true; r.Pairs = AppendPair(nil, []byte("x"), nil) },
		"half a pair":     func(r *Range) { r.Pairs = r.Pairs[:len(r.Pairs)-1] },
		"a proof":         func(r *Range) { r.Proof = merkle.RangeProof{} },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.tale.Store(&source{Source: w.chain, ranges: func(ctx ctxt, h uint64, first, last merkle.Hash, n int) (*Range, error) {
				r, err := w.chain.Range(ctx, h, first, last, n)
				r.Pairs = bytes.Clone(r.Pairs)
				change(r)
				return r, err
			}})
			c := w.asking(t, w.liar)
			ctx := limited(t)
			_, _, err := c.Range(ctx, w.liar.ID(), 2, w.blocks[2].tree.Root(), merkle.Hash{}, endOfPaths)
			var lie *Lie
			if !errors.As(err, &lie) || lie.Node != w.liar.ID() {
				t.Fatalf("%v: want a lie of %s", err, w.liar.ID())
			}
			if _, err := c.Head(ctx); !errors.Is(err, ErrLied) {
				t.Errorf("after the lie: %v", err)
			}
		})
	}
}

// Whatever a liar sends, verifying takes no more memory than a fixed amount besides the message.
func TestRangeHeap(t *testing.T) {
	var tiny []byte // the smallest pairs: the most of them for each byte
	for len(tiny) < MaxRange-16 {
		tiny = AppendPair(tiny, []byte{byte(len(tiny)), byte(len(tiny) >> 8)}, nil)
	}
	sent, err := encode(&rangeAnswer{Range{tiny, true, merkle.RangeProof{}}})
	if err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	const times = 20
	runtime.ReadMemStats(&before)
	for range times {
		var a rangeAnswer
		if err := decode(sent, &a); err != nil {
			t.Fatal(err)
		}
		if _, err := a.Verify(sha256.Sum256(nil), merkle.Hash{}, endOfPaths); !errors.Is(err, merkle.ErrProof) {
			t.Fatalf("%v: want ErrProof", err)
		}
	}
	runtime.ReadMemStats(&after)
	each := float64(after.TotalAlloc-before.TotalAlloc) / times / float64(len(sent))
	t.Logf("%.4f bytes of heap for each byte sent", each)
	if each > 0.1 {
		t.Errorf("%.2f bytes of heap for each byte sent", each)
	}
}
