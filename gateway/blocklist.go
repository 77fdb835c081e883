package gateway

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"walrus/shards"
)

const (
	// maxBlocklist bounds the file, in bytes: enough for more than a million blobs.
	maxBlocklist = 64 << 20
	// blocklistLook is the interval at which the file is checked for changes.
	blocklistLook = 2 * time.Second
)

// blocklist holds the blobs that this gateway refuses to serve. The file has one blob ID per line, alone or as a YAML
// list item.
type blocklist struct {
	path   string
	listed atomic.Pointer[map[shards.BlobID]bool]
	seen   os.FileInfo // file that was read last; owned by run once run has started
}

// openBlocklist reads the file; "" is an empty list.
func openBlocklist(path string) (*blocklist, error) {
	b := &blocklist{path: path}
	b.listed.Store(&map[shards.BlobID]bool{})
	if path == "" {
		return b, nil
	}
	return b, b.read()
}

// has reports whether a blob is blocked.
func (b *blocklist) has(id shards.BlobID) bool { return (*b.listed.Load())[id] }

// run reads the file again when it changes, until ctx ends. If the file cannot be read, the list stays, and the error
// is told once.
func (b *blocklist) run(ctx context.Context, tell func(error)) {
	if b.path == "" {
		return
	}
	tick := time.NewTicker(blocklistLook)
	defer tick.Stop()
	broken := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		st, err := os.Stat(b.path)
		if err == nil && !broken && os.SameFile(st, b.seen) && st.ModTime().Equal(b.seen.ModTime()) &&
			st.Size() == b.seen.Size() {
			continue
		}
		if err == nil {
			err = b.read()
		}
		if err != nil && !broken {
			tell(err)
		}
		broken = err != nil
	}
}

func (b *blocklist) read() (err error) {
	f, err := os.Open(b.path)
	if err != nil {
		return fmt.Errorf("read blocklist: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	st, err := f.Stat()
	if err != nil {
		return fmt.Errorf("read blocklist: %w", err)
	}
	if st.Size() > maxBlocklist {
		return fmt.Errorf("read blocklist %s: %d bytes: the limit is %d", b.path, st.Size(), maxBlocklist)
	}
	listed, err := parseBlocklist(io.LimitReader(f, maxBlocklist))
	if err != nil {
		return fmt.Errorf("read blocklist %s: %w", b.path, err)
	}
	b.listed.Store(&listed)
	b.seen = st
	return nil
}

func parseBlocklist(r io.Reader) (map[shards.BlobID]bool, error) {
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

// allowed returns an error for a blocked blob.
func (g *aggregator) allowed(id shards.BlobID) error {
	if !g.blocked.has(id) {
		return nil
	}
	return &failure{
		code: http.StatusUnavailableForLegalReasons, status: "UNAVAILABLE_FOR_LEGAL_REASONS", reason: "FORBIDDEN_BLOB",
		domain:  domainDaemon,
		message: "this gateway does not serve the blob",
	}
}
