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
	// maxBlocklist bounds the file, in bytes: more than a million blobs.
	maxBlocklist = 64 << 20
	// blocklistLook is how often it is looked at for changes.
	blocklistLook = 2 * time.Second
)

// blocklist are blobs that this gateway does not serve, from a file: a blob ID on each line, as an item of a YAML list or alone.
type blocklist struct {
	path   string
	listed atomic.Pointer[map[shards.BlobID]bool]
	seen   os.FileInfo // of what is listed; owned by run once that has begun
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

// has says whether a blob is blocked.
func (b *blocklist) has(id shards.BlobID) bool { return (*b.listed.Load())[id] }

// run reads the file again when it changes, until ctx ends. A file that cannot be read changes nothing, and is told of once.
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
		if err == nil && !broken && os.SameFile(st, b.seen) && st.ModTime().Equal(b.seen.ModTime()) && st.Size() == b.seen.Size() {
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
		return fmt.Errorf("read blocklist %s: it has %d bytes, at most %d", b.path, st.Size(), maxBlocklist)
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
			line = strings.TrimPrefix(line, "\ufeff") // some editors put this before the text, where nobody sees it
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

// allowed refuses a blob that is blocked.
func (g *Gateway) allowed(id shards.BlobID) error {
	if !g.blocked.has(id) {
		return nil
	}
	return &failure{
		code: http.StatusUnavailableForLegalReasons, status: "UNAVAILABLE_FOR_LEGAL_REASONS", reason: "FORBIDDEN_BLOB", domain: domainDaemon,
		message: "this gateway does not serve the blob",
	}
}
