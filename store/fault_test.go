package store

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"walrus/shards"
)

// disk is a model of databases on a disk with a volatile cache. All of them share one count of operations, at one
// of which something goes wrong.
type disk struct {
	mu    sync.Mutex
	files map[string]*memEngine // by path
	ops   int
	fail  int // the operation that fails; −1 for none
	mode  mode
	dead  bool // the machine has stopped: nothing works any more
	hit   string
}

type mode int

const (
	lost    mode = iota // failed and did not land
	landed              // failed and landed
	swept               // failed, did not land, and earlier writes are lost with it
	stopped             // the machine stops instead
)

func (m mode) String() string { return [...]string{"lost", "landed", "swept", "stopped"}[m] }

var errDisk = errors.New("disk says no")

// memEngine is a database of the model. Writes are in the cache until sync; a sync that fails loses them for good,
// although they can still be read.
type memEngine struct {
	d       *disk
	now     map[string][]byte
	durable map[string][]byte
	dirty   [][]entry
}

func (d *disk) open(path string) (engine, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	mark := filepath.Join(path, "MODEL") // goes with the folder when a segment is removed
	if _, err := os.Stat(mark); err != nil {
		delete(d.files, path)
		if err := os.WriteFile(mark, nil, 0o600); err != nil {
			return nil, err
		}
	}
	if d.files[path] == nil {
		d.files[path] = &memEngine{d: d, now: map[string][]byte{}, durable: map[string][]byte{}}
	}
	return d.files[path], nil
}

// crashed returns the configuration of a store on a copy of the disk after a crash. dir is the store's.
func (d *disk) crashed(t *testing.T, dir string, r *rand.Rand) Config {
	cfg := small(t.TempDir())
	copyTree(t, cfg.Dir, dir)
	to := &disk{files: map[string]*memEngine{}, fail: -1}
	for path, e := range d.files {
		rel, err := filepath.Rel(dir, path)
		check(t, err)
		to.files[filepath.Join(cfg.Dir, rel)] = &memEngine{d: to, now: maps.Clone(e.now), durable: maps.Clone(e.durable),
			dirty: slices.Clone(e.dirty)}
	}
	to.crash(r)
	cfg.engine = to.open
	return cfg
}

// crash loses most writes that are not durable.
func (d *disk) crash(r *rand.Rand) {
	for _, path := range slices.Sorted(maps.Keys(d.files)) {
		e := d.files[path]
		for _, batch := range e.dirty {
			if r.IntN(2) == 0 {
				apply(e.durable, batch)
			}
		}
		e.dirty = nil
		e.now = maps.Clone(e.durable)
	}
	d.dead, d.fail = false, -1
}

// step counts an operation and tells whether it fails and whether it lands.
func (d *disk) step(what string) (land bool, err error) {
	if d.dead {
		return false, errDisk
	}
	d.ops++
	if d.ops-1 != d.fail {
		return true, nil
	}
	d.hit = what
	d.dead = d.mode == stopped
	return d.mode == landed, errDisk
}

func apply(m map[string][]byte, batch []entry) {
	for _, e := range batch {
		if e.del {
			delete(m, string(e.key))
		} else {
			m[string(e.key)] = bytes.Clone(e.value)
		}
	}
}

func (e *memEngine) get(key []byte, fn func([]byte) error) error {
	e.d.mu.Lock()
	defer e.d.mu.Unlock()
	if _, err := e.d.step("get " + string(key[:1])); err != nil {
		return err
	}
	v, ok := e.now[string(key)]
	if !ok {
		return ErrNotFound
	}
	return fn(v)
}

func (e *memEngine) write(batch []entry) error {
	e.d.mu.Lock()
	defer e.d.mu.Unlock()
	land, err := e.d.step("write " + string(batch[0].key[:1]))
	if err != nil && e.d.mode == swept && !e.d.dead {
		e.dirty = nil
	}
	if land {
		var own []entry
		for _, x := range batch { // the caller's buffers are its own again
			own = append(own, entry{key: bytes.Clone(x.key), value: bytes.Clone(x.value), del: x.del})
		}
		apply(e.now, own)
		e.dirty = append(e.dirty, own)
	}
	return err
}

func (e *memEngine) scan(prefix, after []byte, limit int, _ uint64, fn func(k []byte) error) error {
	e.d.mu.Lock()
	keys := slices.Sorted(maps.Keys(e.now))
	e.d.mu.Unlock()
	for _, k := range keys {
		if limit == 0 {
			break
		}
		if strings.HasPrefix(k, string(prefix)) && (after == nil || k > string(after)) {
			limit--
			if err := fn([]byte(k)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (e *memEngine) sync() error {
	e.d.mu.Lock()
	defer e.d.mu.Unlock()
	if e.d.dead {
		return errDisk
	}
	land, err := e.d.step("sync")
	if e.d.dead {
		return err
	}
	if land {
		for _, b := range e.dirty {
			apply(e.durable, b)
		}
	}
	e.dirty = nil
	return err
}

func (e *memEngine) index() index                         { return e }
func (e *memEngine) version() uint64                      { return 0 }
func (e *memEngine) verify(uint64) (uint64, int64, error) { return 0, 0, nil }
func (e *memEngine) crowded() bool                        { return false }
func (e *memEngine) compact() error                       { return nil }
func (e *memEngine) close() error                         { return nil }

// faultRun stores three slivers, one of which is being written while the others are stored, and tells which are
// acknowledged. What fails is tried again, as a whole; a fault happens once, so the second time must do.
type faultRun struct {
	t     *testing.T
	s     *Store
	acked map[Ref]bool
	gone  map[Ref]bool // must not be there
}

func faultRef(n int) Ref { return Ref{Blob: blobID(n), Shard: n, Axis: shards.Primary} }

const faultSize = extentSize + 100

// faultContent is content, made once.
var faultContent = func() (all [5][]byte) {
	for n := range all {
		all[n] = content(faultRef(n), faultSize)
	}
	return all
}()

func (f *faultRun) store(n int, between func()) error {
	ref, b := faultRef(n), faultContent[n]
	err := func() error {
		if err := f.s.PutBlob(ref.Blob, meta(n), 5); err != nil {
			return err
		}
		w, err := f.s.Create(ref, faultSize)
		if err != nil {
			return err
		}
		defer w.Abort()
		if _, err := w.Write(b[:extentSize+10]); err != nil {
			return err
		}
		between()
		if _, err := w.Write(b[extentSize+10:]); err != nil {
			return err
		}
		if err := w.Commit(); err != nil {
			return err
		}
		if err := f.s.PutCertificate(ref.Blob, uint32(n), []byte("c")); err != nil {
			return err
		}
		return f.s.Sync()
	}()
	if err == nil {
		f.acked[ref] = true
	}
	f.visible(false)
	return err
}

// retry stores with a second and third try: while one writer waits the fault may hit another and then both.
func (f *faultRun) retry(n int, between func()) {
	between = sync.OnceFunc(between)
	for range 2 {
		if f.store(n, between) == nil {
			return
		}
	}
	if err := f.store(n, between); err != nil && !errors.Is(err, errDisk) {
		f.t.Errorf("sliver %d is refused three times: %v", n, err)
	}
}

// visible checks that every visible sliver is whole and, if all is set, that every acknowledged sliver is visible.
func (f *faultRun) visible(all bool) {
	f.t.Helper()
	for n := 1; n <= 4; n++ {
		ref := faultRef(n)
		err := compare(f.s, ref, faultContent[n])
		if errors.Is(err, errDisk) {
			err = compare(f.s, ref, faultContent[n])
		}
		switch {
		case errors.Is(err, errDiffers):
			f.t.Errorf("sliver %d: wrong bytes", n)
		case err == nil && f.gone[ref]:
			f.t.Errorf("sliver %d was deleted and is there", n)
		case err == nil || errors.Is(err, errDisk) && !all:
		case errors.Is(err, ErrNotFound):
			if f.acked[ref] {
				f.t.Errorf("sliver %d is acknowledged and missing", n)
			}
		default:
			f.t.Errorf("sliver %d is visible and not whole: %v", n, err)
		}
		if !all || !f.acked[ref] {
			continue
		}
		m, merr := f.s.Metadata(ref.Blob)
		rec, rerr := f.s.Blob(ref.Blob)
		if merr != nil || rerr != nil || !bytes.Equal(m, meta(n)) ||
			rec != (BlobRecord{EndEpoch: 5, Certified: true, CertEpoch: uint32(n)}) {
			f.t.Errorf("blob %d is acknowledged: %v, %v, %+v", n, merr, rerr, rec)
		}
	}
}

var errDiffers = errors.New("wrong bytes")

// expected compares what is written to it with what is still to come.
type expected []byte

func (e *expected) Write(b []byte) (int, error) {
	rest, same := bytes.CutPrefix(*e, b)
	if !same {
		return 0, errDiffers
	}
	*e = rest
	return len(b), nil
}

// compare reads a sliver and returns errDiffers if it is not want. It makes no copy: TestFaults reads thousands.
func compare(s *Store, ref Ref, want []byte) error {
	r, err := s.OpenSliver(ref)
	if err != nil {
		return err
	}
	left := expected(want)
	if _, err := r.WriteTo(&left); err != nil {
		return err
	}
	if len(left) > 0 {
		return errDiffers
	}
	return nil
}

// faultTable runs something once for each operation of a database that may go wrong, in every way, until there is no
// such operation any more. It takes every step-th.
func faultTable(t *testing.T, step int, run func(t *testing.T, k int, m mode) *disk) {
	for _, m := range []mode{lost, landed, swept, stopped} {
		t.Run(m.String(), func(t *testing.T) {
			t.Parallel()
			for k := 0; ; k += step {
				d := run(t, k, m)
				if t.Failed() {
					t.Fatalf("operation %d, %q, %s", k, d.hit, m)
				}
				if d.hit == "" {
					if k < 40 {
						t.Fatalf("only %d operations", k)
					}
					t.Logf("%d operations", k)
					return
				}
			}
		})
	}
}

// newFault opens a store on a disk of the model.
func newFault(t *testing.T, m mode) (*disk, *faultRun) {
	d := &disk{files: map[string]*memEngine{}, fail: -1, mode: m}
	cfg := small(t.TempDir())
	cfg.engine = d.open
	s, err := Open(cfg)
	check(t, err)
	return d, &faultRun{t: t, s: s, acked: map[Ref]bool{}, gone: map[Ref]bool{}}
}

// failAt makes operation k from now on fail.
func (d *disk) failAt(k int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ops, d.fail = 0, k
}

// afterCrashes opens copies of the disk as crashes leave it: what is left of unsynced writes is a matter of luck.
func (f *faultRun) afterCrashes(d *disk, k int, look func(g *faultRun)) {
	f.t.Helper()
	for i := range 2 {
		s, err := Open(d.crashed(f.t, f.s.cfg.Dir, rand.New(rand.NewPCG(uint64(k), uint64(i)))))
		check(f.t, err)
		wantCounts(f.t, s)
		look(&faultRun{t: f.t, s: s, acked: maps.Clone(f.acked), gone: maps.Clone(f.gone)})
		check(f.t, s.Close())
	}
}

// TestFaults lets every single operation of a database go wrong, in every way, and then the power fail.
func TestFaults(t *testing.T) {
	step := 1
	if testing.Short() { // under the race detector
		step = 7
	}
	faultTable(t, step, runFault)
}

func runFault(t *testing.T, k int, m mode) *disk {
	d, f := newFault(t, m)
	d.failAt(k)
	f.retry(1, func() {})
	f.retry(2, func() { f.retry(3, func() {}) })
	if m != stopped {
		f.retry(4, func() {})
		for n := 1; n <= 4; n++ {
			if !f.acked[faultRef(n)] {
				t.Errorf("sliver %d cannot be stored after one fault", n)
			}
		}
	}
	f.afterCrashes(d, k, func(g *faultRun) {
		g.visible(true)
		g.retry(4, func() {})
		g.visible(true)
	})
	return d
}

// TestFaultsDrop lets every single operation of a drop go wrong, and of what makes the blob known again, in every way,
// and then the power fail. The sliver stays away until it is stored again, and others stay.
func TestFaultsDrop(t *testing.T) {
	step := 1
	if testing.Short() { // under the race detector
		step = 3
	}
	faultTable(t, step, runDropFault)
}

func runDropFault(t *testing.T, k int, m mode) *disk {
	d, f := newFault(t, m)
	for n := 1; n <= 3; n++ {
		check(t, f.store(n, func() {}))
	}
	d.failAt(k)
	ref := faultRef(2)
	delete(f.acked, ref)
	for range 3 {
		if errors.Join(f.s.DropBlob(ref.Blob, []int{ref.Shard}), f.s.Sync()) == nil {
			f.gone[ref] = true
			break
		}
	}
	f.visible(false)
	for range 3 {
		if errors.Join(f.s.PutBlob(ref.Blob, meta(2), 5), f.s.Sync()) == nil {
			break
		}
	}
	f.visible(false)
	if m != stopped && !f.gone[ref] {
		t.Error("the blob cannot be dropped after one fault")
	}
	look := func(g *faultRun) {
		g.visible(true)
		g.retry(4, func() {})
		if _, err := compactNow(g.s); err != nil {
			t.Errorf("compact: %v", err)
		}
		g.visible(true)
		delete(g.gone, ref)
		g.retry(2, func() {})
		g.visible(true)
		if !g.acked[ref] {
			t.Error("the sliver cannot be stored again")
		}
		if g.s != f.s { // there a write that has failed may have landed
			wantCounts(t, g.s)
		}
	}
	f.afterCrashes(d, k, look)
	d.mu.Lock()
	ended := d.dead
	d.fail = -1
	d.mu.Unlock()
	if !ended {
		look(f)
	}
	check(t, f.s.lock.Close())
	return d
}

// TestFaultsAgain lets every operation go wrong while a sliver is dropped and stored again before a sync, and then the
// power fail. If that brings the old life of the blob back, the sliver is there.
func TestFaultsAgain(t *testing.T) {
	step := 1
	if testing.Short() {
		step = 3
	}
	faultTable(t, step, func(t *testing.T, k int, m mode) *disk {
		d, f := newFault(t, m)
		check(t, f.store(2, func() {}))
		ref := faultRef(2)
		_, old, err := f.s.catalog.blob(ref.Blob)
		check(t, err)
		delete(f.acked, ref)
		d.failAt(k)
		if f.s.DropBlob(ref.Blob, []int{ref.Shard}) == nil {
			f.retry(2, func() {})
		}
		f.afterCrashes(d, k, func(g *faultRun) {
			g.visible(true)
			if _, of, err := g.s.catalog.blob(ref.Blob); err == nil && of == old {
				check(t, compare(g.s, ref, faultContent[2]))
			}
		})
		return d
	})
}

// TestFaultsCompact lets every single operation of a compaction go wrong, in every way, and then the power fail. What
// lives stays, and in the end the compaction succeeds.
func TestFaultsCompact(t *testing.T) {
	step := 1
	if testing.Short() { // under the race detector
		step = 5
	}
	faultTable(t, step, runCompactFault)
}

func runCompactFault(t *testing.T, k int, m mode) *disk {
	d, f := newFault(t, m)
	for n := 1; n <= 4; n++ {
		check(t, f.store(n, func() {}))
	}
	for n := 3; n <= 4; n++ {
		check(t, f.s.DropBlob(blobID(n), []int{n}))
		delete(f.acked, faultRef(n))
		f.gone[faultRef(n)] = true
	}
	check(t, f.s.Sync())
	d.failAt(k)
	if _, err := compactNow(f.s); err != nil && d.hit == "" {
		t.Errorf("compact without a fault: %v", err)
	}
	done := func(f *faultRun) {
		f.visible(true)
		if _, err := compactNow(f.s); err != nil {
			t.Errorf("compact again: %v", err)
		}
		f.visible(true)
		for _, b := range f.s.segments.all() {
			if dead := b.size.Load() - f.s.catalog.live(b)[1]; dead > 2*extentSize {
				t.Errorf("%s has %d dead bytes", b.path, dead)
			}
		}
	}
	f.afterCrashes(d, k, done)
	d.mu.Lock()
	ended := d.dead
	d.fail = -1
	d.mu.Unlock()
	if !ended {
		done(f)
	}
	check(t, f.s.lock.Close())
	return d
}

// TestFull checks that a full disk refuses writes, and nothing else.
func TestFull(t *testing.T) {
	cfg := small(t.TempDir())
	s := mustOpen(t, cfg)
	ref := Ref{Blob: blobID(1)}
	check(t, s.PutBlob(ref.Blob, meta(1), 5))
	check(t, put(s, ref, content(ref, 1000)))
	w, err := s.Create(Ref{Blob: ref.Blob, Shard: 2}, 2*extentSize)
	check(t, err)
	s.cfg.MinFree = 1 << 62
	_, err = w.Write(content(ref, 2*extentSize))
	wantErr(t, err, ErrFull)
	wantErr(t, w.Commit(), ErrFull)
	_, err = s.Create(ref, 1)
	wantErr(t, err, ErrFull)
	wantErr(t, s.PutBlob(ref.Blob, meta(1), 5), ErrFull)
	wantErr(t, s.PutCertificate(ref.Blob, 5, nil), ErrFull)
	wantErr(t, s.PutState("a", nil), ErrFull)
	wantSliver(t, s, ref, content(ref, 1000))
	check(t, s.Sync())
	check(t, s.DeleteSliver(ref))
	check(t, s.Close())
	cfg.MinFree = 1 << 62
	_, err = Open(cfg)
	wantErr(t, err, ErrFull)
}

// TestConformanceOfModel keeps the model of a database true to the real one.
func TestConformanceOfModel(t *testing.T) {
	d := &disk{files: map[string]*memEngine{}, fail: -1}
	cfg := small(t.TempDir())
	cfg.engine = d.open
	s := mustOpen(t, cfg)
	testConformance(t, s, func() *Store {
		check(t, s.Close())
		s = mustOpen(t, cfg)
		return s
	})
}

// TestGroup checks that callers share runs, and that none returns before a run that began after its call.
func TestGroup(t *testing.T) {
	var g group
	var mu sync.Mutex
	began, runs := 0, 0
	var wg sync.WaitGroup
	for range 200 {
		wg.Go(func() {
			mu.Lock()
			before := began
			mu.Unlock()
			mine := 0
			err := g.do(func() error {
				mu.Lock()
				defer mu.Unlock()
				began++
				runs++
				return nil
			})
			mu.Lock()
			mine = began
			mu.Unlock()
			if err != nil || mine <= before {
				t.Errorf("returned before a run: %v, %d, %d", err, mine, before)
			}
		})
	}
	wg.Wait()
	want := fmt.Errorf("x")
	if err := g.do(func() error { return want }); err != want {
		t.Errorf("got %v", err)
	}
	if runs == 0 || runs > 200 {
		t.Errorf("%d runs", runs)
	}
}
