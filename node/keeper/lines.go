package keeper

import (
	"container/list"
	"sync"
	"time"

	"walrus/shards"
	"walrus/store"
)

const (
	// lineCache bounds the bytes of expanded lines that are kept, those included that are being sent.
	lineCache = 16 << 20
	// wholeLine: a line whose expansion has at most this many bytes is kept whole. Of a longer one, the proofs are.
	wholeLine = 4 << 20
	// lineLife bounds the time for which a line is answered from memory: a repair asks for all of its symbols at once.
	// Later, whoever asks learns whether the disk still has them.
	lineLife = 10 * time.Second
	// leafCache bounds the hashes of symbols that are kept of slivers verified lately, in bytes. A blob needs 64·n for
	// each of our shards: 640 KiB with 10 of 1000 shards.
	leafCache = 32 << 20
)

// line is the expansion of a sliver that matched its root. Without the expansion it only serves symbols without proofs.
type line struct {
	*shards.Expansion
	meta    *shards.Metadata
	symbols [][]byte // all n; nil if they are read from the sliver when needed
	size    int64    // of one symbol, in bytes
	bytes   int64    // in memory
	uses    int      // requests that send it; guarded by lines.mu while it is kept
}

func newLines() *cached[*line] {
	k := newCached(lineCache, func(l *line) int64 { return l.bytes }, func(l *line) *int { return &l.uses })
	k.life = lineLife
	return k
}

// leaves has the hashes of the n symbols of each sliver's expansion.
type leaves = cached[[]shards.Hash]

func newLeaves() *leaves {
	return newCached(leafCache, func(l []shards.Hash) int64 { return int64(len(l)) * shards.HashSize }, nil)
}

// cached keeps what was computed of slivers, within a bound on memory: what was not used for the longest time goes
// first.
type cached[V any] struct {
	limit int64         // constant, as are the next three
	size  func(V) int64 // in bytes
	uses  func(V) *int  // where the uses under way are counted; nil: they are not
	life  time.Duration // a value is used for so long; 0: for ever

	mu    sync.Mutex
	byRef map[store.Ref]*list.Element // guarded by mu, as are all others
	order *list.List                  // of cachedValue, the last used first
	bytes int64
}

type cachedValue[V any] struct {
	ref  store.Ref
	val  V
	kept time.Time
}

func newCached[V any](limit int64, size func(V) int64, uses func(V) *int) *cached[V] {
	return &cached[V]{limit: limit, size: size, uses: uses, byRef: map[store.Ref]*list.Element{}, order: list.New()}
}

// get returns what is kept of a sliver, or the zero value. If uses are counted, the caller calls done after it.
func (k *cached[V]) get(ref store.Ref) (v V) {
	k.mu.Lock()
	defer k.mu.Unlock()
	e := k.byRef[ref]
	if e == nil || k.old(e) {
		return v
	}
	k.order.MoveToFront(e)
	v = k.value(e).val
	k.use(v, 1)
	return v
}

// done ends a use.
func (k *cached[V]) done(v V) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.use(v, -1)
}

// use changes the number of uses of v. k.mu is held.
func (k *cached[V]) use(v V, n int) {
	if k.uses != nil {
		*k.uses(v) += n
	}
}

// put keeps v in place of what was not used for the longest time. If uses are counted, the caller, whose memory it is
// until then, calls done after it. If slow uses hold too many others, v is not kept.
func (k *cached[V]) put(ref store.Ref, v V) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.use(v, 1)
	if e := k.byRef[ref]; e != nil {
		if !k.old(e) || k.used(e) {
			return // another request was faster, or still sends what it had
		}
		k.remove(e)
	}
	for e := k.order.Back(); e != nil && k.bytes+k.size(v) > k.limit; {
		old := e
		if e = e.Prev(); !k.used(old) {
			k.remove(old)
		}
	}
	if k.bytes+k.size(v) <= k.limit {
		k.byRef[ref] = k.order.PushFront(cachedValue[V]{ref, v, time.Now()})
		k.bytes += k.size(v)
	}
}

// old reports whether e has been kept for longer than its life. k.mu is held.
func (k *cached[V]) old(e *list.Element) bool {
	return k.life > 0 && time.Since(k.value(e).kept) >= k.life
}

// used reports whether uses of e are under way. k.mu is held.
func (k *cached[V]) used(e *list.Element) bool { return k.uses != nil && *k.uses(k.value(e).val) > 0 }

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
