package store

import (
	"errors"
	"fmt"

	"walrus/internal/badgerdisk"
	"walrus/shards"
)

var (
	// ErrNotFound means that the store does not hold the item.
	ErrNotFound = errors.New("not found")
	// ErrCorrupt means that the item on disk is damaged: fetch it again from others. The error is a *CorruptError.
	ErrCorrupt = errors.New("corrupt on disk")
	// ErrLocked is returned by Open for a directory that another process uses.
	ErrLocked = badgerdisk.ErrLocked
	// ErrClosed is returned by every method of a closed store.
	ErrClosed = errors.New("store is closed")
	// ErrFormat is returned by Open for a directory written by a newer version.
	ErrFormat = errors.New("unknown on-disk format")
	// ErrFull is returned for writes that would leave less than Config.MinFree on the disk, or exceed Config.Limit.
	// Reads go on. The error is then a *FullError, unless the disk itself refused the write.
	ErrFull = errors.New("disk is full")
	// ErrUnsynced is returned when the disk refused data after a sliver was begun. Parts of the sliver may be lost:
	// write it again.
	ErrUnsynced = errors.New("disk refused data: write the sliver again")
)

// CorruptError names a damaged item. It wraps ErrCorrupt.
type CorruptError struct {
	Kind   string // "sliver", "metadata", "certificate", "blob record" or "state"
	Ref    Ref    // of a sliver; only Ref.Blob otherwise, with Shard −1
	Extent int    // of a sliver, from 0; −1 if no single extent is damaged
	Err    error  // the cause, if more is known
}

// Error names the damaged item and the cause.
func (e *CorruptError) Error() string {
	s := e.Kind + " of blob " + e.Ref.Blob.String()
	switch {
	case e.Kind == "sliver" && e.Extent >= 0:
		s = fmt.Sprintf("%s: extent %d", e.Ref, e.Extent)
	case e.Kind == "sliver":
		s = e.Ref.String()
	case e.Kind == "state":
		s = "node state"
	}
	switch {
	case e.Err == nil:
		return fmt.Sprintf("%s: %v", s, ErrCorrupt)
	case errors.Is(e.Err, ErrCorrupt): // says so itself
		return fmt.Sprintf("%s: %v", s, e.Err)
	}
	return fmt.Sprintf("%s: %v: %v", s, ErrCorrupt, e.Err)
}

// Unwrap returns ErrCorrupt and the cause.
func (e *CorruptError) Unwrap() []error {
	if e.Err == nil {
		return []error{ErrCorrupt}
	}
	return []error{ErrCorrupt, e.Err}
}

// Ref names one sliver: of the pair of Blob that Shard holds, the one along Axis.
type Ref struct {
	Blob  shards.BlobID
	Shard int
	Axis  shards.Axis
}

// String is for people.
func (r Ref) String() string {
	return fmt.Sprintf("%s sliver of blob %s on shard %d", r.Axis, r.Blob, r.Shard)
}

func (r Ref) check() error {
	if r.Shard < 0 || r.Shard >= shards.MaxShards || !r.Axis.Valid() {
		return fmt.Errorf("%s: no such shard or axis", r)
	}
	return nil
}
