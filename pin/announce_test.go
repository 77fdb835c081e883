package pin

import (
	"slices"
	"testing"
	"time"
)

// total counts the announcements.
func (f *fakeAnnouncer) total() (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, times := range f.keys {
		n += times
	}
	return n
}

// becomes polls until ok, and reports whether it was.
func becomes(t *testing.T, ok func() bool) bool {
	t.Helper()
	for range 4000 {
		if ok() {
			return true
		}
		sleep(t.Context(), 5*time.Millisecond)
	}
	return false
}

// TestAnnouncedAgain: a restart announces nothing before it is due. When none of the announced addresses leads here any
// more, or the network has lost the announcements, all are made again.
func TestAnnouncedAgain(t *testing.T) {
	src := newSource(t, 4)
	told := &fakeAnnouncer{keys: map[[32]byte]int{}, addrs: []string{"home", "relay"}}
	plan := Schedule{Settle: 20 * time.Millisecond, Sample: time.Hour, ProbeAfter: time.Millisecond, Probe: 1e-9}
	cfg := Config{Dir: t.TempDir(), Params: src.params, Source: src, Announcer: told, Schedule: plan}
	const pins = 12 // more than are looked for
	restart := func(first bool, change func()) func() {
		if change != nil {
			told.set(change)
		}
		k, stop := running(t, cfg)
		for i := range pins {
			if !first {
				break
			}
			if _, err := k.Add(t.Context(), Request{Blob: src.add(t, randomBytes(uint64(i), 100))}); err != nil {
				t.Fatal(err)
			}
		}
		return stop
	}
	stop := restart(true, nil)
	if !becomes(t, func() bool { return told.total() == pins }) {
		t.Fatalf("%d announcements of %d pins", told.total(), pins)
	}
	for _, tt := range []struct {
		what   string
		change func()
		want   int
	}{
		{"nothing", nil, pins},
		{"one address", func() { told.addrs = []string{"away", "relay"} }, pins},
		{"no address is known", func() { told.addrs = nil }, pins},
		{"all addresses", func() { told.addrs = []string{"there", "other relay"} }, 2 * pins},
		{"nothing", nil, 2 * pins},
		{"the network forgot", func() { told.blind = true }, 3 * pins},
	} {
		stop()
		stop = restart(false, tt.change)
		if !becomes(t, func() bool { return told.total() >= tt.want }) {
			t.Errorf("changed %s: %d announcements, want %d", tt.what, told.total(), tt.want)
		}
		if told.set(func() { told.blind = false }); tt.what == "the network forgot" {
			break // what was looked for is announced once more
		}
		sleep(t.Context(), 200*time.Millisecond) // the looks for changes pass
		if told.total() != tt.want {
			t.Errorf("changed %s: %d announcements, want %d", tt.what, told.total(), tt.want)
		}
	}
}

// TestTogether: many announcements are made at once, and new pins do not wait for them.
func TestTogether(t *testing.T) {
	src := newSource(t, 4)
	told := &fakeAnnouncer{keys: map[[32]byte]int{}, addrs: []string{"a"}}
	cfg := Config{Dir: t.TempDir(), Params: src.params, Source: src, Announcer: told, Schedule: Schedule{Probe: 1e-9}}
	k, stop := running(t, cfg)
	const pins = 2 * sweepFrom
	for i := range pins {
		if _, err := k.Add(t.Context(), Request{Blob: src.add(t, randomBytes(uint64(i), 100))}); err != nil {
			t.Fatal(err)
		}
	}
	if !becomes(t, func() bool { return told.total() == pins && k.Status().Pinned == pins }) {
		t.Fatalf("%d announcements: %+v", told.total(), k.Status())
	}
	stop()
	k, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := announceEverything(k); err != nil {
		t.Fatal(err)
	}
	block := make(chan struct{})
	told.set(func() { told.block, told.all = block, nil })
	runs(t, k)
	id := src.add(t, []byte("new"))
	if _, err := k.Add(t.Context(), Request{Blob: id}); err != nil {
		t.Fatal(err)
	}
	if !becomes(t, func() bool { return told.count(id) == 1 }) {
		t.Error("a new pin waits for the others")
	}
	close(block)
	if !becomes(t, func() bool { return told.total() == 2*pins+1 }) {
		t.Errorf("%d announcements, want %d", told.total(), 2*pins+1)
	}
	told.set(func() {
		if len(told.all) != 1 || len(told.all[0]) != pins {
			t.Errorf("announced together: %d times", len(told.all))
		}
	})
}

// TestSlots: neighbours are due together, the periods hold, and the load is even.
func TestSlots(t *testing.T) {
	const period, slots = 22 * time.Hour, 64
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var all []time.Time
	for i := range 1 << 12 {
		at := slot(now, period, uint16(i<<4), slots)
		if wait := at.Sub(now); wait < period/16 || wait > period {
			t.Fatalf("place %d: announced again after %v", i<<4, wait)
		}
		all = append(all, at)
		next := slot(at.Add(time.Minute), period, uint16(i<<4), slots)
		if wait := next.Sub(at); wait < period*9/10 || wait > period {
			t.Fatalf("place %d: announced again after %v", i<<4, wait)
		}
		if i%(1<<12/slots) > 0 && !at.Equal(all[i-1]) {
			t.Fatalf("place %d is not due with its neighbour", i<<4)
		}
	}
	slices.SortFunc(all, time.Time.Compare)
	if times := slices.CompactFunc(slices.Clone(all), time.Time.Equal); len(times) != slots {
		t.Errorf("%d times, want %d", len(times), slots)
	}
	if half := all[len(all)/2].Sub(now); half < period*2/5 || half > period*3/5 {
		t.Errorf("half of all are due within %v", half)
	}
}
