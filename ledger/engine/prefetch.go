package engine

import (
	"context"
	"fmt"
	"sync"
)

// reader fetches numbered parts in order, some ahead of need.
type reader struct {
	stop context.CancelFunc
	next uint32            // owned by get
	line chan chan fetched // results in order; each is sent when it arrives
	work sync.WaitGroup
}

type fetched struct {
	bytes []byte
	err   error
}

// newReader starts to fetch count parts. Close it in the end.
func newReader(ctx context.Context, count int, fetch func(context.Context, uint32) ([]byte, error)) *reader {
	ctx, stop := context.WithCancel(ctx)
	r := &reader{stop: stop, line: make(chan chan fetched, partsAtOnce-1)}
	r.work.Go(func() {
		defer close(r.line)
		for part := range count {
			result := make(chan fetched, 1)
			select {
			case r.line <- result:
			case <-ctx.Done():
				return
			}
			r.work.Go(func() {
				b, err := fetch(ctx, uint32(part))
				result <- fetched{b, err}
			})
		}
	})
	return r
}

// get returns the next part. Ask for each part once, in order.
func (r *reader) get(ctx context.Context, part uint32) ([]byte, error) {
	if part != r.next {
		return nil, fmt.Errorf("read part %d of a snapshot: the next is %d", part, r.next)
	}
	r.next++
	select {
	case result, ok := <-r.line:
		if !ok {
			return nil, fmt.Errorf("the snapshot has no part %d", part)
		}
		select {
		case f := <-result:
			return f.bytes, f.err
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// close stops fetching.
func (r *reader) close() {
	r.stop()
	r.work.Wait()
}
