package light

import (
	"errors"
	"testing"
	"time"

	"walrus/ledger"
)

// newPair makes a world of two members, enough for a quorum of clocks.
func newPair(t testing.TB) *world {
	t.Helper()
	w := &world{keys: newKeys(t, 1, 2), honest: newHost(t), liar: newHost(t), client: newHost(t)}
	w.chain = newChain(t, newGenesis(t, "test", 10, w.keys, w.liar.ID(), w.honest.ID()), w.keys)
	meet(w.client, w.honest)
	meet(w.client, w.liar)
	w.tale.Store(&source{Source: w.chain})
	serve(t, w.honest, w.genesis, w.chain)
	serve(t, w.liar, w.genesis, &teller{&w.tale})
	return w
}

// A wrong clock is named in every error that it causes, at once: clients do not wait for blocks that exist.
func TestWrongClock(t *testing.T) {
	w := newPair(t)
	for _, c := range []struct {
		ahead time.Duration
		want  string
	}{
		{ahead: 10 * time.Minute, want: "this computer's clock is 10 min ahead of the network's: set it"},
		{ahead: 6 * time.Minute, want: "this computer's clock is 6 min ahead of the network's: set it"},
		{ahead: -30 * time.Second, want: "this computer's clock is 30 s behind the network's: set it"},
		{ahead: -10 * time.Minute, want: "this computer's clock is 10 min behind the network's: set it"},
		{ahead: 4 * time.Second},
		{ahead: -8 * time.Second},
	} {
		w.grow(t)
		client := w.asking(t, w.honest, w.liar)
		client.cfg.Hasty = false
		client.trust.now = func() time.Time { return time.Now().Add(c.ahead) }
		ctx := limited(t)
		start := time.Now()
		_, err := client.Account(ctx, alice)
		if c.want == "" {
			if err != nil {
				t.Errorf("%v ahead: %v", c.ahead, err)
			}
			continue
		}
		var clock *ClockError
		if !errors.As(err, &clock) || !errors.Is(err, ErrClock) || errors.Is(err, ErrStalled) ||
			!contains(err.Error(), c.want) {
			t.Errorf("%v ahead: %v; want %q", c.ahead, err, c.want)
		}
		if _, err := client.Head(ctx); !errors.Is(err, ErrClock) {
			t.Errorf("%v ahead: head: %v", c.ahead, err)
		}
		if took := time.Since(start); took > firstBlock {
			t.Errorf("%v ahead: it took %v", c.ahead, took)
		}
		if set, err := client.Committee(ctx); c.ahead > 0 && (err != nil || set.Epoch() != 1) {
			t.Errorf("%v ahead: committee: %v", c.ahead, err)
		}
	}
}

// A node joins whatever its clock: it accepts whatever the validators have signed.
func TestAnyClock(t *testing.T) {
	w := newPair(t)
	w.grow(t)
	c, err := New(Config{Genesis: w.genesis, Host: w.client, Logger: quiet, Hasty: true, AnyClock: true})
	if err != nil {
		t.Fatal(err)
	}
	c.trust.now = func() time.Time { return time.Now().Add(-10 * time.Minute) }
	if head, err := c.Head(limited(t)); err != nil || head.Height == 0 {
		t.Errorf("head %+v, %v", head, err)
	}
}

// A stalled ledger is reported by every clock, right or wrong.
func TestStallByWrongClock(t *testing.T) {
	w := newPair(t)
	w.tale.Store(&source{Source: w.sleep(t, time.Hour)})
	c := w.asking(t, w.liar)
	c.trust.now = func() time.Time { return time.Now().Add(10 * time.Minute) }
	if _, err := c.Get(limited(t), 0, ledger.KeyEpoch()); !errors.Is(err, ErrStalled) || errors.Is(err, ErrClock) {
		t.Errorf("error %v, want ErrStalled", err)
	}
}

// One liar cannot move the median beyond the others' values.
func TestMedianClock(t *testing.T) {
	const s = time.Second
	for _, c := range []struct {
		list []clockSample
		want time.Duration
	}{
		{list: []clockSample{{s, 1}}, want: s},
		{list: []clockSample{{-1e6 * s, 1}, {1 * s, 1}, {2 * s, 1}}, want: 1 * s},
		{list: []clockSample{{1e6 * s, 1}, {1 * s, 1}, {2 * s, 1}}, want: 2 * s},
		{list: []clockSample{{1 << 62, 33}, {3 * s, 34}, {2 * s, 33}}, want: 3 * s},
		{list: []clockSample{{-1 << 62, 33}, {1 << 62, 33}, {7 * s, 34}}, want: 7 * s},
		{list: []clockSample{{0, 1}, {0, 1}, {60 * s, 5}}, want: 60 * s},
	} {
		if got := medianClock(c.list); got != c.want {
			t.Errorf("median of %v: %v, want %v", c.list, got, c.want)
		}
	}
}

// A watch reports when a clock goes wrong, when its offset changes, and when it is right again.
func TestClockWatch(t *testing.T) {
	const s = time.Second
	var w clockWatch
	for i, step := range []struct {
		ahead       time.Duration
		tell, wrong bool
	}{
		{ahead: 0}, {ahead: 4 * s}, {5 * s, true, true}, {ahead: 6 * s, wrong: true}, {-10 * s, true, true},
		{ahead: -12 * s, wrong: true},
		{4 * s, true, false}, {ahead: -4 * s}, {-600 * s, true, true},
	} {
		if tell := w.step(step.ahead); tell != step.tell || w.wrong != step.wrong {
			t.Errorf("step %d, %v ahead: tell %v, wrong %v", i, step.ahead, tell, w.wrong)
		}
	}
}

func TestClockText(t *testing.T) {
	for d, want := range map[time.Duration]string{
		5 * time.Second: "5 s ahead of", -90 * time.Second: "90 s behind", 150 * time.Second: "2 min ahead of",
		-26 * time.Hour:      "26 h behind",
		480 * 24 * time.Hour: "480 days ahead of",
	} {
		if got := ClockText(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}
