package gather

import (
	"context"
	"sync"
	"time"

	"walrus/shards"
)

const (
	// firstAsked peers are asked for metadata at once; another one is asked after each failure, and each time that
	// metadataHedge passes.
	firstAsked    = 2
	metadataHedge = 500 * time.Millisecond
)

// Metadata asks n peers that claim to pin a blob for its metadata, until one gives what hashes to the ID. ask asks one
// peer, and is called concurrently; failed hears of each peer that did not give it, one at a time. It returns the peer,
// and the metadata in both forms; −1 if nobody gave it. No ask is under way when it returns.
func Metadata(ctx context.Context, params shards.Params, id shards.BlobID, n int, ask func(ctx context.Context, i int) ([]byte, error),
	failed func(i int, err error)) (who int, raw []byte, meta *shards.Metadata) {
	type answer struct {
		who  int
		raw  []byte
		meta *shards.Metadata
		err  error
	}
	ctx, cancel := context.WithCancel(ctx)
	answers := make(chan answer, n)
	var all sync.WaitGroup
	defer all.Wait()
	defer cancel()
	asked, answered := 0, 0
	more := func() {
		if asked == n {
			return
		}
		i := asked
		asked++
		all.Go(func() {
			a := answer{who: i}
			if a.raw, a.err = ask(ctx, i); a.err == nil {
				a.meta, a.err = shards.UnmarshalMetadata(params, id, a.raw)
			}
			answers <- a
		})
	}
	for range firstAsked {
		more()
	}
	tick := time.NewTicker(metadataHedge)
	defer tick.Stop()
	for answered < n {
		select {
		case a := <-answers:
			answered++
			if a.err == nil {
				return a.who, a.raw, a.meta
			}
			failed(a.who, a.err)
			more()
		case <-tick.C:
			more()
		case <-ctx.Done():
			return -1, nil, nil
		}
	}
	return -1, nil, nil
}
