package store

import (
	"slices"
	"sync"

	"walrus/shards"
)

// locks are the locks of the blobs' records, a few for all. Who decides by the record of a blob, and changes it or what
// hangs on it, holds the blob's lock: put, extend, drop, commit and move a sliver, delete. Nothing waits for the disk
// of a sliver's data under it.
type locks [256]sync.Mutex

// of returns the lock of a blob. Blob IDs are hashes. The caller holds no other.
func (l *locks) of(id shards.BlobID) *sync.Mutex { return &l[id[0]] }

// all locks the blobs of several slivers at once, which takes the locks in order. The caller holds none.
func (l *locks) all(refs []Ref) (unlock func()) {
	held := make([]byte, 0, len(refs))
	for _, r := range refs {
		held = append(held, r.Blob[0])
	}
	slices.Sort(held)
	held = slices.Compact(held)
	for _, i := range held {
		l[i].Lock()
	}
	return func() {
		for _, i := range held {
			l[i].Unlock()
		}
	}
}
