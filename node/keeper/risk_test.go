package keeper

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/certs"
	"walrus/ledger"
	"walrus/shards"
	"walrus/store"
)

// TestDebtsByRisk: of the debts that are due, the one with the fewest surviving shards comes first; one that is not due
// waits all the same.
func TestDebtsByRisk(t *testing.T) {
	d := newDebts()
	now := time.Unix(1000, 0)
	for i, surviving := range []int{90, 40, 67, 40, 1} {
		d.set(blob(i), 1, now.Add(time.Duration(i)*time.Second))
		d.rate(blob(i), surviving)
	}
	now = now.Add(3 * time.Second)
	for _, want := range []int{1, 3, 2} {
		if id, ok, _ := d.next(now); !ok || id != blob(want) {
			t.Fatalf("next is %v, want %v", id, blob(want))
		}
	}
	d.rate(blob(0), 30) // known to be worse meanwhile
	d.set(blob(5), 1, now)
	d.rate(blob(5), 35)
	for _, want := range []int{0, 5} {
		if id, ok, _ := d.next(now); !ok || id != blob(want) {
			t.Fatalf("next is %v, want %v", id, blob(want))
		}
	}
	if _, ok, wait := d.next(now); ok || wait != time.Second {
		t.Errorf("before the last is due: %v, wait %v", ok, wait)
	}
}

// TestDebtsHasten: debts that wait after a failure are tried at once when something has changed, but not again and
// again.
func TestDebtsHasten(t *testing.T) {
	d := newDebts()
	now := time.Unix(1000, 0)
	d.set(blob(1), 1, now)
	d.set(blob(2), 1, now.Add(time.Hour)) // has not failed
	for range 8 {
		d.next(now)
		d.failed(blob(1), now, time.Second, time.Hour)
		now = d.owed[blob(1)].due
	}
	d.next(now)
	d.failed(blob(1), now, time.Second, time.Hour)
	d.hasten(now)
	if id, ok, _ := d.next(now); !ok || id != blob(1) {
		t.Fatalf("next is %v, %v", id, ok)
	}
	d.failed(blob(1), now, time.Second, time.Hour)
	if wait := d.owed[blob(1)].due.Sub(now); wait != 2*time.Second {
		t.Errorf("tried again after %v: the pause begins anew", wait)
	}
	d.hasten(now)
	if _, ok, _ := d.next(now); ok {
		t.Error("tried at once twice in a row")
	}
}

// TestDebtsBeyond: debts that do not fit in the list are counted, and asked for once there is room.
func TestDebtsBeyond(t *testing.T) {
	d := newDebts()
	d.most = 4
	now := time.Unix(1000, 0)
	for i := range 10 {
		d.set(blob(i), 2, now)
	}
	if len(d.owed) != 4 || d.total() != 20 {
		t.Fatalf("%d blobs in the list, %d slivers owed", len(d.owed), d.total())
	}
	for i := range 2 {
		select {
		case <-d.refill:
			t.Fatalf("the list is asked for again with %d blobs in it", len(d.owed))
		default:
		}
		d.set(blob(i), 0, now)
	}
	select {
	case <-d.refill:
	default:
		t.Error("half of the list is done, and the rest is not asked for")
	}
	d.restart()
	for i := 2; i < 10; i++ { // counted again
		d.set(blob(i), 2, now)
	}
	if len(d.owed) != 4 || d.total() != 16 {
		t.Errorf("%d blobs in the list, %d slivers owed", len(d.owed), d.total())
	}
}

// TestSurviving counts the shards that probably have a blob.
func TestSurviving(t *testing.T) {
	us, b, c, d := newMember(t), newMember(t), newMember(t), newMember(t)
	then := seated(t, 1, []member{us, b, c, d}, []int{0, 1}, []int{2, 3}, []int{4, 5, 6}, []int{7, 8, 9})
	now := seat{Committee: seated(t, 2, []member{us, b, c, d}, []int{0, 2}, []int{1, 3}, []int{4, 5, 6}, []int{7, 8, 9}),
		self: us.id}
	var confirmations []certs.Confirmation
	for _, m := range []member{us, b, c} {
		confirmations = append(confirmations, then.Sign(m.key, m.id, blob(1), certs.Persistence{}))
	}
	cert, _, err := then.Aggregate(blob(1), certs.Persistence{}, confirmations)
	must(t, err)
	signed := signedShards(cert, then)
	for name, tt := range map[string]struct {
		away    []peer.ID
		missing []int
		want    int
	}{
		"all well":         {nil, nil, 7},
		"one away":         {[]peer.ID{c.id}, nil, 4},
		"one never signed": {[]peer.ID{d.id}, nil, 7},
		"shards moved":     {[]peer.ID{b.id}, nil, 5},
		"lost here":        {nil, []int{0}, 6},
		"both":             {[]peer.ID{b.id, c.id}, []int{0, 2}, 0},
	} {
		missing, away := map[int]bool{}, map[peer.ID]bool{}
		for _, shard := range tt.missing {
			missing[shard] = true
		}
		for _, id := range tt.away {
			away[id] = true
		}
		if got := surviving(signed, now, func(id peer.ID) bool { return away[id] }, missing); got != tt.want {
			t.Errorf("%s: %d shards survive, want %d", name, got, tt.want)
		}
	}
}

// TestProgress: the estimate follows the rate of the last minutes, and ends when nothing moves.
func TestProgress(t *testing.T) {
	p, now := &progress{}, time.Unix(1000, 0)
	if p.left(now, 10) != 0 {
		t.Error("an estimate from nothing")
	}
	for range 600 { // two per second
		p.rebuilt(now)
		now = now.Add(500 * time.Millisecond)
	}
	if left := p.left(now, 1000); left < 480*time.Second || left > 520*time.Second {
		t.Errorf("1000 slivers at two per second are left for %v", left)
	}
	for range 1200 { // four times as fast
		p.rebuilt(now)
		now = now.Add(125 * time.Millisecond)
	}
	if left := p.left(now, 1000); left > 220*time.Second {
		t.Errorf("1000 slivers are left for %v, although it goes faster now", left)
	}
	if len(p.samples) > int(rateTime/sampleTime)+2 {
		t.Errorf("%d samples", len(p.samples))
	}
	if left := p.left(now.Add(2*rateTime), 1000); left != 0 {
		t.Errorf("nothing has moved for long: an estimate of %v", left)
	}
}

// TestQuiet: of a thousand lines in a burst few are logged; later ones are logged again.
func TestQuiet(t *testing.T) {
	q, now := &quiet{}, time.Unix(1000, 0)
	count := func(lines int, every time.Duration) (logged int) {
		for range lines {
			if q.allows(now) {
				logged++
			}
			now = now.Add(every)
		}
		return logged
	}
	if n := count(1000, 0); n != quietLines {
		t.Errorf("%d lines of a burst", n)
	}
	if n := count(600, time.Second); n < 55 || n > 65 {
		t.Errorf("%d lines in ten minutes", n)
	}
}

// TestBudget: the traffic stays within the rate over time, and within a quarter of it while users are there.
func TestBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var users atomic.Bool
		b := &budget{rate: 1 << 20, users: users.Load}
		spend := func(bytes int64, times int) time.Duration {
			start := time.Now()
			for range times {
				must(t, b.spend(t.Context(), bytes))
			}
			return time.Since(start)
		}
		if took := spend(1<<20, 1); took > 0 {
			t.Errorf("a repair that comes alone waited %v", took)
		}
		if took := spend(64<<10, 160); took < 10*time.Second || took > 12*time.Second {
			t.Errorf("ten times the rate took %v", took)
		}
		users.Store(true)
		time.Sleep(time.Minute)
		if took := spend(64<<10, 160); took < 39*time.Second || took > 41*time.Second {
			t.Errorf("ten times the rate took %v while users were there", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := b.spend(ctx, 1<<30); err == nil {
			if err = b.spend(ctx, 1); err == nil {
				t.Error("spends beyond the end of its context")
			}
		}
	})
}

// TestReading: a user's read is seen from its start to a moment after its end.
func TestReading(t *testing.T) {
	o := newOutpost(t, 4, []byte("a blob"))
	if o.library.reading() {
		t.Error("nobody reads yet")
	}
	r, err := o.library.OpenSliver(t.Context(), o.meta.ID(), shards.Primary, o.sliver(shards.Primary))
	must(t, err)
	o.library.lastRead.Store(0)
	if !o.library.reading() {
		t.Error("an open sliver is not seen")
	}
	must(t, r.Close())
	if !o.library.reading() || o.library.readers.Load() != 0 {
		t.Error("a read that has just ended is not seen")
	}
	o.library.lastRead.Store(0)
	if o.library.reading() {
		t.Error("a read is seen for ever")
	}
}

// TestManyDebts: a keeper that owes more blobs than its list has places repairs them all.
func TestManyDebts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		defer s.close()
		s.event([]string{"seats", "5", "us:0,1", "ana:2,3,4,5,6,7,8,9"})
		s.event([]string{"ledger", "enters", "epoch", "5"})
		s.keeper.debts.most = 8
		const blobs = 30
		for i := range blobs {
			b := s.blob(string(rune('a'+i%26)) + string(rune('a'+i/26)))
			s.ledger.values[string(ledger.KeyBlobInfo(b.id()))] = ledger.BlobInfo{InitialCertified: 5, PermanentEnd: 9,
				PermanentCertifiedEnd: 9}.Marshal()
			raw, _ := s.certificate([]string{b.name + "@5", "ana"})
			must(t, s.keeper.shelf.PutCertificate(b.id(), 5, raw))
			must(t, s.keeper.book.recount(b.id(), 0))
		}
		if owed := s.keeper.debts.total(); owed != 4*blobs {
			t.Fatalf("%d slivers are owed", owed)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		s.keeper.repairer.log = slog.New(slog.DiscardHandler)
		go func() { done <- s.keeper.repairer.run(ctx) }()
		for end := time.Now().Add(time.Hour); s.keeper.debts.total() > 0 && time.Now().Before(end); {
			if waiting, active := s.keeper.debts.backlog(); waiting+active > 8 {
				t.Fatalf("%d blobs in the list", waiting+active)
			}
			time.Sleep(time.Second)
		}
		cancel()
		must(t, <-done)
		for _, b := range s.blobs {
			for shard := range 2 {
				for _, axis := range axes {
					if ok, err := s.keeper.shelf.HasSliver(store.Ref{Blob: b.id(), Shard: shard, Axis: axis}); !ok || err != nil {
						t.Errorf("%s: %s sliver of shard %d is not repaired: %v", b.name, axis, shard, err)
					}
				}
			}
		}
	})
}
