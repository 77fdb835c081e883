package main

import (
	"context"
	"os"
	"sync"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"walrus/client"
)

// maxSideBySide bounds the files stored, and so opened, at once. A node accepts metadata of twice as many unregistered
// blobs from one client.
const maxSideBySide = 64

// storeFiles stores several files at once, within the memory of one large file, and calls tell for each in order. It
// stops when tell fails. After ctx has ended it starts no more files and returns the cause.
func (a *app) storeFiles(ctx context.Context, s *session, paths []string, opt client.StoreOptions,
	tell func(string, *client.StoreResult, error) error) error {
	com, err := s.Committee(ctx)
	if err != nil {
		return err
	}
	memory := client.Default().UploadMemory
	room := semaphore.NewWeighted(memory)
	queue := &inOrder{results: make([]*storedFile, len(paths)),
		tell: func(i int, f *storedFile) error { return tell(paths[i], f.res, f.err) }}
	bars := a.newFileBars(paths)
	defer bars.finish()
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(maxSideBySide)
	begun := 0
	for i, path := range paths {
		weight := memory // assumed for sources of unknown size
		if st, err := os.Stat(path); err == nil && st.Mode().IsRegular() {
			weight = min(memory, com.Params().EncodedSize(uint64(st.Size())))
		}
		if room.Acquire(gctx, weight) != nil {
			break
		}
		begun++
		g.Go(func() error {
			defer room.Release(weight)
			res, err := a.storeFile(gctx, s, path, opt, bars.progress(i))
			bars.done(i)
			return bars.aside(func() error { return queue.add(i, &storedFile{res, err}) })
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if begun < len(paths) {
		return context.Cause(ctx)
	}
	return nil
}

// storedFile is the outcome of storing a file.
type storedFile struct {
	res *client.StoreResult
	err error
}

// inOrder reports results in order, whichever comes first.
type inOrder struct {
	tell func(i int, f *storedFile) error

	mu      sync.Mutex
	results []*storedFile // results that must wait for earlier ones; guarded by mu
	next    int           // guarded by mu
	failed  error         // error of tell, after which nothing more is reported; guarded by mu
}

func (q *inOrder) add(i int, f *storedFile) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.results[i] = f
	for q.failed == nil && q.next < len(q.results) && q.results[q.next] != nil {
		q.failed = q.tell(q.next, q.results[q.next])
		q.results[q.next] = nil
		q.next++
	}
	return q.failed
}
