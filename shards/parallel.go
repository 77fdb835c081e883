package shards

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// workspace is the scratch memory of one goroutine. Its size follows from n alone, so a process has few different ones.
type workspace struct {
	slots   []byte
	symbols [][]byte
	cells   []byte
	hashes  []Hash
}

var workspaces = sync.Pool{New: func() any { return new(workspace) }}

const (
	// workingSet is what the slots of one transform should not exceed, in bytes, to stay in a core's cache.
	workingSet = 384 << 10
	// maxSlot bounds a slot, in bytes: longer ones gain nothing.
	maxSlot = 4 << 10
)

// slotWidth is the width that span slots should have, a multiple of align.
func slotWidth(span, align int) int {
	return max(min(workingSet/span, maxSlot)/align*align, align)
}

// vectors returns span slots of width bytes, with any content.
func (ws *workspace) vectors(span, width int) vectors {
	return vectors{grow(&ws.slots, span*width), width}
}

func grow[T any](buf *[]T, size int) []T {
	if cap(*buf) < size {
		*buf = make([]T, size)
	}
	return (*buf)[:size]
}

// parallel calls work for every i in 0…count−1 on as many goroutines as there are processors, each with its own
// workspace, and returns after the last.
func parallel(count int, work func(ws *workspace, i int)) {
	var next atomic.Int64
	run := func() {
		ws := workspaces.Get().(*workspace)
		defer workspaces.Put(ws)
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
