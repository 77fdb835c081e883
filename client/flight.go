package client

import (
	"context"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/shards"
)

// rowKey names a row being fetched. Reads that fetch it from another node, after a change of committee, do not share
// it.
type rowKey struct {
	blob  shards.BlobID
	index int // of the primary sliver
	node  peer.ID
}

// flight fetches a row for all reads that want it now.
type flight struct {
	key    rowKey // constant, as the next three
	blob   *Blob
	from   rowSource
	place  rowPlace
	spill  bool
	row    row           // constant once the call is ready
	cached bool          // constant once the call is ready: the row came from the cache
	cells  []shards.Hash // constant once the call is ready: the row's at Blob.checks; nil if it came from the cache
	// connected reports a connection to the node; moved is when bytes last came in, in unix nanoseconds. Both are
	// shared.
	connected atomic.Bool
	moved     atomic.Int64
}

type rowCall = call[rowKey, *flight]

func (f *flight) end() {
	if f.row != nil {
		f.row.release()
	}
}

// run gets the row from the cache or its node. Reads use the row while run writes it to the cache.
func (f *flight) run(ctx context.Context, ready func()) error {
	c := f.blob.c
	if row := c.cache.get(f.key.blob, f.key.index, f.place.layout); row != nil {
		f.row, f.cached = row, true
		return nil
	}
	var err error
	if f.row, err = f.place.create(f.spill); err != nil {
		return &localError{err}
	}
	if err := f.fetch(ctx); err != nil {
		return err
	}
	ready()
	c.cache.put(f.key.blob, f.key.index, f.row, f.place.layout.Size())
	return nil
}

// fetch fetches the primary sliver into its row, verifying it as it comes in.
func (f *flight) fetch(ctx context.Context) error {
	layout, index := f.place.layout, f.key.index
	if err := f.from.Connect(ctx, f.key.node); err != nil {
		return err
	}
	f.connected.Store(true)
	f.moved.Store(time.Now().UnixNano())
	body, err := f.from.FetchSliver(ctx, f.key.node, f.key.blob, shards.Primary, index, 0, layout.Size())
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }()
	leaves, err := readSliver(f.blob.meta, shards.Primary, index, progressReader{body, f}, f.row.put)
	if err == nil {
		f.cells = f.blob.checked(leaves)
	}
	return err
}

// readSliver reads a sliver in strip order, verifies it, and puts each strip where it belongs. It returns the hashes of
// the n symbols of its expansion.
func readSliver(meta *shards.Metadata, axis shards.Axis, index int, from io.Reader, put func(t int, strip []byte) error) ([]shards.Hash, error) {
	v, err := shards.NewVerifier(meta, axis, index)
	if err != nil {
		return nil, err
	}
	layout := meta.Layout(axis)
	_, size := layout.Strip(0)
	strip := make([]byte, size)
	for t := range layout.Strips() {
		off, size := layout.Strip(t)
		n, err := io.ReadFull(from, strip[:size])
		if err != nil {
			return nil, fmt.Errorf("sent %d of %d bytes of %s sliver %d: %w", off+int64(n), layout.Size(), axis, index, err)
		}
		if err := v.WriteStrip(strip[:size]); err != nil {
			return nil, err
		}
		if err := put(t, strip[:size]); err != nil {
			return nil, &localError{err}
		}
	}
	leaves, err := v.CloseLeaves()
	if err != nil {
		return nil, fmt.Errorf("served wrong bytes for %s sliver %d: %w", axis, index, err)
	}
	return leaves, nil
}

// localError marks a failure of this machine, not of a node.
type localError struct{ err error }

func (e *localError) Error() string {
	return fmt.Sprintf("keep rows in a temporary file: %v: set tempDir to a folder with room for the blob", e.err)
}

func (e *localError) Unwrap() error { return e.err }

// progressReader records when bytes last came in.
type progressReader struct {
	io.Reader
	f *flight
}

func (p progressReader) Read(b []byte) (int, error) {
	n, err := p.Reader.Read(b)
	if n > 0 {
		p.f.moved.Store(time.Now().UnixNano())
	}
	return n, err
}
