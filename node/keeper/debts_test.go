package keeper

import (
	"math/rand/v2"
	"testing"
	"time"

	"walrus/shards"
)

func blob(i int) shards.BlobID { return shards.BlobID{byte(i), byte(i >> 8)} }

func TestDebtsOrder(t *testing.T) {
	d := newDebts()
	now := time.Unix(1000, 0)
	d.set(blob(1), 4, now.Add(3*time.Second))
	d.set(blob(2), 2, now.Add(time.Second))
	d.set(blob(3), 0, now)
	if d.total() != 6 {
		t.Errorf("total %d, want 6", d.total())
	}
	if _, ok, wait := d.next(now); ok || wait != time.Second {
		t.Errorf("next before anything is due: %v, wait %v", ok, wait)
	}
	id, ok, _ := d.next(now.Add(time.Second))
	if !ok || id != blob(2) || !d.repairing(blob(2)) {
		t.Fatalf("next: %v %v", id, ok)
	}
	if _, ok, wait := d.next(now.Add(time.Second)); ok || wait != 2*time.Second {
		t.Errorf("a debt that is being worked on was handed out again, or the wait is wrong: %v", wait)
	}
	d.set(blob(2), 0, now) // repaired
	d.failed(blob(2), now, time.Second, time.Minute)
	if d.total() != 4 || d.repairing(blob(2)) {
		t.Errorf("a settled debt lives on: total %d", d.total())
	}
}

func TestDebtsBackoff(t *testing.T) {
	d := newDebts()
	now := time.Unix(1000, 0)
	d.set(blob(1), 1, now)
	for i, want := range []time.Duration{1, 2, 4, 8, 10, 10} {
		if _, ok, wait := d.next(now); !ok {
			t.Fatalf("attempt %d: nothing due for %v", i, wait)
		}
		d.failed(blob(1), now, time.Second, 10*time.Second)
		_, ok, wait := d.next(now)
		if ok || wait != want*time.Second {
			t.Errorf("after attempt %d: wait %v, want %vs", i, wait, int(want))
		}
		d.set(blob(1), 1, now) // counted again meanwhile: keeps its schedule
		now = now.Add(wait)
	}
}

func TestDebtsWaitForUploads(t *testing.T) {
	d := newDebts()
	now := time.Unix(1000, 0)
	first, second := d.upload(blob(1)), d.upload(blob(1))
	d.set(blob(1), 1, now)
	first()
	if _, ok, _ := d.next(now); ok {
		t.Error("a blob is repaired while it is uploaded")
	}
	second()
	if _, ok, _ := d.next(now.Add(uploadPause)); !ok {
		t.Error("a blob is not repaired after its uploads ended")
	}
}

func TestDebtsForget(t *testing.T) {
	d := newDebts()
	now := time.Unix(1000, 0)
	d.set(blob(1), 5, now)
	d.next(now)
	d.forget(blob(1))
	if _, ok, wait := d.next(now.Add(time.Hour)); ok || wait != 0 || d.total() != 0 {
		t.Errorf("a hopeless debt is still worked on: wait %v, total %d", wait, d.total())
	}
}

// TestDebtsModel drives debts at random and compares the total with a plain count.
func TestDebtsModel(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	d := newDebts()
	owed := map[shards.BlobID]int{}
	var active []shards.BlobID
	now := time.Unix(1000, 0)
	for range 10_000 {
		id := blob(r.IntN(50))
		switch r.IntN(4) {
		case 0, 1:
			k := r.IntN(4)
			d.set(id, k, now.Add(time.Duration(r.IntN(5))*time.Second))
			owed[id] = k
		case 2:
			if id, ok, _ := d.next(now); ok {
				if owed[id] == 0 {
					t.Fatalf("handed out %v, of which nothing is owed", id)
				}
				for _, a := range active {
					if a == id {
						t.Fatalf("handed out %v twice", id)
					}
				}
				active = append(active, id)
			}
		case 3:
			if len(active) > 0 {
				d.failed(active[0], now, time.Second, 8*time.Second)
				active = active[1:]
			}
		}
		now = now.Add(time.Duration(r.IntN(1000)) * time.Millisecond)
		var want uint64
		for _, k := range owed {
			want += uint64(k)
		}
		if d.total() != want {
			t.Fatalf("total %d, want %d", d.total(), want)
		}
		for i := 0; i < len(active); i++ { // settled while it was worked on
			if owed[active[i]] == 0 {
				active = append(active[:i], active[i+1:]...)
				i--
			}
		}
	}
}
