package app

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"

	"walrus/ledger"
	"walrus/ledger/engine/badgerdb"
	"walrus/ledger/merkle"
)

const (
	// MaxSnapshotParts bounds the parts of a snapshot, and so its size: 2 GiB.
	MaxSnapshotParts = 8192
	// MaxSnapshotPart bounds a part of a snapshot, in bytes.
	MaxSnapshotPart = 256 << 10
	// keptSnapshots is the number of newest snapshots kept.
	keptSnapshots = 2
)

// Snapshot is the whole state at a height, in parts. A part has pairs of the state, in ascending order of their keys'
// SHA-256: length u16 ‖ key ‖ length u32 ‖ value, big-endian. It ends where the next pair would make it larger than
// MaxSnapshotPart.
type Snapshot struct {
	Height uint64
	Parts  uint32
	Header []byte // binary form of the header, which has the hashes of the parts
}

// header describes a snapshot.
//
//	1 u8 ‖ height u64 ‖ time i64 ‖ root ‖ keys u64 ‖ SHA-256 of each part, big-endian
type header struct {
	height uint64
	time   int64
	root   merkle.Hash
	keys   uint64
	parts  [][sha256.Size]byte
}

const (
	headerVersion = 1
	headerSize    = 1 + 8 + 8 + len(merkle.Hash{}) + 8
)

func (h *header) marshal() []byte {
	b := []byte{headerVersion}
	b = binary.BigEndian.AppendUint64(b, h.height)
	b = binary.BigEndian.AppendUint64(b, uint64(h.time))
	b = append(b, h.root[:]...)
	b = binary.BigEndian.AppendUint64(b, h.keys)
	for _, p := range h.parts {
		b = append(b, p[:]...)
	}
	return b
}

func unmarshalHeader(b []byte) (*header, error) {
	n := (len(b) - headerSize) / sha256.Size
	if len(b) < headerSize || len(b) != headerSize+n*sha256.Size || n > MaxSnapshotParts || b[0] != headerVersion {
		return nil, fmt.Errorf("%w: header of %d bytes, or of another version", ErrSnapshot, len(b))
	}
	h := &header{
		height: binary.BigEndian.Uint64(b[1:]), time: int64(binary.BigEndian.Uint64(b[9:])),
		keys: binary.BigEndian.Uint64(b[headerSize-8:]), parts: make([][sha256.Size]byte, n),
	}
	copy(h.root[:], b[17:])
	for i := range h.parts {
		copy(h.parts[i][:], b[headerSize+i*sha256.Size:])
	}
	return h, nil
}

// appendPair adds a pair to a part.
func appendPair(b, key, value []byte) []byte {
	b = append(binary.BigEndian.AppendUint16(b, uint16(len(key))), key...)
	return append(binary.BigEndian.AppendUint32(b, uint32(len(value))), value...)
}

func pairSize(key, value []byte) int { return 2 + len(key) + 4 + len(value) }

// parsePart decodes the pairs of a part, which share its memory.
func parsePart(b []byte) (pairs []merkle.Change, err error) {
	for len(b) > 0 {
		var c merkle.Change
		if len(b) < 2 || len(b)-2 < int(binary.BigEndian.Uint16(b)) {
			return nil, fmt.Errorf("%w: a part ends within a pair", ErrSnapshot)
		}
		n := int(binary.BigEndian.Uint16(b))
		c.Key, b = b[2:2+n:2+n], b[2+n:]
		if len(b) < 4 || uint64(len(b)-4) < uint64(binary.BigEndian.Uint32(b)) {
			return nil, fmt.Errorf("%w: a part ends within a pair", ErrSnapshot)
		}
		n = int(binary.BigEndian.Uint32(b))
		c.Value, b = b[4:4+n:4+n], b[4+n:]
		pairs = append(pairs, c)
	}
	return pairs, nil
}

// snapshots makes snapshots and keeps the newest.
type snapshots struct {
	db    *badgerdb.DB    // constant, as are the next three
	space *badgerdb.Space //
	log   *slog.Logger
	stop  chan struct{} // closed by close

	maxParts int // MaxSnapshotParts, except in tests; constant

	making sync.WaitGroup
	mu     sync.Mutex
	busy   bool       // one is being made; guarded by mu
	closed bool       // guarded by mu
	list   []Snapshot // the newest first; guarded by mu, its elements constant
}

func newSnapshots(db *badgerdb.DB, space *badgerdb.Space, log *slog.Logger) *snapshots {
	return &snapshots{db: db, space: space, log: log, stop: make(chan struct{}), maxParts: MaxSnapshotParts}
}

// load finds the snapshots in the database, and removes unfinished ones.
func (s *snapshots) load() error {
	var list []Snapshot
	end := snapshotEnd
	for {
		last, err := s.space.Scan(badgerdb.Range{From: snapshotKeys, To: end, Descending: true, Limit: 1})
		if err != nil {
			return err
		}
		if len(last) == 0 {
			break
		}
		p, _ := parsePosition(last[0].Key)
		end = snapshotKey(p.Height, 0)
		h, err := unmarshalHeader(last[0].Value)
		if p.Index == snapshotHeader && err == nil && len(list) < keptSnapshots {
			list = append(list, Snapshot{Height: h.height, Parts: uint32(len(h.parts)), Header: last[0].Value})
			continue
		}
		if err := s.remove(p.Height); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = list
	return nil
}

// remove removes a snapshot from the database, its header first.
func (s *snapshots) remove(height uint64) error {
	end := snapshotKey(height+1, 0)
	for {
		pairs, err := s.space.Scan(badgerdb.Range{From: snapshotKey(height, 0), To: end, Descending: true, Limit: 16})
		if err != nil || len(pairs) == 0 {
			return err
		}
		var b badgerdb.Batch
		for _, p := range pairs {
			b.Delete(s.space, p.Key)
		}
		if err := s.db.Write(&b); err != nil {
			return err
		}
	}
}

// make makes a snapshot of the view in the background, unless one is in progress.
func (s *snapshots) make(v *View) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.busy || s.closed {
		return
	}
	s.busy = true
	s.making.Go(func() {
		err := s.write(v)
		s.mu.Lock()
		s.busy = false
		s.mu.Unlock()
		if err != nil && !errors.Is(err, errStopped) && !errors.Is(err, badgerdb.ErrClosed) {
			s.log.Error("making a snapshot of the ledger failed", "height", v.Height, "err", err)
		}
	})
}

var errStopped = errors.New("stopped")

// close stops the snapshot in progress.
func (s *snapshots) close() {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		close(s.stop)
	}
	s.mu.Unlock()
	s.making.Wait()
}

// write writes a snapshot, and removes the oldest beyond keptSnapshots.
func (s *snapshots) write(v *View) error {
	h := &header{height: v.Height, time: v.Time, root: v.Root()}
	err := s.writeParts(v, h)
	switch {
	case errors.Is(err, errStopped): // load removes it
		return err
	case err != nil: // remove it, or every failed attempt would take more of the disk
		return errors.Join(err, s.remove(v.Height))
	}
	return s.finish(Snapshot{Height: h.height, Parts: uint32(len(h.parts)), Header: h.marshal()})
}

// writeParts writes the parts, and adds them to the header.
func (s *snapshots) writeParts(v *View, h *header) error {
	var part []byte
	flush := func() error {
		if len(h.parts) == s.maxParts {
			return fmt.Errorf("the state does not fit into %d parts", s.maxParts)
		}
		var b badgerdb.Batch
		b.Set(s.space, snapshotKey(v.Height, uint32(len(h.parts))), part)
		h.parts = append(h.parts, sha256.Sum256(part))
		part = nil
		return s.db.Write(&b)
	}
	for from := new(merkle.Hash); from != nil; {
		select {
		case <-s.stop:
			return errStopped
		default:
		}
		pairs, next, err := v.Pairs(*from, 4096, 1<<20)
		if err != nil {
			return err
		}
		for _, p := range pairs {
			if len(part) > 0 && len(part)+pairSize(p.Key, p.Value) > MaxSnapshotPart {
				if err := flush(); err != nil {
					return err
				}
			}
			part = appendPair(part, p.Key, p.Value)
			h.keys++
		}
		from = next
	}
	return flush()
}

func (s *snapshots) finish(n Snapshot) error {
	var b badgerdb.Batch
	b.Set(s.space, snapshotKey(n.Height, snapshotHeader), n.Header)
	if err := errors.Join(s.db.Write(&b), s.db.Sync()); err != nil {
		return err
	}
	s.mu.Lock()
	s.list = slices.Insert(s.list, 0, n)
	var old []Snapshot
	if len(s.list) > keptSnapshots {
		old = slices.Clone(s.list[keptSnapshots:])
		s.list = slices.Clone(s.list[:keptSnapshots])
	}
	s.mu.Unlock()
	for _, o := range old {
		if err := s.remove(o.Height); err != nil {
			return fmt.Errorf("remove the snapshot at height %d: %w", o.Height, err)
		}
	}
	return nil
}

// Snapshots returns the available snapshots, newest first. Do not modify them.
func (a *App) Snapshots() []Snapshot {
	a.snapshots.mu.Lock()
	defer a.snapshots.mu.Unlock()
	return slices.Clone(a.snapshots.list)
}

// SnapshotPart returns a part of a snapshot, or ledger.ErrNotFound.
func (a *App) SnapshotPart(height uint64, part uint32) ([]byte, error) {
	for _, s := range a.Snapshots() {
		if s.Height != height || part >= s.Parts {
			continue
		}
		b, err := a.space.Get(snapshotKey(height, part))
		if err != nil {
			return nil, fmt.Errorf("read part %d of the snapshot at height %d: %w", part, height, err)
		}
		if b != nil { // nil: just removed
			return b, nil
		}
	}
	return nil, fmt.Errorf("part %d of a snapshot at height %d: %w", part, height, ledger.ErrNotFound)
}
