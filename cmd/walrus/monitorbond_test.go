package main

import (
	"crypto/ed25519"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"walrus/config"
	"walrus/internal/pause"
	"walrus/ledger"
)

// TestMonitorBond bonds monitors on a devnet with short epochs, gives the bonds up, and has the WAL back two epochs
// later, without another transaction.
func TestMonitorBond(t *testing.T) {
	if testing.Short() {
		t.Skip("starts four processes")
	}
	t.Parallel() // mostly waits for processes
	c := newCluster(t, config.DevnetOptions{Nodes: 4, Shards: 20, Epoch: 8 * time.Second})
	c.awaitHealth()
	home := filepath.Join(c.dir, "monitor")
	if r := c.walrus(exitFailed, "monitor", "bond", "--amount", "100", "--home", home); !strings.Contains(r.stderr, "run the monitor first") {
		t.Errorf("without a monitor: %s", r.stderr)
	}
	key, err := config.PinKey(home)
	if err != nil {
		t.Fatal(err)
	}
	monitor := ledger.PeerKey(key[ed25519.SeedSize:])
	if r := c.walrus(exitFailed, "monitor", "bond", "--amount", "99", "--home", home); !strings.Contains(r.stderr, "at least 100 WAL") {
		t.Errorf("a bond of 99 WAL: %s", r.stderr)
	}
	if r := c.walrus(exitFailed, "monitor", "bond", "--amount", "100", "--home", c.net.Homes[0]); !strings.Contains(r.stderr, "member of the committee") {
		t.Errorf("a bond of a member: %s", r.stderr)
	}
	if r := c.walrus(exitFailed, "monitor", "unbond", "--home", home); !strings.Contains(r.stderr, "has no bond") {
		t.Errorf("giving up a bond that is not there: %s", r.stderr)
	}
	rich := c.balance()
	var made bondReport
	c.parse(c.walrus(exitDone, "monitor", "bond", "--amount", "150", "--home", home, "--json"), &made)
	if made.Monitor != monitor || ledger.Amount(made.Amount) != 150*ledger.WAL || made.Added != made.Amount {
		t.Errorf("%+v", made)
	}
	if left := c.balance(); left+150*ledger.WAL+ledger.Amount(made.Fee) != rich {
		t.Errorf("%v before, %v after a bond of 150 WAL and a fee of %d FROST", rich, left, made.Fee)
	}

	// From another computer, with the monitor's agreement; an agreement to another account is of no use.
	other := filepath.Join(c.dir, "other")
	second, err := config.PinKey(other)
	if err != nil {
		t.Fatal(err)
	}
	foreign := strings.TrimSpace(c.walrus(exitDone, "monitor", "agree", someone, "--home", other).stdout)
	if r := c.walrus(exitUsage, "monitor", "bond", "--amount", "100", "--agreement", foreign); !strings.Contains(r.stderr, "another account") {
		t.Errorf("an agreement to another account: %s", r.stderr)
	}
	agreement := strings.TrimSpace(c.walrus(exitDone, "monitor", "agree", c.address(), "--home", other).stdout)
	c.walrus(exitDone, "monitor", "bond", "--amount", "100", "--agreement", agreement)

	row := func(of ledger.PeerKey) (epoch uint32, b bondRow, found bool) {
		var list struct {
			Epoch uint32    `json:"epoch"`
			Bonds []bondRow `json:"bonds"`
		}
		c.parse(c.walrus(exitDone, "monitor", "bonds", "--json"), &list)
		for _, b := range list.Bonds {
			if b.Monitor == of {
				return list.Epoch, b, true
			}
		}
		return list.Epoch, b, false
	}
	// await asks until done, or until an epoch that must not begin before.
	await := func(what string, last uint32, done func(epoch uint32, b bondRow, found bool) bool) {
		t.Helper()
		for {
			epoch, b, found := row(monitor)
			if done(epoch, b, found) {
				return
			}
			if epoch > last {
				t.Fatalf("%s: not in epoch %d: %+v", what, epoch, b)
			}
			if !pause.For(t.Context(), 200*time.Millisecond) {
				t.Fatal(t.Context().Err())
			}
		}
	}
	await("the bond counts", made.Since+1, func(epoch uint32, b bondRow, found bool) bool {
		if !found || b.Amount != 150*ledger.WAL || (b.Counts > 0) != (epoch > made.Since) {
			t.Errorf("in epoch %d: %+v", epoch, b)
		}
		return b.Counts == 150*ledger.WAL
	})
	before := c.balance()
	var gone struct {
		Until, Return uint32
		Fee           ledger.Amount
	}
	c.parse(c.walrus(exitDone, "monitor", "unbond", "--monitor", monitor.String(), "--json"), &struct {
		Until  *uint32        `json:"untilEpoch"`
		Return *uint32        `json:"returnEpoch"`
		Fee    *ledger.Amount `json:"feeFrost"`
	}{&gone.Until, &gone.Return, &gone.Fee})
	if gone.Return != gone.Until+1 {
		t.Errorf("%+v", gone)
	}
	if r := c.walrus(exitFailed, "monitor", "unbond", "--home", home); !strings.Contains(r.stderr, "already goes back") {
		t.Errorf("giving a bond up twice: %s", r.stderr)
	}
	twice := c.balance()
	await("the WAL is back", gone.Return, func(epoch uint32, b bondRow, found bool) bool {
		if found != (epoch < gone.Return) || found && (b.Counts > 0) != (epoch < gone.Until) || found && b.Return != gone.Return {
			t.Errorf("in epoch %d: found %t, %+v; given up until %d, back in %d", epoch, found, b, gone.Until, gone.Return)
		}
		return !found
	})
	if back := c.balance(); back != twice+150*ledger.WAL || back <= before {
		t.Errorf("%v before it was given up, %v meanwhile, %v at the end", before, twice, back)
	}
	if _, b, found := row(ledger.PeerKey(second[ed25519.SeedSize:])); !found || b.Amount != 100*ledger.WAL {
		t.Errorf("the other bond: %t, %+v", found, b)
	}
	history := c.walrus(exitDone, "wallet", "history", "--json").stdout
	for _, want := range []string{"bondMonitor", "unbondMonitor"} {
		if !strings.Contains(history, want) {
			t.Errorf("the history has no %s", want)
		}
	}
}
