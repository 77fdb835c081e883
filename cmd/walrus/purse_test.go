package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"walrus/config"
	"walrus/ledger"
)

// TestSoakPurse runs many processes that store and pay with one wallet at once, from two homes that share no files, as
// on two machines. Each succeeds, and the reported payments add up to what left the account. In a soak there are 50
// stores and 50 payments by 20 processes at a time, otherwise a few of each.
func TestSoakPurse(t *testing.T) {
	if testing.Short() {
		t.Skip("starts dozens of processes")
	}
	each, processes := 6, 6
	if os.Getenv("WALRUS_KILLS") != "" {
		each, processes = 50, 20
	} else {
		t.Parallel() // runs with the others that mostly wait
	}
	c := newCluster(t, config.DevnetOptions{Nodes: 4, Shards: 20})
	homes := [2]string{c.home("a"), c.home("b")}
	before := c.balance()
	start := time.Now()
	told := make([]ledger.Amount, 2*each)
	var g errgroup.Group
	g.SetLimit(processes)
	for i := range told {
		args := []string{"--config", homes[i/2%2], "--json", "--timeout", "5m"}
		if i%2 == 0 {
			path := filepath.Join(c.dir, fmt.Sprint("file-", i))
			if err := os.WriteFile(path, fmt.Append(nil, "the content of file ", i), 0o600); err != nil {
				t.Fatal(err)
			}
			args = append(args, "store", path)
		} else {
			args = append(args, "wallet", "send", someone, fmt.Sprint(5_000_000+i, "FROST"))
		}
		g.Go(func() (err error) {
			r, err := walrus(t.Context(), nil, args...)
			if err == nil && r.code != exitDone {
				err = fmt.Errorf("%v: exit code %d: %s", args, r.code, r.stderr)
			}
			if err == nil {
				told[i], err = paidBy(r.stdout)
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	var sum, arrived ledger.Amount
	for i, paid := range told {
		sum += paid
		if i%2 == 1 {
			arrived += ledger.Amount(5_000_000 + i)
		}
	}
	if gone := before - c.balance(); gone != sum {
		t.Errorf("%v left the account, %v were told", gone, sum)
	}
	if got := c.balance(someone); got != arrived {
		t.Errorf("%v arrived, %v were sent", got, arrived)
	}
	t.Logf("%d stores and %d payments in %s", each, each, time.Since(start).Round(time.Millisecond))
}

// home makes a folder with a copy of a client's files, and returns the path of its configuration.
func (c *cluster) home(name string) string {
	c.t.Helper()
	dir := filepath.Join(c.dir, name)
	if err := os.Mkdir(dir, 0o700); err != nil {
		c.t.Fatal(err)
	}
	conf := c.config()
	for _, path := range []string{conf.Path, conf.Genesis, conf.Wallet} {
		raw, err := os.ReadFile(path)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, filepath.Base(path)), raw, 0o600)
		}
		if err != nil {
			c.t.Fatal(err)
		}
	}
	return filepath.Join(dir, filepath.Base(conf.Path))
}

// paidBy returns the amount, fees included, that the JSON of store or wallet send reports as paid.
func paidBy(stdout string) (ledger.Amount, error) {
	var sent struct {
		Amount ledger.Amount `json:"amountFrost"`
		Fee    ledger.Amount `json:"feeFrost"`
	}
	var stored []struct {
		Result struct {
			Created struct {
				Cost    ledger.Amount `json:"cost"`
				Fee     ledger.Amount `json:"feeFrost"`
				Deposit ledger.Amount `json:"depositFrost"`
			} `json:"newlyCreated"`
		} `json:"blobStoreResult"`
	}
	if json.Unmarshal([]byte(stdout), &stored) == nil && len(stored) == 1 {
		made := stored[0].Result.Created
		return made.Cost + made.Fee + made.Deposit, nil
	}
	err := json.Unmarshal([]byte(stdout), &sent)
	return sent.Amount + sent.Fee, err
}
