package keeper

import (
	"container/list"
	"sync"

	"walrus/shards"
	"walrus/store"
)

const (
	// lineCache bounds the bytes of expanded lines that are kept, those included that are being sent.
	lineCache = 16 << 20
	// wholeLine: a line whose expansion has at most this many bytes is kept whole. Of a longer one, the proofs are.
	wholeLine = 4 << 20
)

// line is the expansion of a sliver that matched its root.
type line struct {
	*shards.Expansion
	symbols [][]byte // all n; nil if they are read from the sliver when needed
	size    int64    // of one symbol, in bytes
	bytes   int64    // in memory
	uses    int      // requests that send it; guarded by lines.mu while it is kept
}

// lines keeps the lines that were asked for last.
type lines struct {
	mu    sync.Mutex
	byRef map[store.Ref]*list.Element // guarded by mu, as are all others
	order *list.List                  // of keptLine, the last used first
	bytes int64
}

type keptLine struct {
	ref store.Ref
	*line
}

func newLines() *lines { return &lines{byRef: map[store.Ref]*list.Element{}, order: list.New()} }

// get returns a kept line, or nil. The caller calls done after it.
func (l *lines) get(ref store.Ref) *line {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.byRef[ref]
	if e == nil {
		return nil
	}
	l.order.MoveToFront(e)
	x := e.Value.(keptLine).line
	x.uses++
	return x
}

// done ends a use of a line.
func (l *lines) done(x *line) {
	l.mu.Lock()
	defer l.mu.Unlock()
	x.uses--
}

// put keeps a line in place of those that were not used for the longest time. The caller, whose memory it is until
// then, calls done after it. If slow readers hold too many others, the line is not kept.
func (l *lines) put(ref store.Ref, x *line) {
	l.mu.Lock()
	defer l.mu.Unlock()
	x.uses++
	if l.byRef[ref] != nil {
		return // another request was faster
	}
	for e := l.order.Back(); e != nil && l.bytes+x.bytes > lineCache; {
		old := e
		if e = e.Prev(); old.Value.(keptLine).uses == 0 {
			l.remove(old)
		}
	}
	if l.bytes+x.bytes <= lineCache {
		l.byRef[ref] = l.order.PushFront(keptLine{ref, x})
		l.bytes += x.bytes
	}
}

// remove forgets a line. l.mu is held.
func (l *lines) remove(e *list.Element) {
	kept := l.order.Remove(e).(keptLine)
	delete(l.byRef, kept.ref)
	l.bytes -= kept.bytes
}
