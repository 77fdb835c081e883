// Package blocklist reads the IDs of the blobs that an operator blocks from a file, and again whenever it changes.
// Gateways and pinners use the same format: one blob ID a line, alone or as a YAML list item; # begins a comment. Start
// with Open, then Run.
package blocklist

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"walrus/shards"
)

const (
	// maxFile bounds the file, in bytes: enough for more than a million blobs.
	maxFile = 64 << 20
	// look is the interval at which the file is checked for changes.
	look = 2 * time.Second
)

// List holds the blocked blobs. Has may be called concurrently, also while Run runs.
type List struct {
	path   string
	listed atomic.Pointer[map[shards.BlobID]bool]
	seen   os.FileInfo // file that was read last; owned by Run once it has started
}

// Open reads the file; "" is an empty list.
func Open(path string) (*List, error) {
	l := &List{path: path}
	l.listed.Store(&map[shards.BlobID]bool{})
	if path == "" {
		return l, nil
	}
	return l, l.read()
}

// Has reports whether a blob is blocked.
func (l *List) Has(id shards.BlobID) bool { return (*l.listed.Load())[id] }

// Run reads the file again when it changes, until ctx ends. If the file cannot be read, the list stays, and the error
// is told once. changed, unless nil, is called with the blobs listed at the start, then with those added or removed.
func (l *List) Run(ctx context.Context, tell func(error), changed func([]shards.BlobID)) {
	if l.path == "" {
		return
	}
	tick := time.NewTicker(look)
	defer tick.Stop()
	broken := false
	var before map[shards.BlobID]bool
	for {
		if now := *l.listed.Load(); changed != nil {
			if ids := difference(before, now); len(ids) > 0 {
				changed(ids)
			}
			before = now
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		st, err := os.Stat(l.path)
		if err == nil && !broken && os.SameFile(st, l.seen) && st.ModTime().Equal(l.seen.ModTime()) &&
			st.Size() == l.seen.Size() {
			continue
		}
		if err == nil {
			err = l.read()
		}
		if err != nil && !broken {
			tell(err)
		}
		broken = err != nil
	}
}

// difference lists the blobs that are in one of two sets.
func difference(a, b map[shards.BlobID]bool) []shards.BlobID {
	only := maps.Clone(b)
	for id := range a {
		if b[id] {
			delete(only, id)
		} else {
			only[id] = true
		}
	}
	return slices.Collect(maps.Keys(only))
}

func (l *List) read() (err error) {
	f, err := os.Open(l.path)
	if err != nil {
		return fmt.Errorf("read blocklist: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	st, err := f.Stat()
	if err != nil {
		return fmt.Errorf("read blocklist: %w", err)
	}
	if st.Size() > maxFile {
		return fmt.Errorf("read blocklist %s: %d bytes: the limit is %d", l.path, st.Size(), maxFile)
	}
	listed, err := parse(io.LimitReader(f, maxFile))
	if err != nil {
		return fmt.Errorf("read blocklist %s: %w", l.path, err)
	}
	l.listed.Store(&listed)
	l.seen = st
	return nil
}

func parse(r io.Reader) (map[shards.BlobID]bool, error) {
	listed := map[shards.BlobID]bool{}
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		line := lines.Text()
		if n == 1 {
			line = strings.TrimPrefix(line, "\ufeff") // some editors write an invisible mark before the text
		}
		text, _, _ := strings.Cut(line, "#")
		text = strings.TrimSpace(text)
		if text == "" || text == "---" || text == "[]" {
			continue
		}
		if item, ok := strings.CutPrefix(text, "- "); ok {
			text = item
		}
		id, err := shards.ParseBlobID(strings.Trim(strings.TrimSpace(text), `"'`))
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		listed[id] = true
	}
	return listed, lines.Err()
}
