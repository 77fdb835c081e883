package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"walrus/internal/badgerdisk"
	"walrus/internal/pause"
)

const (
	// tendShare is the share of the disk's time that background work takes: one part in so many.
	tendShare = 10
	// tendLook is the pause between looks for background work, and before the first: a node that restarts again and
	// again reads nothing of what lies there.
	tendLook = time.Minute
	// markEvery: writes older than one to two of these are not among the newest after an unclean stop.
	markEvery = 10 * time.Minute
	// usageEvery is the pause between measurements of the disk space, at least. usageShare bounds their share of the
	// time.
	usageEvery = 10 * time.Minute
	usageShare = 100
	// usageStep is the change in bytes that is worth a write.
	usageStep = 1 << 20
)

// tending is the work in the background.
type tending struct {
	dir       string       // constant, as are the next seven
	log       *slog.Logger // of the store
	life      *lifetime
	incidents *incidents
	usage     *usage
	catalog   *catalog
	segments  *segments
	store     *Store
	mu        sync.Mutex
	fresh     bool // what was written last before an unclean stop has not been read back; guarded by mu
}

func (t *tending) unchecked() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.fresh
}

func (t *tending) checked() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.fresh = false
}

// noteStop takes note of how the last process ended.
func (t *tending) noteStop() error {
	clean := filepath.Join(t.dir, cleanName)
	_, cerr := os.Stat(clean)
	_, merr := os.Stat(filepath.Join(t.dir, metaName))
	t.fresh = cerr != nil && merr == nil
	if err := os.Remove(clean); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return badgerdisk.SyncPath(t.dir)
}

// Tend works in the background until ctx ends: it counts records whose counts were lost, counts anew what a crash has
// left of slivers, completes the places after damage or an upgrade, compacts segments, merges index tables, and
// measures the disk space. It uses a tenth of the disk's time, except to make room. Trouble is logged, and tried again.
// corrupt is called with what a compaction could not read, as by Scrub: the segment stays until it is deleted.
func (s *Store) Tend(ctx context.Context, corrupt func(Ref, error)) error {
	s.compactor.report.Store(&corrupt)
	return s.tending.run(ctx)
}

func (t *tending) run(ctx context.Context) error {
	var measured, marked time.Time
	var took time.Duration
	marks := map[*database]uint64{}
	if !pause.For(ctx, tendLook) {
		return nil
	}
	for {
		err := errors.Join(t.count(ctx), t.settle(ctx), t.list(ctx), t.store.compactor.all(ctx), t.merge(ctx))
		if now := time.Now(); now.Sub(measured) >= max(usageEvery, usageShare*took) {
			err = errors.Join(err, t.measure())
			measured, took = now, time.Since(now)
		}
		if now := time.Now(); now.Sub(marked) >= markEvery {
			err = errors.Join(err, t.mark(marks))
			marked = now
		}
		if ctx.Err() != nil || t.life.closed.Load() {
			return nil
		}
		if err != nil {
			t.log.Warn("background work on the store failed; it will be tried again", "err", err)
		}
		if !pause.For(ctx, tendLook) {
			return nil
		}
	}
}

// resting returns a function that pauses after each piece of work, long enough to keep to tendShare.
func resting(ctx context.Context) func() error {
	began := time.Now()
	return func() error {
		if pause.For(ctx, (tendShare-1)*time.Since(began)) {
			began = time.Now()
			return nil
		}
		return ctx.Err()
	}
}

// count counts the records if the counts are in doubt.
func (t *tending) count(ctx context.Context) error {
	d := t.catalog.db
	if _, doubt := d.counts(); !doubt {
		return nil
	}
	began := time.Now()
	t.log.Info("counting the records of a database in the background", "path", d.path)
	if err := d.count(resting(ctx)); err != nil {
		return ignoreGone(err)
	}
	t.log.Info("counted the records", "path", d.path, "took", time.Since(began).Round(time.Millisecond).String())
	return nil
}

// settle counts anew what segments in doubt hold.
func (t *tending) settle(ctx context.Context) error {
	if err := ignoreGone(t.store.places.settleAll(resting(ctx))); err != nil {
		return fmt.Errorf("count what a crash has left: %w", err)
	}
	return nil
}

// list completes the places of blobs.
func (t *tending) list(ctx context.Context) error {
	t.segments.mu.RLock()
	todo := slices.Collect(maps.Values(t.segments.unlisted))
	t.segments.mu.RUnlock()
	for _, b := range todo {
		if err := ignoreGone(t.store.places.list(b, resting(ctx))); err != nil {
			return fmt.Errorf("list the blobs of %s: %w", b.path, err)
		}
	}
	return nil
}

// merge merges the index tables of databases that have many. First it verifies them.
func (t *tending) merge(ctx context.Context) error {
	for _, d := range t.databases() {
		rest := resting(ctx)
		err := d.use(func() error {
			if !d.eng.index().crowded() {
				return nil
			}
			for table := uint64(0); ; {
				next, _, err := d.eng.index().verify(table)
				if err != nil {
					t.blameIndex(d, err)
					return nil // it stays as it is: see fullCheck
				}
				if next == 0 {
					return d.eng.index().compact()
				}
				table = next
				if err := rest(); err != nil {
					return err
				}
			}
		})
		if err := ignoreGone(err); err != nil {
			return fmt.Errorf("merge the index of %s: %w", d.path, err)
		}
	}
	return nil
}

// blameIndex records a damaged index. Keys may be missing, so the records are counted again, and the next Open reads
// the whole index.
func (t *tending) blameIndex(d *database, err error) {
	t.incidents.add(Incident{Path: d.path, Err: fmt.Errorf("%w: index: %w", ErrCorrupt, err)})
	d.suspect()
	d.doubted.Store(true)
	if err := os.WriteFile(d.path+checkSuffix, nil, 0o600); err != nil {
		t.log.Warn("could not note that an index must be checked", "path", d.path, "err", err)
	}
}

// measure measures the disk space, and keeps the result for the next start.
func (t *tending) measure() error {
	if err := t.usage.measure(t.dir); err != nil {
		return fmt.Errorf("disk space of the store: %w", err)
	}
	return t.keepUsage()
}

// keepUsage writes only what has changed, so that a start and a stop leave the files as they are.
func (t *tending) keepUsage() error {
	used := t.usage.bytes.Load()
	if kept, err := t.keptUsage(); err == nil && max(used-kept, kept-used) < usageStep {
		return nil
	}
	return t.catalog.db.put(entry{key: []byte{keyUsage}, value: binary.BigEndian.AppendUint64(nil, uint64(used))})
}

func (t *tending) keptUsage() (int64, error) {
	v, err := t.catalog.db.record([]byte{keyUsage})
	if err == nil && len(v) != 8 {
		err = fmt.Errorf("%w: record of %d bytes", ErrCorrupt, len(v))
	}
	if err != nil {
		return 0, err
	}
	return int64(binary.BigEndian.Uint64(v)), nil
}

// loadUsage takes over the disk space from the last process. Without that it measures.
func (t *tending) loadUsage() error {
	used, err := t.keptUsage()
	if err != nil {
		return t.usage.measure(t.dir)
	}
	t.usage.add(used)
	return nil
}

// mark notes in each database which writes were there at the last call, and in marks which are there now. After an
// unclean stop, later ones are read back first. It does nothing while those of the last unclean stop are waiting.
func (t *tending) mark(marks map[*database]uint64) error {
	if t.unchecked() {
		return nil
	}
	var errs []error
	for _, d := range t.databases() {
		if v, ok := marks[d]; ok {
			errs = append(errs, ignoreGone(d.mark(v)))
		}
		marks[d] = d.version()
	}
	return errors.Join(errs...)
}

// markAll marks all writes, before a clean stop.
func (t *tending) markAll() error {
	if t.unchecked() {
		return nil
	}
	var errs []error
	for _, d := range t.databases() {
		errs = append(errs, ignoreGone(d.mark(d.version())))
	}
	return errors.Join(errs...)
}

// markChecked marks all writes before this start, once the newest of them have been read back.
func (t *tending) markChecked() error {
	t.checked()
	var errs []error
	for _, d := range t.databases() {
		errs = append(errs, ignoreGone(d.mark(d.marks.opened)))
	}
	return errors.Join(errs...)
}

// version returns the version of the last write, or 0 if the database is closed.
func (d *database) version() (v uint64) {
	_ = d.use(func() error {
		v = d.eng.index().version()
		return nil
	})
	return v
}

func markEntry(version uint64) entry {
	return entry{key: []byte{keyMark}, value: binary.BigEndian.AppendUint64(nil, version)}
}

// mark notes a version in the database, unless only the last mark was written since.
func (d *database) mark(version uint64) error {
	d.mu.Lock()
	was := d.marks.noted
	d.marks.noted = max(was, version)
	d.mu.Unlock()
	if version <= was+1 {
		return nil
	}
	return d.put(markEntry(version))
}

// marks tell which writes of a database are the newest.
type marks struct {
	was    uint64 // the version that was noted when the database was opened; constant after opening
	opened uint64 // of the last write then; constant after opening
	noted  uint64 // last; guarded by database.mu
}

// loadMark reads the version that was noted last. Zero is before all writes. A record that is lost or damaged means the
// same: everything is read back after an unclean stop.
func (d *database) loadMark() error {
	d.marks.opened = d.version()
	v, err := d.record([]byte{keyMark})
	if err == nil && len(v) == 8 {
		d.marks.was = binary.BigEndian.Uint64(v)
		d.marks.noted = d.marks.was
	}
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrCorrupt) {
		err = nil
	}
	return err
}

// databases returns meta and the segments that are open. In others nothing is to be done.
func (t *tending) databases() []*database {
	list := []*database{t.catalog.db}
	for _, b := range t.segments.opened() {
		list = append(list, b.database)
	}
	return list
}

// ignoreGone ignores that a segment was dropped meanwhile, or the store closed.
func ignoreGone(err error) error {
	if errors.Is(err, errGone) || errors.Is(err, ErrClosed) {
		return nil
	}
	return err
}
