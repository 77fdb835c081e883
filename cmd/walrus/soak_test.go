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

// soakRounds returns how often the two long tests damage the network: $WALRUS_SOAK, or zero.
func soakRounds(t *testing.T) int {
	t.Helper()
	n, err := strconv.Atoi(os.Getenv("WALRUS_SOAK"))
	if err != nil || n < 1 {
		t.Skip("set WALRUS_SOAK to the number of rounds, such as 20")
	}
	return n
}

// TestSoakKills kills one node at a random moment of each of many uploads. Every successful store must be readable and,
// once the nodes are back, complete.
func TestSoakKills(t *testing.T) {
	rounds := soakRounds(t)
	seed, src := seeded(t)
	rnd := rand.New(src)
	t.Logf("seed %d", seed)
	c := newCluster(t, config.DevnetOptions{Nodes: 7, Shards: 100})
	c.awaitHealth()
	var blobs []blob
	for round := range rounds {
		victim := rnd.IntN(len(c.node))
		after := time.Duration(rnd.Int64N(int64(2 * time.Second)))
		p := c.node[victim]
		timer := time.AfterFunc(after, func() { _ = p.kill() })
		b, _ := c.newBlob(src, 8<<20+rnd.IntN(1<<20), exitDone)
		if timer.Stop() {
			_ = p.kill() // the upload was faster than the kill
		}
		<-p.done
		blobs = append(blobs, b)
		c.read(b)
		c.start(victim)
		t.Logf("round %d: killed node %d after %s", round, victim, after.Round(time.Millisecond))
	}
	t.Logf("well after %s", c.awaitHealth().Round(time.Millisecond))
	for _, b := range blobs {
		c.read(b)
		c.wantWhole(b)
	}
}

// TestSoakDamage flips bits in random files of a stopped node's store, and in some rounds of its ledger. The node must
// start, find the damage by itself and repair it, and no read may return a wrong byte. It may refuse a damaged ledger
// if it says what to do, and must heal once that is done.
func TestSoakDamage(t *testing.T) {
	rounds := soakRounds(t)
	seed, src := seeded(t)
	rnd := rand.New(src)
	t.Logf("seed %d", seed)
	c := newCluster(t, config.DevnetOptions{Nodes: 7, Shards: 100})
	for i, home := range c.net.Homes {
		c.stop(i)
		scrubOften(t, home)
		c.start(i)
	}
	c.awaitHealth()
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
		before := c.passes(victim)
		refused += c.startDamaged(victim)
		c.read(blobs[rnd.IntN(len(blobs))])
		c.walrus(exitDone, "wallet", "send", someone, "0.001") // make the ledger continue
		start := time.Now()
		refused += c.awaitHealed(2 * time.Minute)
		c.awaitPasses(victim, before+2) // the first may have begun before the damage
		refused += c.awaitHealed(2 * time.Minute)
		t.Logf("round %d: node %d well after %s", round, victim, time.Since(start).Round(time.Millisecond))
		// A database found damaged while it was open is examined, and rid of damaged tables, when it is opened again.
		c.stop(victim)
		refused += c.startDamaged(victim)
		refused += c.awaitHealed(2 * time.Minute)
	}
	// Every node reads everything again, and must find no more damage.
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
		c.awaitPasses(i, 2)
		raw, err := os.ReadFile(c.log(i))
		if err != nil || bytes.Contains(raw, []byte("level=ERROR")) {
			t.Errorf("node %d is not whole again: %v\n%s", i, err, raw)
		}
	}
	for _, b := range blobs {
		c.wantWhole(b)
		c.read(b)
	}
}

// scrubOften makes a node read back everything every few seconds.
func scrubOften(t *testing.T, home string) {
	t.Helper()
	path := filepath.Join(home, config.NodeFile)
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	often := bytes.Replace(raw, []byte("scrub: \"\""), []byte("scrub: 5s"), 1)
	if bytes.Equal(often, raw) {
		t.Fatalf("%s has no period of the scrub", path)
	}
	if err := os.WriteFile(path, often, 0o600); err != nil {
		t.Fatal(err)
	}
}

// passes returns how often a node's log says that it has read back everything.
func (c *cluster) passes(i int) int {
	c.t.Helper()
	raw, err := os.ReadFile(c.log(i))
	if err != nil {
		c.t.Fatal(err)
	}
	return bytes.Count(raw, []byte("read back everything stored"))
}

// awaitPasses waits until a node has read back everything n times.
func (c *cluster) awaitPasses(i, n int) {
	c.t.Helper()
	poll := time.NewTicker(100 * time.Millisecond)
	defer poll.Stop()
	for start := time.Now(); c.passes(i) < n; <-poll.C {
		if time.Since(start) > 2*time.Minute {
			c.t.Fatalf("node %d has read back everything %d times, not %d, in %s", i, c.passes(i), n, 2*time.Minute)
		}
	}
}

// startDamaged starts a node whose ledger may be damaged. If the node refuses and says what to do, startDamaged does
// it. It returns how often the node refused.
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
	<-p.done // ready has killed it
	c.node[i] = nil
	c.replace(i, p, err)
	return 1
}

// awaitHealed waits until every node is well. It returns how many ended because they found their ledger damaged.
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
			c.t.Fatalf("not all nodes are healthy after %s:\n%s", limit, r.stdout)
		}
	}
}

// damagedLedger matches a node's last words about a damaged ledger: its path, and what to do.
var damagedLedger = regexp.MustCompile(`the ledger's database (\S+): .*the ledger's database is damaged.*: move the directory away and start again`)

// replace follows, literally, the advice of a node that ended because of a damaged ledger.
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

// flipBit flips one bit of one file under dir, all files equally likely, and returns the place.
func flipBit(t *testing.T, rnd *rand.Rand, dir string) string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		// Files that the store has moved aside are no longer used.
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

// written returns the length of a file up to its last byte that is not zero: databases reserve space ahead.
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
			return end // far enough into reserved space
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
