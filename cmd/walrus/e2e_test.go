package main

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"walrus/config"
	"walrus/ledger"
)

// TestProcesses takes a network of seven processes through the life of two blobs. With two nodes killed, everything
// works. With three killed, the ledger is stalled and says why, but blobs can be read. Then they come back.
func TestProcesses(t *testing.T) {
	if testing.Short() {
		t.Skip("starts seven processes")
	}
	t.Parallel() // mostly waits for processes
	seed, rnd := seeded(t)
	t.Logf("seed %d", seed)
	c := newCluster(t, config.DevnetOptions{Nodes: 7, Shards: 100})
	c.awaitHealth()
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
	paid := c.balance()
	c.walrus(exitDone, "wallet", "send", someone, "1.5")
	if now := c.balance(); now >= paid-3*ledger.WAL/2 {
		t.Errorf("%v were left after 1.5 WAL and a fee of %v", now, paid)
	}

	// With one more down, nothing can be agreed on, but enough are left to read.
	c.kill(6)
	third, refused := c.newBlob(rnd, 1<<20, exitNotEnough)
	wantNumbers(t, refused)
	start := time.Now()
	stuck := c.walrus(exitNotEnough, "wallet", "send", someone, "2.5")
	wantNumbers(t, stuck)
	t.Logf("told why nothing can be paid after %s", time.Since(start).Round(time.Millisecond))
	c.read(first)
	c.read(second)

	// It continues by itself when one is back. Transactions sent before happen once, or never.
	c.start(6)
	c.wantPaying(5*ledger.WAL, stuck)

	c.start(1, 4)
	t.Logf("well %s after the restart of the others", c.awaitHealth().Round(time.Millisecond))
	c.wantWhole(first)
	c.wantWhole(second)
	c.walrus(exitDone, "store", third.path)
	c.read(third)
	c.wantWhole(third)
	for i := range c.node {
		c.stop(i)
	}
}

// wantPaying pays 3.5 WAL to someone as soon as the ledger continues. By then someone must have least, plus only what
// earlier attempts may have paid: the stuck one of 2.5 WAL, and those of 3.5 WAL here.
func (c *cluster) wantPaying(least ledger.Amount, stuck result) {
	c.t.Helper()
	maybe := []result{stuck}
	start := time.Now()
	for paid := false; !paid; {
		r, err := walrus(c.t.Context(), nil, "--config", c.net.Client, "wallet", "send", someone, "3.5")
		if err != nil {
			c.t.Fatal(err)
		}
		if paid = r.code == exitDone; !paid {
			maybe = append(maybe, r)
		}
		if time.Since(start) > readyTimeout {
			c.t.Fatalf("the ledger is still stalled: %s", r.stderr)
		}
	}
	c.t.Logf("paid %s after the third was back", time.Since(start).Round(time.Millisecond))
	sums := map[ledger.Amount]bool{least: true} // the possible balances
	for i, r := range maybe {
		more := []ledger.Amount{5 * ledger.WAL / 2, 7 * ledger.WAL / 2}[min(i, 1)]
		if strings.Contains(r.stderr, "wallet's history") {
			for sum := range maps.Clone(sums) {
				sums[sum+more] = true
			}
		}
	}
	if got := c.balance(someone); !sums[got] {
		c.t.Errorf("%v arrived, want one of %v", got, sums)
	}
}

// someone is an account without a known key.
const someone = "0x00000000000000000000000000000000000000000000000000000000000a11ce"

// wantNumbers checks that a refusal says in numbers why nothing can be agreed on.
func wantNumbers(t *testing.T, r result) {
	t.Helper()
	if want := regexp.MustCompile(`57 of 100 shards .*67 needed`); !want.MatchString(r.stderr) {
		t.Errorf("stderr %q: want %s", r.stderr, want)
	}
}

// balance returns an account's balance, by default of the client's wallet.
func (c *cluster) balance(of ...string) ledger.Amount {
	c.t.Helper()
	var w struct {
		Balance ledger.Amount `json:"balanceFrost"`
	}
	c.parse(c.walrus(exitDone, append([]string{"wallet", "show", "--json"}, of...)...), &w)
	return w.Balance
}

// seeded returns randomness whose seed, WALRUS_SEED, repeats a failed test.
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
