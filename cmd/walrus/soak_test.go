package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"walrus/config"
)

// soakRounds is how often the two long tests hurt the network: $WALRUS_SOAK, or not at all.
func soakRounds(t *testing.T) int {
	t.Helper()
	n, err := strconv.Atoi(os.Getenv("WALRUS_SOAK"))
	if err != nil || n < 1 {
		t.Skip("set WALRUS_SOAK to the number of rounds, such as 20")
	}
	return n
}

// TestSoakKills kills one node at a random moment of each of many uploads. Every store that succeeds must be readable
// and, when the nodes are back, whole.
func TestSoakKills(t *testing.T) {
	rounds := soakRounds(t)
	seed, src := seeded(t)
	rnd := rand.New(src)
	t.Logf("seed %d", seed)
	c := newCluster(t, config.DevnetOptions{Nodes: 7, Shards: 100})
	c.awaitHealth(30 * time.Second)
	var blobs []blob
	for round := range rounds {
		victim := rnd.IntN(len(c.node))
		after := time.Duration(rnd.Int64N(int64(2 * time.Second)))
		p := c.node[victim]
		timer := time.AfterFunc(after, func() { _ = p.kill() })
		b, _ := c.newBlob(src, 8<<20+rnd.IntN(1<<20), exitDone)
		if timer.Stop() {
			_ = p.kill() // the upload was faster
		}
		<-p.done
		blobs = append(blobs, b)
		c.read(b)
		c.start(victim)
		t.Logf("round %d: killed node %d after %s", round, victim, after.Round(time.Millisecond))
	}
	t.Logf("well after %s", c.awaitHealth(120*time.Second).Round(time.Millisecond))
	for _, b := range blobs {
		c.read(b)
		c.wantWhole(b)
	}
}

// TestSoakDamage flips bits in random files of a stopped node's store, and in some rounds of its ledger. The node must
// start, find the damage by itself and repair it, and no read may return a wrong byte. It may refuse a damaged ledger,
// if it says what to do about that, and must heal once that is done.
func TestSoakDamage(t *testing.T) {
	rounds := soakRounds(t)
	seed, src := seeded(t)
	rnd := rand.New(src)
	t.Logf("seed %d", seed)
	c := newCluster(t, config.DevnetOptions{Nodes: 7, Shards: 100})
	c.awaitHealth(30 * time.Second)
	var blobs []blob
	for range 3 {
		b, _ := c.newBlob(src, 3<<20, exitDone)
		blobs = append(blobs, b)
	}
	refused := 0
	for round := range rounds {
		victim := rnd.IntN(len(c.node))
		if round%2 == 0 {
			c.stop(victim)
		} else {
			c.kill(victim)
		}
		part := "store"
		if round%3 == 2 {
			part = "ledger"
		}
		flips := 1 + rnd.IntN(20)
		for range flips {
			t.Logf("round %d: node %d: %s", round, victim, flipBit(t, rnd, filepath.Join(c.net.Homes[victim], part)))
		}
		refused += c.startDamaged(victim)
		c.read(blobs[rnd.IntN(len(blobs))])
		c.walrus(exitDone, "wallet", "send", someone, "0.001") // the ledger goes on
		start := time.Now()
		refused += c.awaitHealed(2 * time.Minute)
		t.Logf("round %d: node %d well after %s", round, victim, time.Since(start).Round(time.Millisecond))
	}
	// Every node reads everything back when it starts, and must find nothing wrong any more.
	for i := range c.node {
		c.stop(i)
		if err := os.Truncate(c.log(i), 0); err != nil {
			t.Fatal(err)
		}
		refused += c.startDamaged(i)
	}
	refused += c.awaitHealed(2 * time.Minute)
	c.awaitLedger(c.newGuest("guest", nil))
	t.Logf("a damaged ledger was refused %d times", refused)
	for i := range c.node {
		c.awaitLog(i, "read back everything stored")
		raw, err := os.ReadFile(c.log(i))
		if err != nil || bytes.Contains(raw, []byte("level=ERROR")) || !bytes.Contains(raw, []byte(" corrupt=0 ")) {
			t.Errorf("node %d is not whole again: %v\n%s", i, err, raw)
		}
	}
	for _, b := range blobs {
		c.wantWhole(b)
		c.read(b)
	}
}

// startDamaged starts a node whose ledger may be damaged, and returns how often it was refused, with what to do about
// it, before that was done.
func (c *cluster) startDamaged(i int) (refused int) {
	c.t.Helper()
	p, err := startProc(context.Background(), c.log(i), "node", "run", "--home", c.net.Homes[i])
	if err != nil {
		c.t.Fatal(err)
	}
	c.node[i] = p
	_, err = p.ready()
	if err == nil {
		return 0
	}
	<-p.done // ready has seen to it
	c.node[i] = nil
	c.replace(i, p, err)
	return 1
}

// awaitHealed wants every node well, and returns how many of them found their ledger to be damaged and ended.
func (c *cluster) awaitHealed(limit time.Duration) (refused int) {
	c.t.Helper()
	for start := time.Now(); ; {
		for i, p := range c.node {
			select {
			case <-p.done:
				c.replace(i, p, p.err)
				refused++
			default:
			}
		}
		r, err := walrus(c.t.Context(), nil, "--config", c.net.Client, "health")
		if err != nil {
			c.t.Fatal(err)
		}
		if r.code == exitDone {
			return refused
		}
		if time.Since(start) > limit {
			c.t.Fatalf("not all nodes are well after %s:\n%s", limit, r.stdout)
		}
	}
}

// damagedLedger is what a node with a damaged ledger says in the end: where it is, and what to do.
var damagedLedger = regexp.MustCompile(`the ledger's database (\S+): .*the ledger's database is damaged.*: move the directory away and start again`)

// replace does what a node with a damaged ledger has asked for, to the letter, before it ended.
func (c *cluster) replace(i int, p *proc, err error) {
	c.t.Helper()
	text := strings.TrimSpace(p.tail())
	last := text[strings.LastIndex(text, "\n")+1:]
	asked := damagedLedger.FindStringSubmatch(last)
	if asked == nil {
		c.t.Fatalf("node %d ended, which a damaged ledger does not explain: %v\n%s", i, err, text)
	}
	c.t.Logf("node %d refuses its ledger: %s", i, last)
	if err := os.Rename(asked[1], filepath.Join(c.t.TempDir(), "db")); err != nil {
		c.t.Fatal(err)
	}
	c.start(i)
}

// flipBit flips one bit of one file under dir, each file as likely as the other, and returns where.
func flipBit(t *testing.T, rnd *rand.Rand, dir string) string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		// What the store has moved aside is of no use any more.
		if err == nil && d.Type().IsRegular() && !strings.Contains(path, ".corrupt") && written(t, path) > 0 {
			files = append(files, path)
		}
		return err
	})
	if err != nil || len(files) == 0 {
		t.Fatalf("find files in %s: %v", dir, err)
	}
	path := files[rnd.IntN(len(files))]
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	at := rnd.Int64N(written(t, path))
	var b [1]byte
	if _, err := f.ReadAt(b[:], at); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 1 << rnd.IntN(8)
	if _, err := f.WriteAt(b[:], at); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%s at %d", path, at)
}

// written is how much of the beginning of a file is more than zeros: databases reserve space ahead.
func written(t *testing.T, path string) int64 {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var end, at int64
	buf := make([]byte, 1<<20)
	for {
		n, err := f.Read(buf)
		if text := bytes.TrimRight(buf[:n], "\x00"); len(text) > 0 {
			end = at + int64(len(text))
		} else if at-end > 64<<20 {
			return end // far enough into what is only reserved
		}
		at += int64(n)
		if err == io.EOF {
			return end
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
