package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestProcesses is a network of seven processes through the life of two blobs: all up, two killed, three killed, back.
func TestProcesses(t *testing.T) {
	if testing.Short() {
		t.Skip("starts seven processes")
	}
	t.Parallel() // it mostly waits for processes
	seed, rnd := seeded(t)
	t.Logf("seed %d", seed)
	c := newCluster(t, 7, 100)
	c.awaitHealth(30 * time.Second)
	first, _ := c.newBlob(rnd, 3<<20+17, exitDone)
	c.read(first)

	c.kill(1)
	c.kill(4)
	c.walrus(exitFailed, "health")
	second, stored := c.newBlob(rnd, 2<<20, exitDone)
	var entries []storeEntry
	c.parse(stored, &entries)
	if s := entries[0].Shards; s == nil || s.Confirmed < s.Needed || s.Confirmed > 72 || s.Needed != 67 || s.Total != 100 {
		t.Errorf("stored with shards %+v: want 67 to 72 of 100", s)
	}
	c.read(second)

	// One more is too many to store, and still few enough to read.
	c.kill(6)
	third, refused := c.newBlob(rnd, 1<<20, exitNotEnough)
	if want := "57 of 100 shards confirmed, 67 needed"; !strings.Contains(refused.stderr, want) {
		t.Errorf("stderr %q: want %q", refused.stderr, want)
	}
	c.read(first)

	c.start(1, 4, 6)
	t.Logf("well %s after the restart of three", c.awaitHealth(60*time.Second).Round(time.Millisecond))
	c.wantWhole(first)
	c.wantWhole(second)
	c.walrus(exitDone, "store", third.path)
	c.read(third)
	c.wantWhole(third)
	for i := range c.node {
		c.stop(i)
	}
}

// seeded is randomness that a failed test can be run again with: WALRUS_SEED.
func seeded(t *testing.T) (uint64, *rand.ChaCha8) {
	t.Helper()
	seed := rand.Uint64()
	if text := os.Getenv("WALRUS_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	var key [32]byte
	copy(key[:], fmt.Sprint(seed))
	return seed, rand.NewChaCha8(key)
}
