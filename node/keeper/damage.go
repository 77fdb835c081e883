package keeper

import (
	"errors"
	"log/slog"
	"maps"
	"sync"

	"walrus/shards"
	"walrus/store"
)

// damage lists the slivers found corrupt and not yet repaired, and makes their blobs due for repair.
type damage struct {
	shelf *shelf
	book  *book
	log   *slog.Logger
	tell  func(ref store.Ref) // of damage to a sliver that is owed

	mu   sync.Mutex
	refs map[store.Ref]bool // guarded by mu
}

// note handles a stored sliver found corrupt: it logs and removes it, and makes a certified blob due for repair. It
// ignores other errors.
func (d *damage) note(ref store.Ref, err error) {
	if !errors.Is(err, store.ErrCorrupt) {
		return
	}
	if ref.Shard < 0 {
		d.noteRecord(ref.Blob, err)
		return
	}
	if !d.add(ref) {
		return
	}
	d.log.Error("a stored sliver is corrupt; it is not served, and will be repaired from other nodes",
		"blob", ref.Blob.String(), "shard", ref.Shard, "axis", ref.Axis.String(), "err", err)
	if err := d.book.expect(ref.Blob); err != nil { // a kill in between must not hide that the sliver is missing
		d.log.Error("cannot note that a sliver will be missing; the next read of it will try again",
			"blob", ref.Blob.String(), "shard", ref.Shard, "err", err)
		d.mended(ref)
		return
	}
	if err := d.shelf.DeleteSliver(ref); err != nil {
		d.log.Error("cannot remove a corrupt sliver; the next read of it will try again", "blob", ref.Blob.String(),
			"shard", ref.Shard, "err", err)
		d.mended(ref)
		return
	}
	if d.shelf.certified(ref.Blob) {
		d.book.owe(ref.Blob)
		d.tell(ref)
	} else {
		d.mended(ref) // without a certificate nothing is owed
	}
}

// noteRecord handles a corrupt record of a blob, its metadata or certificate: repair fetches metadata again,
// and a comparison with other members fetches certificates.
func (d *damage) noteRecord(id shards.BlobID, err error) {
	d.log.Error("a stored record is corrupt; it will be fetched again from other nodes", "blob", id.String(), "err", err)
	if d.shelf.certified(id) {
		d.book.owe(id)
	} else {
		d.book.resync.ring()
	}
}

// add records damage and reports whether it is new.
func (d *damage) add(ref store.Ref) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.refs[ref] {
		return false
	}
	d.refs[ref] = true
	return true
}

// mended removes a sliver from the list.
func (d *damage) mended(ref store.Ref) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.refs, ref)
}

// forget removes all slivers of a blob from the list.
func (d *damage) forget(id shards.BlobID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	maps.DeleteFunc(d.refs, func(ref store.Ref, _ bool) bool { return ref.Blob == id })
}

func (d *damage) has(ref store.Ref) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.refs[ref]
}

func (d *damage) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.refs)
}
