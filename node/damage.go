package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"sync"
	"time"

	"walrus/shards"
	"walrus/store"
)

// noteDamage handles a stored sliver found corrupt: it logs and removes it, and makes a certified blob due for
// repair. It ignores other errors.
func (n *Node) noteDamage(ref store.Ref, err error) {
	if !errors.Is(err, store.ErrCorrupt) {
		return
	}
	if ref.Shard < 0 {
		n.noteRecordDamage(ref.Blob, err)
		return
	}
	if !n.damaged.add(ref) {
		return
	}
	n.log.Error("a stored sliver is corrupt; it is not served, and repaired from other nodes",
		"blob", ref.Blob.String(), "shard", ref.Shard, "axis", ref.Axis.String(), "err", err)
	if err := n.store.DeleteSliver(ref); err != nil {
		n.log.Error("cannot remove a corrupt sliver; the next read of it will try again", "blob", ref.Blob.String(), "shard", ref.Shard, "err", err)
		n.damaged.mended(ref)
		return
	}
	if n.certified(ref.Blob) {
		n.owe(ref.Blob)
	} else {
		n.damaged.mended(ref) // without a certificate nothing is owed
	}
}

// noteRecordDamage handles a corrupt record of a blob, its metadata or certificate: repair fetches metadata again, a
// comparison with other members the certificate.
func (n *Node) noteRecordDamage(id shards.BlobID, err error) {
	n.log.Error("a stored record is corrupt; it is fetched again from other nodes", "blob", id.String(), "err", err)
	if n.certified(id) {
		n.owe(id)
	} else {
		n.requestSync()
	}
}

// owe makes a certified blob due for repair at once.
func (n *Node) owe(id shards.BlobID) {
	if err := n.recount(id, 0); err != nil {
		n.log.Error("cannot count the slivers of a blob", "blob", id.String(), "err", err)
	}
}

// damaged lists the slivers found corrupt and not yet repaired.
type damaged struct {
	mu   sync.Mutex
	refs map[store.Ref]bool // guarded by mu
}

// add records damage and reports whether it is new.
func (d *damaged) add(ref store.Ref) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.refs[ref] {
		return false
	}
	if d.refs == nil {
		d.refs = map[store.Ref]bool{}
	}
	d.refs[ref] = true
	return true
}

// mended removes a sliver from the list.
func (d *damaged) mended(ref store.Ref) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.refs, ref)
}

// forget removes all slivers of a blob from the list.
func (d *damaged) forget(id shards.BlobID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	maps.DeleteFunc(d.refs, func(ref store.Ref, _ bool) bool { return ref.Blob == id })
}

func (d *damaged) has(ref store.Ref) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.refs[ref]
}

func (d *damaged) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.refs)
}

// runScrub reads back and checks everything stored, at the start and then every Config.Scrub.
func (n *Node) runScrub(ctx context.Context) error {
	for first := true; ; first = false {
		start := time.Now()
		stats, err := n.store.Scrub(ctx, n.noteDamage)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return fmt.Errorf("read back what is stored: %w", err)
		}
		n.log.Info("read back everything stored", "slivers", stats.Slivers, "bytes", stats.Bytes, "corrupt", stats.Corrupt, "took", time.Since(start).Round(time.Millisecond).String())
		if first {
			close(n.life.scrubbed)
		}
		if !wait(ctx, n.cfg.Scrub, nil) {
			return nil
		}
	}
}

// readerOf reads r from its start to its end.
func readerOf(r interface {
	io.ReaderAt
	Size() int64
}) io.Reader {
	return io.NewSectionReader(r, 0, r.Size())
}
