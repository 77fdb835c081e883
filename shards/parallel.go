package shards

import (
	"runtime"
	"sync"
	"sync/atomic"

	"walrus/shards/fft16"
	"walrus/shards/treehash"
)

// workspace is the scratch memory of one goroutine. Its size depends only on n, so a process has few different sizes.
type workspace struct {
	slots   []byte
	symbols [][]byte
	cells   []byte
	hashes  []Hash
	column  treehash.Leaves
}

var workspaces = sync.Pool{New: func() any { return new(workspace) }}

func newWorkspace() *workspace { return workspaces.Get().(*workspace) }

// release keeps ws for the next user, without the data it points to.
func (ws *workspace) release() {
	clear(ws.symbols)
	workspaces.Put(ws)
}

const (
	// workingSet bounds the slots of one transform, in bytes, so that they stay in a core's cache.
	workingSet = 384 << 10
	// maxSlot bounds a slot, in bytes: longer slots gain nothing.
	maxSlot = 16 << 10
)

// slotWidth returns the best width of span slots, a multiple of align.
func slotWidth(span, align int) int {
	return max(min(workingSet/span, maxSlot)/align*align, align)
}

// vectors returns span slots of width bytes with arbitrary content.
func (ws *workspace) vectors(span, width int) fft16.Vectors {
	return fft16.New(grow(&ws.slots, span*width), width)
}

// leaves returns n leaves without data.
func (ws *workspace) leaves(n int) treehash.Leaves {
	if ws.column.Len() < n {
		ws.column = treehash.NewLeaves(n)
	}
	leaves := ws.column.Slice(0, n)
	leaves.Reset()
	return leaves
}

func grow[T any](buf *[]T, size int) []T {
	if cap(*buf) < size {
		*buf = make([]T, size)
	}
	return (*buf)[:size]
}

// growLarge is grow for memory whose size follows the blob's.
func growLarge(buf *[]byte, size int) []byte {
	if cap(*buf) < size {
		*buf = make([]byte, size)
		largePages(*buf)
	}
	return (*buf)[:size]
}

// parallel calls work for every i in 0…count−1 on as many goroutines as there are processors, each with its own
// workspace, and returns after the last.
func parallel(count int, work func(ws *workspace, i int)) {
	var next atomic.Int64
	run := func() {
		ws := newWorkspace()
		defer ws.release()
		for i := next.Add(1) - 1; i < int64(count); i = next.Add(1) - 1 {
			work(ws, int(i))
		}
	}
	var wg sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), count) - 1 {
		wg.Go(run)
	}
	run()
	wg.Wait()
}
