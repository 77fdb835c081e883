package app

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"walrus/certs"
	"walrus/ledger"
	"walrus/ledger/engine/badgerdb"
	"walrus/ledger/light"
	"walrus/ledger/merkle"
)

// Trusted describes a state by the values from a verified header.
type Trusted struct {
	Height uint64      // of the state
	Time   int64       // of the block at Height, Unix nanoseconds
	Root   merkle.Hash // the app hash of the header at Height+1
}

// marshal returns the mark of a restoration: height u64 ‖ time i64 ‖ root, big-endian.
func (t Trusted) marshal() []byte {
	b := binary.BigEndian.AppendUint64(nil, t.Height)
	b = binary.BigEndian.AppendUint64(b, uint64(t.Time))
	return append(b, t.Root[:]...)
}

func unmarshalTrusted(b []byte) (t Trusted, ok bool) {
	if len(b) != 16+len(t.Root) {
		return t, false
	}
	t.Height, t.Time = binary.BigEndian.Uint64(b), int64(binary.BigEndian.Uint64(b[8:]))
	copy(t.Root[:], b[16:])
	return t, true
}

// RestoreUnits is the number of equal intervals of paths in which a state is restored. Each has its own progress, so as
// many ranges can be fetched at once.
const RestoreUnits = 64

// Restoration fills a database with the state at a height, in verified ranges. Its progress is written with the data:
// it goes on after a crash. Memory does not grow with the state. It is safe for concurrent use.
type Restoration struct {
	disk    *disk // constant, as are the next two
	network certs.NetworkID
	trusted Trusted

	mu    sync.Mutex
	units [RestoreUnits]unit // guarded by mu
	ended bool               // Finish has succeeded; guarded by mu
}

// unit is the progress in an interval of paths.
type unit struct {
	next merkle.Hash // everything before it is in the database
	done bool
}

// unitLast returns the last path of a unit.
func unitLast(i int) merkle.Hash {
	return merkle.Place{Depth: 6, Prefix: merkle.Hash{byte(i << 2)}}.Last()
}

// restored describes the state that a database is being filled with, or has; false if it has neither.
func restored(space *badgerdb.Space) (t Trusted, complete, ok bool, err error) {
	mark, err := space.Get(keyRestoring)
	if err != nil {
		return t, false, false, err
	}
	if mark != nil {
		t, ok = unmarshalTrusted(mark)
		return t, false, ok, nil
	}
	raw, err := space.Get(keyHead)
	if err != nil || raw == nil {
		return t, false, false, err
	}
	h, err := unmarshalHead(raw)
	return Trusted{h.height, h.time, h.root}, true, err == nil && h.height > 0, err
}

// RestoredHeight returns the height of the state that a database is being filled with by a Restoration, or that it has;
// 0 if it has none.
func RestoredHeight(db *badgerdb.DB) (uint64, error) {
	t, _, _, err := restored(db.Space("ledger"))
	return t.Height, err
}

// Restore goes on with the restoration of a state in a database, or begins it. Whatever else the database has is
// removed.
func Restore(db *badgerdb.DB, genesis *ledger.Genesis, t Trusted, log *slog.Logger) (*Restoration, error) {
	space := db.Space("ledger")
	r := &Restoration{disk: &disk{db: db, space: space, log: log}, network: genesis.NetworkID(), trusted: t}
	for i := range r.units {
		r.units[i].next[0] = byte(i << 2)
	}
	have, complete, ok, err := restored(space)
	switch {
	case err != nil:
	case !ok || have != t:
		err = r.begin()
	case complete:
		r.ended = true
		for i := range r.units {
			r.units[i].done = true
		}
	default:
		err = r.load()
	}
	if err != nil {
		return nil, fmt.Errorf("restore the ledger at height %d: %w", t.Height, err)
	}
	return r, nil
}

func (r *Restoration) begin() error {
	d := r.disk
	var b badgerdb.Batch
	b.Set(d.space, keyRestoring, r.trusted.marshal())
	return errors.Join(d.db.Write(&b), d.db.Sync(), d.clear([]byte{}, nil))
}

func (r *Restoration) load() error {
	pairs, err := r.disk.space.Scan(badgerdb.Range{From: unitKey(0), To: unitKey(RestoreUnits), Limit: RestoreUnits})
	if err != nil {
		return err
	}
	for _, p := range pairs {
		u := &r.units[p.Key[1]]
		if u.done = len(p.Value) == 0; !u.done && copy(u.next[:], p.Value) < len(u.next) {
			return fmt.Errorf("%w: progress of %d bytes%s", ErrMismatch, len(p.Value), advice)
		}
	}
	return nil
}

// Left returns the interval of paths that a unit still lacks; false if it is complete. unit is below RestoreUnits.
func (r *Restoration) Left(unit int) (first, last merkle.Hash, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	u := r.units[unit]
	return u.next, unitLast(unit), !u.done
}

// Add writes the pairs of a range, which the caller has verified against the state's root: all that the state has from
// first to end. It does nothing if the unit goes on elsewhere, because another range has come first.
func (r *Restoration) Add(unit int, first, end merkle.Hash, got *light.Range) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	u := r.units[unit]
	if u.done || u.next != first {
		return nil
	}
	d := r.disk
	var b badgerdb.Batch
	for left := got.Pairs; len(left) > 0; {
		key, value, rest, err := light.NextPair(left)
		if err == nil {
			err = d.writePair(&b, key, nil, value)
		}
		if err != nil {
			return fmt.Errorf("restore the ledger at height %d: %w", r.trusted.Height, err)
		}
		left = rest
	}
	var progress []byte
	if u.done = end == unitLast(unit); !u.done {
		u.next, _ = end.Next()
		progress = u.next[:]
	}
	b.Set(d.space, unitKey(byte(unit)), progress)
	if err := d.db.Write(&b); err != nil {
		return fmt.Errorf("restore the ledger at height %d: %w", r.trusted.Height, err)
	}
	r.units[unit] = u
	return nil
}

// Finish makes the tree of the state, once all units are complete. Then Open opens the database.
func (r *Restoration) Finish() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return nil
	}
	if err := r.finish(); err != nil {
		return fmt.Errorf("restore the ledger at height %d: %w", r.trusted.Height, err)
	}
	r.ended = true
	return nil
}

func (r *Restoration) finish() error {
	for i, u := range r.units {
		if !u.done {
			return fmt.Errorf("paths from %s to %s are missing", u.next, unitLast(i))
		}
	}
	d, t := r.disk, r.trusted
	root, keys, err := d.index()
	if err != nil {
		return err
	}
	if root != t.Root { // every range was verified, so the disk is at fault
		return fmt.Errorf("%w: the state has root %s, want %s%s", ErrMismatch, root, t.Root, advice)
	}
	head := head{height: t.Height, time: t.Time, root: root, kept: t.Height + 1, keys: keys}
	var b badgerdb.Batch
	b.Set(d.space, keyHead, head.marshal())
	b.Set(d.space, keyNetwork, r.network[:])
	b.Delete(d.space, keyRestoring)
	for i := range RestoreUnits {
		b.Delete(d.space, unitKey(byte(i)))
	}
	return errors.Join(d.db.Sync(), d.db.Write(&b), d.db.Sync())
}
