package engine

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"log/slog"
	"math"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/internal/swarmtest"
	"walrus/ledger/light"
)

// liar has an honest node's blocks, and offers the newest snapshots. Each begins well, comes slowly and never ends;
// some are of heights that do not exist.
type liar struct {
	source
	asked *atomic.Int64 // requests for parts
}

// liarParts is the number of parts of a snapshot that it sends.
const liarParts = 50

func (l liar) Snapshots(ctx context.Context) (list []light.Snapshot, err error) {
	top := l.n.View().Height - 3
	for height := top; len(list) < light.MaxSnapshots-2; height-- {
		at, err := l.LightBlock(ctx, height)
		if err != nil {
			return nil, err
		}
		after, err := l.LightBlock(ctx, height+1)
		if err != nil {
			return nil, err
		}
		header := binary.BigEndian.AppendUint64([]byte{1}, height)
		header = binary.BigEndian.AppendUint64(header, uint64(at.Time.UnixNano()))
		header = binary.BigEndian.AppendUint64(append(header, after.AppHash...), 1_000_000)
		for part := range uint32(2 * liarParts) {
			sum := sha256.Sum256(liarPart(part))
			header = append(header, sum[:]...)
		}
		list = append(list, light.Snapshot{Height: height, Parts: 2 * liarParts, Header: header})
	}
	return append(list, light.Snapshot{Height: 1 << 63, Parts: 1}, light.Snapshot{Height: math.MaxUint64, Parts: 1}), nil
}

// liarPart is a key without a value.
func liarPart(part uint32) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{0, 4}, part), 0, 0, 0, 0)
}

func (l liar) SnapshotPart(ctx context.Context, _ uint64, part uint32) ([]byte, error) {
	l.asked.Add(1)
	if part >= liarParts {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	time.Sleep(9 * time.Second)
	return liarPart(part), nil
}

// A node that offers many snapshots, the newest of all, and completes none, delays a joining node once and not for
// long.
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
		if took := time.Since(begin); took > 3*time.Minute {
			t.Errorf("it joined after %v", took)
		}
		if asked := l.asked.Load(); asked == 0 || asked > liarParts+partsAtOnce {
			t.Errorf("it asked the liar for %d parts", asked)
		}
		s.same(0, 1)
	})
}

func TestBestOffer(t *testing.T) {
	of := func(node string, height uint64, header string) *offer {
		return &offer{light.Snapshot{Height: height, Header: []byte(header)}, peer.ID(node)}
	}
	for _, c := range []struct {
		offers []*offer
		want   string
	}{
		{[]*offer{of("n", 1, "a")}, "a"},
		{[]*offer{of("n", 1, "a"), of("m", 3, "c"), of("o", 2, "b")}, "c"},
		{[]*offer{of("n", 1, "a"), of("m", math.MaxUint64, "c"), of("o", 2, "b")}, "c"},
		{[]*offer{of("liar", 9, "x"), of("n", 3, "c"), of("n", 2, "b"), of("m", 3, "c"), of("m", 2, "b"), of("liar", 8, "x"),
			of("liar", 7, "x")}, "c"},
	} {
		if got := best(c.offers); string(got.Header) != c.want {
			t.Errorf("best of %v is %q: want %q", c.offers, got.Header, c.want)
		}
	}
	if got := best(nil); got != nil {
		t.Errorf("best of none is %v", got)
	}
}

func TestPatience(t *testing.T) {
	for parts, want := range map[uint32]time.Duration{0: time.Minute, 100: 160 * time.Second, math.MaxUint32: joinMost} {
		o := offer{Snapshot: light.Snapshot{Parts: parts}}
		if got := o.patience(); got != want {
			t.Errorf("%d parts: %v: want %v", parts, got, want)
		}
	}
}
