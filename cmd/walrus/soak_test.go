package main

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
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
	c := newCluster(t, 7, 100)
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

// TestSoakDamage flips bits in random files of a stopped node's store. The node must start, find the damage by itself
// and repair it, and no read may return a wrong byte.
func TestSoakDamage(t *testing.T) {
	rounds := soakRounds(t)
	seed, src := seeded(t)
	rnd := rand.New(src)
	t.Logf("seed %d", seed)
	c := newCluster(t, 7, 100)
	c.awaitHealth(30 * time.Second)
	var blobs []blob
	for range 3 {
		b, _ := c.newBlob(src, 3<<20, exitDone)
		blobs = append(blobs, b)
	}
	for round := range rounds {
		victim := rnd.IntN(len(c.node))
		if round%2 == 0 {
			c.stop(victim)
		} else {
			c.kill(victim)
		}
		flips := 1 + rnd.IntN(20)
		for range flips {
			t.Logf("round %d: node %d: %s", round, victim, flipBit(t, rnd, filepath.Join(c.net.Homes[victim], "store")))
		}
		c.start(victim)
		c.read(blobs[rnd.IntN(len(blobs))])
		t.Logf("round %d: node %d well after %s", round, victim, c.awaitHealth(60*time.Second).Round(time.Millisecond))
	}
	// Every node reads everything back when it starts, and must find nothing wrong any more.
	for i := range c.node {
		c.stop(i)
		if err := os.Truncate(c.log(i), 0); err != nil {
			t.Fatal(err)
		}
	}
	c.start(0, 1, 2, 3, 4, 5, 6)
	c.awaitHealth(60 * time.Second)
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
