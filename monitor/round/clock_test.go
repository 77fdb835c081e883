package round

import (
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"pgregory.net/rapid"
)

func TestLength(t *testing.T) {
	for epoch, want := range map[time.Duration]time.Duration{
		0: MinLength, 20 * time.Second: MinLength, 12 * time.Minute: MinLength, 30 * time.Minute: 12 * time.Second,
		24 * time.Hour: MaxLength, 14 * 24 * time.Hour: MaxLength, 10 * 365 * 24 * time.Hour: MaxLength,
	} {
		if got := Length(epoch, 100); got != want {
			t.Errorf("epoch of %v: rounds of %v, want %v", epoch, got, want)
		}
	}
	for members, want := range map[int]time.Duration{1: 6 * time.Second, 7: 42 * time.Second, 1000: MaxLength} {
		if got := Length(24*time.Hour, members); got != want {
			t.Errorf("%d members: rounds of %v, want %v", members, got, want)
		}
	}
}

// TestNumber: rounds follow each other without gap or overlap, whatever a clock or a message says.
func TestNumber(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		length := Length(time.Duration(rapid.Int64Range(0, int64(30*24*time.Hour)).Draw(t, "epoch")), rapid.IntRange(1, 1000).Draw(t, "members"))
		n := rapid.Uint64Range(0, 1<<32).Draw(t, "round")
		start := Start(n, length)
		if Number(start, length) != n || Number(start.Add(length-1), length) != n || Number(start.Add(length), length) != n+1 {
			t.Fatalf("round %d of %v begins at %v", n, length, start)
		}
	})
	for _, at := range []time.Time{{}, time.Unix(-1, 0), time.Unix(1<<62, 0)} {
		Number(at, MinLength) // no panic
	}
	if Number(time.Unix(100, 0), 0) != 0 || !Start(1<<63, MaxLength).Equal(Start(maxNumber, MaxLength)) {
		t.Error("a length of zero or a huge number has no bound")
	}
}

// TestOffset: probes begin within the first 80 %, anywhere there, and not when the node could know.
func TestOffset(t *testing.T) {
	var first, last, count = time.Hour, time.Duration(0), 1000
	var quarter [4]int
	for i := range count {
		at := Offset([32]byte{1}, uint64(i), Key{2}, MaxLength)
		first, last = min(first, at), max(last, at)
		quarter[at/(2*time.Minute)]++
	}
	if first < 0 || first > 10*time.Second || last >= 8*time.Minute || last < 470*time.Second {
		t.Errorf("probes begin between %v and %v", first, last)
	}
	for i, n := range quarter {
		if n < 200 || n > 300 {
			t.Errorf("quarter %d has %d of %d probes", i, n, count)
		}
	}
	if Offset([32]byte{1}, 7, Key{2}, MaxLength) == Offset([32]byte{2}, 7, Key{2}, MaxLength) {
		t.Error("the offset does not depend on the secret")
	}
}

func TestKeys(t *testing.T) {
	k := Key{1, 2, 3}
	back, err := KeyOf(k.Peer())
	if err != nil || back != k {
		t.Fatalf("%v, %v", back, err)
	}
	for _, id := range []string{"", "x", string(k.Peer())[1:], string(k.Peer()) + "x"} {
		if _, err := KeyOf(peer.ID(id)); err == nil {
			t.Errorf("%q has a key", id)
		}
	}
}

// TestCodes: coding is monotone, its error is below a step, and a code survives.
func TestCodes(t *testing.T) {
	for c := Code(1); ; c++ {
		if RTTOf(c.RTT()) != c || RateOf(int64(c.Rate())*1000, 1000*time.Second) != c && int64(c.Rate())*1000 >= RateSize {
			t.Fatalf("code %d does not survive", c)
		}
		if c == 255 {
			break
		}
		if r := float64((c + 1).RTT()) / float64(c.RTT()); r < 1.05 || r > 1.07 {
			t.Fatalf("a step of %f at %d", r, c)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		a := time.Duration(rapid.Int64Range(0, int64(5*time.Minute)).Draw(t, "a"))
		c := RTTOf(a)
		if c == 0 || c > 1 && c.RTT() > a || c < 255 && (c+1).RTT() <= a {
			t.Fatalf("%v has code %d, %v", a, c, c.RTT())
		}
		size := rapid.Int64Range(0, 1<<40).Draw(t, "size")
		rate := RateOf(size, a)
		if (rate == 0) != (size < RateSize) {
			t.Fatalf("%d bytes in %v have rate %d", size, a, rate)
		}
	})
	if RTTOf(-1) != 1 || RateOf(1<<62, 0) != 255 || RateOf(1<<62, -1) != 255 || Code(0).RTT() != 0 || Code(0).Rate() != 0 {
		t.Error("extremes")
	}
	if got := Code(255).RTT().Truncate(time.Second); got != 235*time.Second {
		t.Errorf("the greatest round trip is %v", got)
	}
}
