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
	// leafCache bounds the hashes of symbols that are kept of slivers verified lately, in bytes. A blob needs 64·n for
	// each of our shards: 640 KiB with 10 of 1000 shards.
	leafCache = 32 << 20
)

// line is the expansion of a sliver that matched its root.
type line struct {
	*shards.Expansion
	symbols [][]byte // all n; nil if they are read from the sliver when needed
	size    int64    // of one symbol, in bytes
	bytes   int64    // in memory
}

func newLines() *cached[*line] {
	return newCached(lineCache, func(l *line) int64 { return l.bytes })
}

// leaves has the hashes of the n symbols of each sliver's expansion.
type leaves = cached[[]shards.Hash]

func newLeaves() *leaves {
	return newCached(leafCache, func(l []shards.Hash) int64 { return int64(len(l)) * shards.HashSize })
}

// cached keeps what was computed of slivers, within a bound on memory: what was not used for the longest time goes first.
type cached[V any] struct {
	limit int64         // constant, as is size
	size  func(V) int64 // in bytes

	mu    sync.Mutex
	byRef map[store.Ref]*list.Element // guarded by mu, as are all others
	order *list.List                  // of cachedValue, the last used first
	bytes int64
}

type cachedValue[V any] struct {
	ref store.Ref
	val V
}

func newCached[V any](limit int64, size func(V) int64) *cached[V] {
	return &cached[V]{limit: limit, size: size, byRef: map[store.Ref]*list.Element{}, order: list.New()}
}

// get returns what is kept of a sliver, or the zero value.
func (k *cached[V]) get(ref store.Ref) (v V) {
	k.mu.Lock()
	defer k.mu.Unlock()
	e := k.byRef[ref]
	if e == nil {
		return v
	}
	k.order.MoveToFront(e)
	return k.value(e).val
}

// put keeps v in place of what was not used for the longest time.
func (k *cached[V]) put(ref store.Ref, v V) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if old := k.byRef[ref]; old != nil {
		k.remove(old)
	}
	k.byRef[ref] = k.order.PushFront(cachedValue[V]{ref, v})
	for k.bytes += k.size(v); k.bytes > k.limit; {
		k.remove(k.order.Back())
	}
}

func (k *cached[V]) value(e *list.Element) cachedValue[V] {
	return e.Value.(cachedValue[V]) //nolint:errcheck // all in the list are
}

// remove forgets a sliver. k.mu is held.
func (k *cached[V]) remove(e *list.Element) {
	v := k.value(e)
	k.order.Remove(e)
	delete(k.byRef, v.ref)
	k.bytes -= k.size(v.val)
}
