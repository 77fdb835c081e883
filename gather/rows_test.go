package gather

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"walrus/p2p"
	"walrus/shards"
)

// TestRowsHold plays random reads. Each ends, with all rows written if enough could be had, and in time: what hangs
// delays it by little.
func TestRowsHold(t *testing.T) {
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	for range 1000 {
		if err := playRead(random); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

func playRead(random *rand.Rand) error {
	natures := []error{nil, nil, nil, p2p.ErrBusy, p2p.ErrNotFound, p2p.ErrUnavailable, shards.ErrSliver, errHang}
	nature := make([]error, 1+random.IntN(8))
	for i := range nature {
		nature[i] = natures[random.IntN(len(natures))]
	}
	cfg := RowsConfig{
		Owner: make([]int, 1+random.IntN(30)), Holders: NewHolders(len(nature)), Window: 1 + random.IntN(6), Decoding: 32,
		Patience: Patience{Hedge: 2 * time.Second, Dial: time.Second, First: 3 * time.Second},
		Stored:   func(int) bool { return false },
	}
	can := 0
	for i := range cfg.Owner {
		cfg.Owner[i] = random.IntN(len(nature))
		if nature[cfg.Owner[i]] == nil {
			can++
		}
	}
	cfg.Sources = 1 + random.IntN(len(cfg.Owner))
	cfg.Next = random.IntN(cfg.Sources)
	cfg.End = cfg.Next + 1 + random.IntN(cfg.Sources-cfg.Next)
	need := make([]bool, 0, cfg.End)
	for i := cfg.Next; i < cfg.End; i++ {
		need = append(need, nature[cfg.Owner[i]] == nil)
	}
	possible := can >= cfg.Sources || !slices.Contains(need, false)
	if random.IntN(4) == 0 {
		cfg.Holders.Silence(random.IntN(len(nature)))
	}
	r, start := NewRows(cfg), time.Unix(0, 0)
	flying := map[int]time.Time{}
	for now := start; ; now = now.Add(time.Duration(random.IntN(200)) * time.Millisecond) {
		for !r.Done() && r.Has(r.Next) {
			r.Wrote(r.MustDecode())
		}
		if r.CanDecode() {
			for _, i := range r.Missing() {
				r.Arrived(i, false)
				delete(flying, i)
			}
			r.Decide(now)
			continue
		}
		for _, i := range r.Fetch(now, len(flying)) {
			flying[i] = now
		}
		late := now.Sub(start) > time.Minute
		switch {
		case r.Done() && possible, r.Impossible() && !possible, late && !possible: // a row that hangs may yet come
			return nil
		case r.Done() || r.Impossible() || late:
			return fmt.Errorf("done %v, impossible %v, late %v; possible %v: %+v, nature %v, flying %v", r.Done(),
				r.Impossible(), late, possible, r, nature, flying)
		}
		for _, i := range slices.Sorted(maps.Keys(flying)) {
			err := nature[cfg.Owner[i]]
			if err == errHang || random.IntN(2) == 0 {
				continue
			}
			delete(flying, i)
			if err == nil {
				r.Arrived(i, true)
				r.Took(100 * time.Millisecond)
			} else {
				r.Failed(now, i, err)
			}
		}
		r.Look(now, func(i int) Motion { return Motion{Connected: true, Moved: flying[i]} })
	}
}
