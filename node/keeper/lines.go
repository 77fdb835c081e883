package keeper

import (
	"container/list"
	"sync"

	"walrus/shards"
	"walrus/store"
)

const (
	// lineCache bounds the bytes of expanded lines that are kept.
	lineCache = 32 << 20
	// wholeLine: a line whose expansion has at most this many bytes is kept whole. Of a longer one, the proofs are.
	wholeLine = 4 << 20
)

// line is the expansion of a sliver that matched its root. Without the expansion it only serves symbols without proofs.
type line struct {
	*shards.Expansion
	meta    *shards.Metadata
	symbols [][]byte // all n; nil if they are read from the sliver when needed
	size    int64    // of one symbol, in bytes
	bytes   int64    // in memory
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

// get returns a kept line, or nil.
func (l *lines) get(ref store.Ref) *line {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.byRef[ref]
	if e == nil {
		return nil
	}
	l.order.MoveToFront(e)
	return e.Value.(keptLine).line
}

// put keeps a line in place of those that were not used for the longest time.
func (l *lines) put(ref store.Ref, x *line) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if old := l.byRef[ref]; old != nil {
		l.remove(old)
	}
	l.byRef[ref] = l.order.PushFront(keptLine{ref, x})
	for l.bytes += x.bytes; l.bytes > lineCache; {
		l.remove(l.order.Back())
	}
}

// remove forgets a line. l.mu is held.
func (l *lines) remove(e *list.Element) {
	kept := l.order.Remove(e).(keptLine)
	delete(l.byRef, kept.ref)
	l.bytes -= kept.bytes
}
