package client

import (
	"context"
	"io"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/gather"
	"walrus/shards"
)

// rowFetches fetches rows, each in a goroutine, for one reader.
type rowFetches struct {
	blob  *Blob // constant, as the next two
	place rowPlace
	from  rowSource
	rows  []*fetch // by row: the newest fetch, if its row is still wanted
	// flying counts the fetches under way, abandoned ones too.
	flying int
	ended  chan *fetch
	all    sync.WaitGroup
}

// fetch is one attempt to fetch a row.
type fetch struct {
	index int
	node  int      // committee index, or number of the pinner
	call  *rowCall // shared by all reads that want the row now
	ours  bool     // this read started the call
	start time.Time
	err   error // nil: the row was fetched and verified
}

// rowSource fetches the rows of one blob, unverified, from nodes or from pinners.
type rowSource interface {
	Connect(ctx context.Context, node peer.ID) error
	FetchSliver(ctx context.Context, to peer.ID, id shards.BlobID, axis shards.Axis, index int, offset, length int64) (io.ReadCloser, error)
}

// newRowFetches makes the fetches of rows below n. attempts bounds those for each row.
func newRowFetches(b *Blob, place rowPlace, from rowSource, n, attempts int) *rowFetches {
	return &rowFetches{blob: b, place: place, from: from, rows: make([]*fetch, n), ended: make(chan *fetch, n*attempts)}
}

// start begins to fetch row i from a node, or joins another read's fetch of it. The row goes to the file if spill is
// set.
func (r *rowFetches) start(ctx context.Context, i, number int, node peer.ID, spill bool) {
	f := &fetch{index: i, node: number, start: time.Now()}
	key := rowKey{blob: r.blob.id, index: i, node: node}
	f.call, f.ours = r.blob.c.flights.join(ctx, key, func() *flight {
		fl := &flight{key: key, blob: r.blob, from: r.from, place: r.place, spill: spill}
		fl.moved.Store(f.start.UnixNano())
		return fl
	}, func(ctx context.Context, fl *flight, ready func()) error { return fl.run(ctx, ready) })
	r.rows[i] = f
	r.flying++
	r.all.Go(func() {
		if f.err = f.call.wait(ctx); f.err != nil {
			f.call.leave()
		}
		r.ended <- f
	})
}

// finish counts a fetch as ended, and reports whether the reader still waits for its row.
func (r *rowFetches) finish(f *fetch) (wanted bool) {
	r.flying--
	return r.rows[f.index] == f
}

// abandon stops waiting for the fetch of row i, which goes on until its context ends.
func (r *rowFetches) abandon(i int) { r.rows[i] = nil }

// motion tells how far the fetch of row i has come.
func (r *rowFetches) motion(i int) gather.Motion {
	fl := r.rows[i].call.val
	return gather.Motion{Connected: fl.connected.Load(), Moved: time.Unix(0, fl.moved.Load())}
}

// close waits for all fetches, whose context must have ended, and releases their rows.
func (r *rowFetches) close() {
	r.all.Wait()
	for len(r.ended) > 0 {
		(<-r.ended).release()
	}
}

// release releases a fetched row that the reader does not take over.
func (f *fetch) release() {
	if f.err == nil {
		f.call.leave()
	}
}
