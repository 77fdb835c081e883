package engine

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/internal/swarmtest"
	"walrus/ledger/light"
	"walrus/ledger/merkle"
)

// liar has an honest node's blocks and states. After some honest ranges it changes values; it also offers heights that
// do not exist.
type liar struct {
	source
	asked *atomic.Int64 // requests for ranges
}

// liarRanges is the number of ranges that it does not change.
const liarRanges = 5

func (l liar) Snapshots(ctx context.Context) ([]uint64, error) {
	heights, err := l.source.Snapshots(ctx)
	return append(heights, 1<<63, math.MaxUint64), err
}

func (l liar) Range(ctx context.Context, height uint64, first, last merkle.Hash, limit int) (*light.Range, error) {
	r, err := l.source.Range(ctx, height, first, last, limit)
	if err == nil && l.asked.Add(1) > liarRanges {
		r.Pairs = light.AppendPair(r.Pairs, []byte("mine"), []byte("all of it"))
	}
	return r, err
}

// A node that begins well and then lies is found by its first false range, and does not keep a node from joining.
func TestJoinPastLiar(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFleet(t, swarmtest.NewNetwork(1), 3, lopsided)
		s.retain, s.every, s.far = time.Second, 20, 50
		defer s.closeAll()
		s.open(0)
		<-s.nodes[0].Ready()
		s.reach(0, 130, time.Hour)
		h := s.newHost(2)
		defer h.Close()
		l := liar{source{s.nodes[0].Node}, new(atomic.Int64)}
		serve, err := light.Serve(t.Context(), h.Libp2p(), s.genesis, l, light.DefaultLimits(), slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		defer serve.Close()
		begin := time.Now()
		s.open(1)
		<-s.nodes[1].Ready()
		if took := time.Since(begin); took > time.Minute {
			t.Errorf("it joined after %v", took)
		}
		if asked := l.asked.Load(); asked == 0 || asked > liarRanges+2*rangesOfPeer {
			t.Errorf("it asked the liar for %d ranges", asked)
		}
		s.same(0, 1)
	})
}

// A node whose join ends again and again goes on with what it has, and joins in the end.
func TestJoinResumes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFleet(t, swarmtest.NewNetwork(1), 2, lopsided)
		s.every, s.far = 20, 50
		defer s.closeAll()
		s.open(0)
		<-s.nodes[0].Ready()
		s.reach(0, 70, time.Hour)
		s.net.SetLatency(func(a, b int) time.Duration { return 10 * time.Millisecond })
		s.nodes[1].host = s.newHost(1)
		n, err := New(s.config(1, s.nodes[1].host))
		if err != nil {
			t.Fatal(err)
		}
		client, err := light.New(light.Config{Genesis: s.genesis, Host: n.cfg.Host, Peers: n.others, Connect: n.cfg.Connect,
			Logger: n.log, Hasty: true, AnyClock: true})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := client.Head(t.Context()); err != nil {
			t.Fatal(err)
		}
		o := &offer{60, []peer.ID{s.nodes[0].id}}
		ended, attempts := 0, 0
		for ; ; attempts++ {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(100+attempts*37%150)*time.Millisecond)
			_, err := n.joinBy(ctx, client, o)
			cancel()
			if err == nil {
				break
			}
			if at := n.begun(); at != 0 && at != o.height || attempts > 50 {
				t.Fatalf("attempt %d: height %d: %v", attempts, at, err)
			}
			ended++
		}
		if ended < 2 {
			t.Errorf("it was ended %d times: give it less time", ended)
		}
		if v := n.View(); v.Height != o.height {
			t.Errorf("height %d, want %d", v.Height, o.height)
		}
		if err := errors.Join(n.Close(), s.nodes[1].host.Close()); err != nil {
			t.Fatal(err)
		}
	})
}

func TestBestOffer(t *testing.T) {
	for name, tt := range map[string]struct {
		all   map[uint64][]peer.ID
		begun uint64
		want  uint64
	}{
		"one":         {map[uint64][]peer.ID{1: {"n"}}, 0, 1},
		"the newest":  {map[uint64][]peer.ID{1: {"n"}, 3: {"m"}, 2: {"o"}}, 0, 3},
		"the most":    {map[uint64][]peer.ID{9: {"liar"}, 8: {"liar"}, 3: {"n", "m"}, 2: {"n", "m"}}, 0, 3},
		"one begun":   {map[uint64][]peer.ID{3: {"n", "m"}, 2: {"n"}}, 2, 2},
		"none begun":  {map[uint64][]peer.ID{3: {"n"}}, 2, 3},
		"begun, gone": {map[uint64][]peer.ID{3: {"n"}, 2: nil}, 2, 3},
	} {
		if got := best(tt.all, tt.begun); got == nil || got.height != tt.want || !slices.Equal(got.nodes, tt.all[tt.want]) {
			t.Errorf("%s: %v: want %d", name, got, tt.want)
		}
	}
	if got := best(nil, 0); got != nil {
		t.Errorf("best of none is %v", got)
	}
}
