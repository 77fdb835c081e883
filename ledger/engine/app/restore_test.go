package app

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"walrus/ledger"
	"walrus/ledger/engine/badgerdb"
	"walrus/ledger/light"
	"walrus/ledger/merkle"
)

// snapshotted returns an app with snapshots of heights 60 and 40 after blocks went on to 69, and its chain.
func snapshotted(t *testing.T) (*App, *chain) {
	t.Helper()
	c := newChain(t, 21)
	a := openApp(t, t.TempDir(), c.genesis, func(cfg *Config) { cfg.SnapshotEvery = 20 })
	for range 69 {
		run(t, a, c.random(t))
	}
	if list := a.Snapshots(); !slices.Equal(list, []uint64{60, 40}) {
		t.Fatalf("snapshots %v, want those of heights 60 and 40", list)
	}
	return a, c
}

func (c *chain) trusted(height uint64) Trusted {
	return Trusted{Height: height, Time: c.log[height-1].Time, Root: c.roots[height]}
}

var quiet = slog.New(slog.DiscardHandler)

// fetch adds one range of a unit, as a node serves it, and returns its size.
func fetch(t testing.TB, from *App, r *Restoration, unit, limit int) int {
	t.Helper()
	first, last, ok := r.Left(unit)
	if !ok {
		return 0
	}
	got, err := from.Range(r.trusted.Height, first, last, limit)
	check(t, err)
	end, err := got.Verify(r.trusted.Root, first, last)
	check(t, err)
	check(t, r.Add(unit, first, end, got))
	return len(got.Pairs)
}

// complete fetches all that is left, and returns the number of ranges.
func complete(t testing.TB, from *App, r *Restoration, limit int) (ranges int) {
	t.Helper()
	for i := range RestoreUnits {
		for {
			if _, _, ok := r.Left(i); !ok {
				break
			}
			fetch(t, from, r, i, limit)
			ranges++
		}
	}
	check(t, r.Finish())
	return ranges
}

func TestRestore(t *testing.T) {
	from, c := snapshotted(t)
	dir := t.TempDir()
	db := openDB(t, dir)
	r, err := Restore(db, c.genesis, c.trusted(60), quiet)
	check(t, err)
	complete(t, from, r, 300)
	check(t, db.Close())
	a := openApp(t, dir, c.genesis, func(cfg *Config) { cfg.SnapshotEvery = 10 })
	compareView(t, a.View(), c.states[60], c.states[60])
	for _, r := range c.blocks[60:] {
		run(t, a, r)
	}
	for range 11 {
		run(t, a, c.random(t))
	}
	if v := a.View(); v.Root() != c.roots[c.height] {
		t.Errorf("root %s, want %s", v.Root(), c.roots[c.height])
	}
	compareView(t, a.View(), c.states[c.height], c.states[60])
	compareLog(t, a, c, 61)
	if _, err := a.Blocks(60, 1); !errors.Is(err, ErrPruned) {
		t.Errorf("blocks before the snapshot: %v, want ErrPruned", err)
	}
	if list := a.Snapshots(); len(list) != 2 || list[0]%10 != 0 {
		t.Errorf("snapshots %v", list)
	}
}

// A restoration that ends anywhere goes on where it was: nothing in the database is fetched again.
func TestRestoreResumes(t *testing.T) {
	from, c := snapshotted(t)
	rng := rand.New(rand.NewPCG(8, 9))
	dir := t.TempDir()
	db := openDB(t, dir)
	whole := complete(t, from, mustRestore(t, openDB(t, t.TempDir()), c), 200)
	ranges, starts := 0, 0
	for done := false; !done; starts++ {
		r := mustRestore(t, db, c)
		for range 1 + rng.IntN(9) {
			unit := rng.IntN(RestoreUnits)
			if _, _, ok := r.Left(unit); ok {
				fetch(t, from, r, unit, 200)
				ranges++
			}
		}
		if done = starts == 20; done {
			ranges += complete(t, from, r, 200)
		}
		if height, err := RestoredHeight(db); err != nil || height != 60 {
			t.Fatalf("height %d, %v", height, err)
		}
		check(t, db.Close())
		db = openDB(t, dir)
	}
	if ranges != whole {
		t.Errorf("%d ranges in %d attempts, %d in one", ranges, starts, whole)
	}
	r := mustRestore(t, db, c) // finished, but not yet opened
	complete(t, from, r, 200)
	check(t, db.Close())
	a := openApp(t, dir, c.genesis, nil)
	compareView(t, a.View(), c.states[60], c.states[60])
}

func mustRestore(t *testing.T, db *badgerdb.DB, c *chain) *Restoration {
	t.Helper()
	r, err := Restore(db, c.genesis, c.trusted(60), quiet)
	check(t, err)
	return r
}

// A database with half a state is not taken for a ledger, nor for half of another state.
func TestRestoreAnother(t *testing.T) {
	from, c := snapshotted(t)
	dir := t.TempDir()
	db := openDB(t, dir)
	r := mustRestore(t, db, c)
	for i := range RestoreUnits / 2 {
		fetch(t, from, r, i, 1<<20)
	}
	if err := r.Finish(); err == nil {
		t.Error("half a state was finished")
	}
	other, err := Restore(db, c.genesis, c.trusted(40), quiet)
	check(t, err)
	complete(t, from, other, 1<<20)
	r = mustRestore(t, db, c)
	if first, _, ok := r.Left(0); !ok || first != (merkle.Hash{}) {
		t.Error("it goes on with another state")
	}
	fetch(t, from, r, 3, 1<<20)
	check(t, db.Close())
	a := openApp(t, dir, c.genesis, nil)
	if v := a.View(); v.Height != 0 || v.Root() != c.roots[0] {
		t.Fatalf("height %d with root %s", v.Height, v.Root())
	}
	for _, b := range c.blocks {
		run(t, a, b)
	}
	compare(t, a, c)
}

// Two ranges of the same place, as from two nodes, count once.
func TestRestoreTwice(t *testing.T) {
	from, c := snapshotted(t)
	r := mustRestore(t, openDB(t, t.TempDir()), c)
	first, last, _ := r.Left(0)
	short, err := from.Range(60, first, last, 1)
	check(t, err)
	end, err := short.Verify(c.roots[60], first, last)
	check(t, err)
	long, err := from.Range(60, first, last, 1<<20)
	check(t, err)
	check(t, r.Add(0, first, last, long))
	check(t, r.Add(0, first, end, short))
	if _, _, ok := r.Left(0); ok {
		t.Error("a late range took the unit back")
	}
}

// Ranges of any interval and limit verify, and together have the whole state.
func TestRanges(t *testing.T) {
	from, c := snapshotted(t)
	for _, limit := range []int{1, 100, 1000, 1 << 20} {
		seen, bytes := 0, 0
		for i := range RestoreUnits {
			for first, more := (merkle.Hash{byte(i << 2)}), true; more; {
				got, err := from.Range(40, first, unitLast(i), limit)
				check(t, err)
				end, err := got.Verify(c.roots[40], first, unitLast(i))
				check(t, err)
				n := 0
				for left := got.Pairs; len(left) > 0; n++ {
					var key, value []byte
					key, value, left, err = light.NextPair(left)
					check(t, err)
					if string(value) != string(c.states[40][string(key)]) {
						t.Fatalf("key %x: %x", key, value)
					}
				}
				if n > 1 && len(got.Pairs) > limit {
					t.Fatalf("%d bytes, limit %d", len(got.Pairs), limit)
				}
				seen, bytes = seen+n, bytes+len(got.Pairs)
				first, _ = end.Next()
				more = end != unitLast(i)
			}
		}
		if seen != len(c.states[40]) {
			t.Errorf("limit %d: %d pairs, want %d", limit, seen, len(c.states[40]))
		}
	}
	if _, err := from.Range(50, merkle.Hash{}, unitLast(0), 1000); !errors.Is(err, ledger.ErrNotFound) {
		t.Errorf("a height without a snapshot: %v", err)
	}
}

func TestRetain(t *testing.T) {
	now := time.Now()
	ago := func(height uint64, made, used time.Duration) snapshot {
		return snapshot{&View{Height: height}, now.Add(-made), now.Add(-used)}
	}
	for name, tt := range map[string]struct {
		list []snapshot
		want []uint64
	}{
		"none":                  {nil, nil},
		"two, never used":       {[]snapshot{ago(3, time.Hour, 9*time.Hour), ago(2, 9*time.Hour, 9*time.Hour)}, []uint64{3, 2}},
		"a third, unused":       {[]snapshot{ago(4, 0, 0), ago(3, 0, 0), ago(2, 0, time.Hour)}, []uint64{4, 3}},
		"a third, in use":       {[]snapshot{ago(4, 0, 0), ago(3, 0, 0), ago(2, time.Minute, time.Second)}, []uint64{4, 3, 2}},
		"a third, for too long": {[]snapshot{ago(4, 0, 0), ago(3, 0, 0), ago(2, 2*time.Hour, 0)}, []uint64{4, 3}},
		"five in use":           {[]snapshot{ago(5, 0, 0), ago(4, 0, 0), ago(3, 0, 0), ago(2, 0, 0), ago(1, 0, 0)}, []uint64{5, 4, 3, 2}},
	} {
		var got []uint64
		for _, s := range retain(tt.list, now) {
			got = append(got, s.view.Height)
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}

// filled returns an app with a state of n more keys at height 0, whose rules do not matter.
func filled(t testing.TB, n int) (*App, Trusted) {
	t.Helper()
	a := openApp(t, t.TempDir(), testGenesis(t), nil)
	tree := a.View().tree
	for done := 0; done < n; {
		var b badgerdb.Batch
		var changes []merkle.Change
		for ; len(changes) < 10_000 && done < n; done++ {
			c := merkle.Change{Key: fmt.Appendf(nil, "z%040d", done), Value: binary.BigEndian.AppendUint64(nil, uint64(done))}
			changes = append(changes, c)
			b.Set(a.space, stateKey(c.Key), record(c.Key, c.Value))
		}
		next, err := tree.Apply(changes, 2)
		check(t, err)
		source := new(source)
		tree, err = next.Save(source, a.disk.cache, a.disk.writePage(&b))
		check(t, err)
		check(t, a.db.Write(&b))
		source.snap, err = a.space.Snapshot()
		check(t, err)
		a.snapshots.begin(&View{Height: 5, Time: 7, snap: source.snap, tree: tree})
	}
	return a, Trusted{5, 7, tree.Root()}
}

// A state may need any number of ranges: here more than a snapshot could have parts when it had parts.
func TestManyRanges(t *testing.T) {
	const once = 8192
	from, trusted := filled(t, once+100)
	db := openDB(t, t.TempDir())
	r, err := Restore(db, testGenesis(t), trusted, quiet)
	check(t, err)
	if ranges := complete(t, from, r, 1); ranges <= once {
		t.Errorf("%d ranges, want more than %d", ranges, once)
	}
}

// BenchmarkRestore measures how a state is read, verified and restored, for each key.
func BenchmarkRestore(b *testing.B) {
	for _, n := range []int{10_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			from, trusted := filled(b, n)
			for b.Loop() {
				r, err := Restore(openDB(b, b.TempDir()), testGenesis(b), trusted, quiet)
				check(b, err)
				complete(b, from, r, light.MaxRange)
			}
			b.ReportMetric(float64(b.N*n)/b.Elapsed().Seconds(), "keys/s")
		})
	}
}
