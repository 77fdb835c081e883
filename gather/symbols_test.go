package gather

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/certs"
	"walrus/p2p"
	"walrus/shards"
)

// fake is a swarm whose nodes hold every sliver of one blob.
type fake struct {
	want   Want
	pairs  []shards.Pair
	moods  map[peer.ID]func(context.Context, []shards.Symbol) error // of nodes that are not well
	denies bool                                                     // nodes that are not well give no proofs alone
	mu     sync.Mutex
	asked  map[peer.ID]int
	wanted []int // targets of each request
}

func (f *fake) Connect(context.Context, peer.ID) error { return nil }

func (f *fake) SymbolParts(ctx context.Context, to peer.ID, q p2p.SymbolQuery) (all []shards.Symbol, err error) {
	f.mu.Lock()
	f.asked[to]++
	f.wanted = append(f.wanted, len(q.Targets)*len(q.Slivers))
	f.mu.Unlock()
	if f.pairs == nil {
		return make([]shards.Symbol, len(q.Targets)*len(q.Slivers)), nil
	}
	for _, index := range q.Slivers {
		pair := f.pairs[f.want.Meta.Params().PairOfSliver(q.Axis, index)]
		sliver := map[shards.Axis][]byte{shards.Primary: pair.Primary, shards.Secondary: pair.Secondary}[q.Axis]
		symbols, err := f.want.Meta.ExtractSymbols(q.Axis, index, bytes.NewReader(sliver), q.Targets)
		if err != nil {
			return nil, err
		}
		all = append(all, symbols...)
	}
	if mood := f.moods[to]; mood != nil {
		if f.denies && q.Length == 0 {
			return nil, p2p.ErrCorrupt
		}
		err = mood(ctx, all)
	}
	for i := range all {
		all[i] = shards.Symbol{Data: all[i].Data[q.Offset:][:q.Length], Proof: all[i].Proof[:q.ProofLen]}
	}
	return all, err
}

// newFake makes a committee of nodes over n shards and a blob that they hold; the secondary slivers 1 and 3 are wanted.
func newFake(t *testing.T, nodes, n int) *fake {
	t.Helper()
	members := make([]certs.Member, nodes)
	for i := range members {
		key, err := certs.NewSecretKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		node := peer.ID(fmt.Sprintf("fake peer %02d", i))
		members[i] = certs.Member{Node: node, Name: fmt.Sprint("node-", i), Key: key.Public(),
			Proof: key.ProvePossession("fake", node)}
	}
	for s := range n {
		members[s%nodes].Shards = append(members[s%nodes].Shards, s)
	}
	com, err := certs.NewCommittee("fake", certs.NetworkID{}, 1, n, members)
	if err != nil {
		t.Fatal(err)
	}
	meta, pairs, err := shards.Encode(com.Params(), bytes.Repeat([]byte("a blob"), 5000))
	if err != nil {
		t.Fatal(err)
	}
	return &fake{
		want: Want{Committee: com, ID: meta.ID(), Meta: meta, Axis: shards.Secondary, Targets: []int{1, 3},
			Window: 8, Proofs: true},
		pairs: pairs, moods: map[peer.ID]func(context.Context, []shards.Symbol) error{}, asked: map[peer.ID]int{},
	}
}

func (f *fake) node(i int) peer.ID { return f.want.Committee.Members()[i].Node }

// check rebuilds the targets and compares them.
func (f *fake) check(t *testing.T, g *Gathered) {
	t.Helper()
	for k, target := range f.want.Targets {
		got, err := f.want.Meta.Rebuild(f.want.Axis, target, g.Of(k))
		want := f.pairs[f.want.Meta.Params().PairOfSliver(f.want.Axis, target)].Secondary
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("rebuild sliver %d: %v", target, err)
		}
	}
}

func lie(_ context.Context, symbols []shards.Symbol) error {
	symbols[len(symbols)-1].Data[0] ^= 1
	return nil
}

func hang(ctx context.Context, _ []shards.Symbol) error {
	<-ctx.Done()
	return ctx.Err()
}

// TestSymbols rebuilds slivers while two of seven nodes misbehave, in every way.
func TestSymbols(t *testing.T) {
	var busy atomic.Int32
	moods := map[string]func(context.Context, []shards.Symbol) error{
		"well": nil, "lying": lie, "silent": hang,
		"lacking": func(context.Context, []shards.Symbol) error { return p2p.ErrNotFound },
		"down":    func(context.Context, []shards.Symbol) error { return p2p.ErrUnavailable },
		"busy": func(context.Context, []shards.Symbol) error {
			if busy.Add(1) < 5 {
				return p2p.ErrBusy
			}
			return nil
		},
	}
	for name, mood := range moods {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake(t, 7, 28)
				f.want.Window = 1
				f.moods[f.node(2)], f.moods[f.node(5)] = mood, mood
				f.want.Local = f.node(0)
				g, err := Symbols(t.Context(), f, f.want)
				if err != nil {
					t.Fatal(err)
				}
				f.check(t, g)
				if size := int64(len(f.want.Targets)) * f.want.symbolBytes(); g.Traffic != int64(f.want.need()-4)*size {
					t.Errorf("%d bytes of traffic: want all but those of the four local slivers", g.Traffic)
				}
				for _, l := range g.Holders.Failures() {
					if !l.Lied() {
						continue
					}
					if name != "lying" || l.Holder != 2 && l.Holder != 5 || f.asked[f.node(l.Holder)] != 1 {
						t.Errorf("called %d a liar, who was asked %d times: %v", l.Holder, f.asked[f.node(l.Holder)], l.Err)
					}
				}
			})
		})
	}
}

// TestNotEnough says for each node why; a cancelled gathering says only that.
func TestNotEnough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, 4, 4)
		f.moods[f.node(0)], f.moods[f.node(1)], f.moods[f.node(2)] = lie, hang, lie
		start := time.Now()
		_, err := Symbols(t.Context(), f, f.want)
		var few *Error
		if !errors.As(err, &few) || few.Need != 2 || few.Have > 1 || time.Since(start) > requestTime+time.Second ||
			!strings.Contains(err.Error(), "symbols for each of 2 secondary slivers: node-0: served wrong symbols") {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		f.moods[f.node(0)], f.moods[f.node(2)], f.moods[f.node(3)] = hang, hang, hang
		if _, err := Symbols(ctx, f, f.want); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("cancelled: %v", err)
		}
	})
}

// TestSplit asks for many targets in requests within the limits of the protocol.
func TestSplit(t *testing.T) {
	f := newFake(t, 4, 4)
	f.pairs = nil
	members := []certs.Member{f.want.Committee.Members()[0]}
	members[0].Shards = []int{0, 1, 2, 3}
	com, err := certs.NewCommittee("fake", certs.NetworkID{}, 1, 4, members)
	if err != nil {
		t.Fatal(err)
	}
	meta := *f.want.Meta
	f.want.Committee, f.want.Meta, f.want.Local, f.want.Targets = com, &meta, f.node(0), []int{0, 1, 2}
	meta.Length = 6 * (p2p.MaxSymbolsBytes/2 - 1000) // two symbols fit, with their proofs
	g, err := Symbols(t.Context(), f, f.want)
	if err != nil || len(g.Of(0)) != 2 || len(f.wanted) != 4 || f.wanted[0]+f.wanted[1]+f.wanted[2]+f.wanted[3] != 6 {
		t.Errorf("asked for %v targets: %v", f.wanted, err)
	}
	meta.Length = 6 * p2p.MaxSymbolsBytes
	if _, err := Symbols(t.Context(), f, f.want); !errors.Is(err, ErrTooLarge) {
		t.Errorf("symbols above the limit: %v", err)
	}
}

// TestHope: silent holders are not waited for longer than was said, beside the time for a full request, if nobody
// else is left.
func TestHope(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, 4, 4)
		for i := range 3 {
			f.moods[f.node(i)] = hang
		}
		f.want.Hope = 15 * time.Second
		start := time.Now()
		var few *Error
		if _, err := Symbols(t.Context(), f, f.want); !errors.As(err, &few) || time.Since(start) > 40*time.Second {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
	})
}
