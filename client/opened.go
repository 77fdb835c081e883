package client

import (
	"container/list"
	"context"
	"fmt"
	"sync"
	"time"

	"walrus/shards"
)

const (
	// openFresh: a blob found this recently is not looked for again. During this time it can still be read after its
	// storage has ended or another client has deleted it. The client's own deletions count at once.
	openFresh = 3 * time.Second
	// maxOpened bounds the blobs remembered. The metadata of each takes 64 bytes per shard.
	maxOpened = 256
)

// openedBlobs remembers blobs found a moment ago, so that many range reads of one blob do not each ask the ledger and
// the nodes. Blobs that were not found are not remembered.
type openedBlobs struct {
	finding *sharing[shards.BlobID, *foundBlob] // constant

	mu    sync.Mutex
	order *list.List                      // of *foundBlob, most recently used first; guarded by mu
	byID  map[shards.BlobID]*list.Element // guarded by mu
}

type foundBlob struct {
	blob  *Blob
	until time.Time
}

func newOpenedBlobs() *openedBlobs {
	return &openedBlobs{finding: newSharing[shards.BlobID, *foundBlob](nil), order: list.New(), byID: map[shards.BlobID]*list.Element{}}
}

// Open finds blob id. Calls at the same time, or within three seconds, share the result: a blob is assumed not to
// change for so long. Errors: ErrNotFound, *NotEnoughError.
func (c *Client) Open(ctx context.Context, id shards.BlobID) (*Blob, error) {
	if b := c.opened.get(id); b != nil {
		return b, nil
	}
	call, _ := c.opened.finding.join(ctx, id, func() *foundBlob { return new(foundBlob) },
		func(ctx context.Context, found *foundBlob, _ func()) (err error) {
			if found.blob = c.opened.get(id); found.blob != nil { // opened since the last look
				return nil
			}
			if found.blob, err = c.open(ctx, id); err == nil {
				c.opened.put(found)
			}
			return err
		})
	defer call.leave()
	if err := call.wait(ctx); err != nil {
		if ctx.Err() != nil {
			err = fmt.Errorf("read %s: %w", id, ctx.Err())
		}
		return nil, err
	}
	return call.val.blob, nil
}

// open finds blob id without the memory of opened blobs.
func (c *Client) open(ctx context.Context, id shards.BlobID) (*Blob, error) {
	com, err := c.Committee(ctx)
	if err != nil {
		return nil, fmt.Errorf("read: %w", err)
	}
	start := time.Now()
	meta, bad, err := c.find(ctx, com, id, "read "+id.String())
	var pins *pinned
	if c.pins.worth(ctx, err) {
		pins = c.pins.find(ctx, com.Params(), id)
	}
	if pins != nil {
		return &Blob{c: c, com: com, meta: pins.meta, id: id, bad: pins.bad, pins: pins, why: err}, nil
	}
	if err != nil {
		return nil, err
	}
	return &Blob{
		c: c, com: com, meta: meta, id: id, bad: bad, checks: checkColumns(c.secret, id, meta),
		dialHedge: max(minDialHedge, dialHedgeFactor*time.Since(start)),
	}, nil
}

func (o *openedBlobs) get(id shards.BlobID) *Blob {
	o.mu.Lock()
	defer o.mu.Unlock()
	e := o.byID[id]
	if e == nil {
		return nil
	}
	found := e.Value.(*foundBlob) //nolint:errcheck // all in the list are
	if !time.Now().Before(found.until) {
		o.removeLocked(id)
		return nil
	}
	o.order.MoveToFront(e)
	return found.blob
}

func (o *openedBlobs) put(found *foundBlob) {
	o.mu.Lock()
	defer o.mu.Unlock()
	found.until = time.Now().Add(openFresh)
	o.removeLocked(found.blob.id)
	o.byID[found.blob.id] = o.order.PushFront(found)
	if o.order.Len() > maxOpened {
		o.removeLocked(o.order.Back().Value.(*foundBlob).blob.id) //nolint:errcheck // all in the list are
	}
}

// forget drops a blob, for example because it was deleted.
func (o *openedBlobs) forget(id shards.BlobID) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.removeLocked(id)
}

func (o *openedBlobs) removeLocked(id shards.BlobID) {
	if e := o.byID[id]; e != nil {
		o.order.Remove(e)
		delete(o.byID, id)
	}
}
