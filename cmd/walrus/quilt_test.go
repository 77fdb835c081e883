package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"walrus/config"
)

// TestQuiltFolder stores and reads a folder of 600 small files on 1000 shards, also with a node down. Reading one file
// alone fetches only its column and the index.
func TestQuiltFolder(t *testing.T) {
	if testing.Short() {
		t.Skip("starts four processes")
	}
	t.Parallel() // mostly waits for processes
	seed, rnd := seeded(t)
	t.Logf("seed %d", seed)
	c := newCluster(t, config.DevnetOptions{Nodes: 4, Shards: 1000})
	in := filepath.Join(c.dir, "in")
	writeFolder(t, rnd, in, 600, 10<<10)
	var stored quiltEntry
	c.parse(c.walrus(exitDone, "store-quilt", "--json", in), &stored)
	if len(stored.Stored) != 600 || stored.Result.NewlyCreated == nil {
		t.Fatalf("stored %d files", len(stored.Stored))
	}
	id := stored.Result.NewlyCreated.BlobObject.BlobID.String()

	var one quiltReport
	c.parse(c.walrus(exitDone, "read-quilt", id, "3/0017", "--json", "-o", filepath.Join(c.dir, "one")), &one)
	var patch quiltReport
	c.parse(c.walrus(exitDone, "read-quilt", "--quilt-patch-ids", stored.Stored[17].ID.String(), "--json"), &patch)
	t.Logf("one file of %d took %d bytes, without the index %d", one.Size, one.Fetched, patch.Fetched)
	if one.Size != 10<<10 || one.Fetched > 40<<10 || patch.Fetched > 11<<10 {
		t.Errorf("one file of %d took %d bytes, without the index %d", one.Size, one.Fetched, patch.Fetched)
	}

	for k, out := range []string{"all up", "one down"} {
		if k == 1 {
			c.kill(2)
		}
		out = filepath.Join(c.dir, out)
		r := c.walrus(exitDone, "read-quilt", id, "-o", out)
		t.Logf("%s", r.stderr)
		if diff, err := exec.CommandContext(t.Context(), "diff", "-r", in, out).CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, diff)
		}
	}
}

// writeFolder makes files of random bytes in a few folders.
func writeFolder(t *testing.T, rnd *rand.ChaCha8, dir string, count, size int) {
	t.Helper()
	for i := range count {
		path := filepath.Join(dir, fmt.Sprint(i%7), fmt.Sprintf("%04d", i))
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		content := make([]byte, size)
		_, _ = rnd.Read(content) // never fails
		if err := os.WriteFile(path, content, 0o666); err != nil {
			t.Fatal(err)
		}
	}
}
