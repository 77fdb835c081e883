package app

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"testing"

	"walrus/ledger"
	"walrus/ledger/engine/badgerdb"
	"walrus/ledger/merkle"
)

// snapshotted returns an app, its chain, and a snapshot of height 60 made while blocks went on.
func snapshotted(t *testing.T) (*App, *chain, Snapshot) {
	t.Helper()
	c := newChain(t, 21)
	a := openApp(t, t.TempDir(), c.genesis, func(cfg *Config) { cfg.SnapshotEvery = 20 })
	for range 69 {
		run(t, a, c.random(t))
	}
	a.snapshots.making.Wait()
	list := a.Snapshots()
	if len(list) != 2 || list[0].Height != 60 || list[1].Height != 40 {
		t.Fatalf("snapshots %+v, want those of heights 60 and 40", list)
	}
	return a, c, list[0]
}

func (c *chain) trusted(height uint64) Trusted {
	return Trusted{Height: height, Time: c.log[height-1].Time, Root: c.roots[height]}
}

func partsOf(a *App, s Snapshot) func(context.Context, uint32) ([]byte, error) {
	return func(_ context.Context, part uint32) ([]byte, error) { return a.SnapshotPart(s.Height, part) }
}

func TestRestore(t *testing.T) {
	from, c, s := snapshotted(t)
	dir := t.TempDir()
	a := openApp(t, dir, c.genesis, nil)
	check(t, a.Restore(t.Context(), c.trusted(60), s.Header, partsOf(from, s)))
	check(t, a.Close())
	check(t, a.db.Close())
	a = openApp(t, dir, c.genesis, func(cfg *Config) { cfg.SnapshotEvery = 10 })
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
	if err := a.Restore(t.Context(), c.trusted(60), s.Header, partsOf(from, s)); err == nil {
		t.Error("restored over a ledger that has blocks")
	}
	a.snapshots.making.Wait()
	if list := a.Snapshots(); len(list) == 0 || list[0].Height%10 != 0 {
		t.Errorf("snapshots %+v", list)
	}
}

// headerOf makes a header, true or not.
func headerOf(tr Trusted, keys uint64, parts [][]byte) []byte {
	h := header{height: tr.Height, time: tr.Time, root: tr.Root, keys: keys}
	for _, p := range parts {
		h.parts = append(h.parts, sha256.Sum256(p))
	}
	return h.marshal()
}

func TestRestoreRefuses(t *testing.T) {
	from, c, s := snapshotted(t)
	tr := c.trusted(60)
	root, height, at := tr, c.trusted(40), tr
	root.Root[5]++
	at.Time++
	a := openApp(t, t.TempDir(), c.genesis, nil)
	refused := func(name string, tr Trusted, header []byte, fetch func(context.Context, uint32) ([]byte, error),
		want error) {
		t.Helper()
		if err := a.Restore(t.Context(), tr, header, fetch); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
		if v := a.View(); v.Height != 0 || v.Root() != c.roots[0] {
			t.Fatalf("%s: height %d with root %s afterwards", name, v.Height, v.Root())
		}
		compareView(t, a.View(), c.states[0], c.states[60])
	}
	parts := partsOf(from, s)
	refused("another root", root, s.Header, parts, ErrSnapshot)
	refused("another height", height, s.Header, parts, ErrSnapshot)
	refused("another time", at, s.Header, parts, ErrSnapshot)
	refused("header cut short", tr, s.Header[:len(s.Header)-1], parts, ErrSnapshot)
	refused("no header", tr, nil, parts, ErrSnapshot)
	refused("another version", tr, append([]byte{2}, s.Header[1:]...), parts, ErrSnapshot)
	refused("part of another snapshot", tr, s.Header, partsOf(from, from.Snapshots()[1]), ErrSnapshot)
	gone := errors.New("gone")
	refused("fetch fails", tr, s.Header, func(context.Context, uint32) ([]byte, error) { return nil, gone }, gone)

	good, err := from.SnapshotPart(60, 0)
	check(t, err)
	for name, f := range forgeries(t, good) {
		refused(name, tr, headerOf(tr, f.keys, f.parts),
			func(_ context.Context, i uint32) ([]byte, error) { return f.parts[i], nil }, ErrSnapshot)
	}
	check(t, a.Restore(t.Context(), tr, s.Header, parts))
	compareView(t, a.View(), c.states[60], c.states[60])
}

// forgery is an invalid snapshot: its parts and the number of keys in its header.
type forgery struct {
	keys  uint64
	parts [][]byte
}

// forgeries derives invalid snapshots from the one part of a good one.
func forgeries(t *testing.T, good []byte) map[string]forgery {
	t.Helper()
	pairs, err := parsePart(good)
	check(t, err)
	n := uint64(len(pairs))
	join := func(pairs []merkle.Change) [][]byte {
		var b []byte
		for _, p := range pairs {
			b = appendPair(b, p.Key, p.Value)
		}
		return [][]byte{b}
	}
	swapped := append([]merkle.Change{pairs[1], pairs[0]}, pairs[2:]...)
	rich, object := slices.Clone(pairs), slices.Clone(pairs)
	rich[3].Value = append([]byte{255}, rich[3].Value[1:]...)
	object[0] = merkle.Change{Key: ledger.KeyBlob(ledger.ObjectID{}), Value: []byte("no blob")}
	return map[string]forgery{
		"changed value":    {n, join(rich)},
		"key left out":     {n - 1, join(pairs[1:])},
		"wrong count":      {n + 1, [][]byte{good}},
		"out of order":     {n, join(swapped)},
		"twice":            {2 * n, [][]byte{good, good}},
		"empty":            {0, nil},
		"no object":        {n, join(object)},
		"within a pair":    {n, [][]byte{good[:len(good)-1]}},
		"huge length":      {n, [][]byte{[]byte("\x00\x01a\xff\xff\xff\xffb")}},
		"too large a part": {n, [][]byte{appendPair(nil, []byte("a"), make([]byte, MaxSnapshotPart))}},
	}
}

// TestRestoreInterrupted stops in the middle of a restoration: the app reopens with a new ledger.
func TestRestoreInterrupted(t *testing.T) {
	from, c, s := snapshotted(t)
	dir := t.TempDir()
	a := openApp(t, dir, c.genesis, nil)
	r, err := a.newRestoration(c.trusted(60), s.Header)
	check(t, err)
	part, err := from.SnapshotPart(60, 0)
	check(t, err)
	check(t, r.add(part))
	check(t, a.Close())
	check(t, a.db.Close())
	a = openApp(t, dir, c.genesis, nil)
	if v := a.View(); v.Height != 0 || v.Root() != c.roots[0] {
		t.Fatalf("height %d with root %s", v.Height, v.Root())
	}
	for _, b := range c.blocks {
		run(t, a, b)
	}
	compare(t, a, c)
}

// TestManyParts makes a snapshot of many parts of a state with large values, and removes an unfinished one.
func TestManyParts(t *testing.T) {
	g := testGenesis(t)
	dir := t.TempDir()
	a := openApp(t, dir, g, nil)
	var b badgerdb.Batch
	var changes []merkle.Change
	for i := range 400 {
		c := merkle.Change{Key: fmt.Appendf(nil, "z%04d", i), Value: bytes.Repeat([]byte{byte(i)}, 5000)}
		changes = append(changes, c)
		b.Set(a.space, stateKey(c.Key), record(c.Key, c.Value))
	}
	check(t, a.db.Write(&b))
	snap, err := a.space.Snapshot()
	check(t, err)
	tree, err := a.View().tree.Apply(changes, 1)
	check(t, err)
	v := &View{Height: 5, Time: 7, snap: snap, tree: tree}
	check(t, a.snapshots.write(v))
	s := a.Snapshots()[0]
	if s.Parts != 8 { // 400 × 5 kB
		t.Errorf("%d parts, want 8", s.Parts)
	}
	other := openApp(t, "", g, nil)
	check(t, other.Restore(t.Context(), Trusted{5, 7, v.Root()}, s.Header, partsOf(a, s)))
	if other.View().Root() != v.Root() {
		t.Error("another root")
	}
	for _, at := range []struct {
		height uint64
		part   uint32
	}{{5, 8}, {6, 0}, {5, snapshotHeader}} {
		if _, err := a.SnapshotPart(at.height, at.part); !errors.Is(err, ledger.ErrNotFound) {
			t.Errorf("part %d of height %d: %v, want ErrNotFound", at.part, at.height, err)
		}
	}
	b = badgerdb.Batch{}
	b.Set(a.space, snapshotKey(4, 0), []byte("stray"))
	b.Set(a.space, snapshotKey(6, 0), []byte("stray"))
	b.Set(a.space, snapshotKey(6, 1), []byte("stray"))
	check(t, a.db.Write(&b))
	again := newSnapshots(a.db, a.space, a.log)
	check(t, again.load())
	if len(again.list) != 1 || !bytes.Equal(again.list[0].Header, s.Header) {
		t.Errorf("snapshots %v after loading", again.list)
	}
	left, err := a.space.Scan(badgerdb.Range{From: snapshotKeys, To: snapshotEnd, Limit: 100})
	check(t, err)
	if len(left) != 9 {
		t.Errorf("%d keys of snapshots are left, want 9", len(left))
	}
	again.maxParts = 7
	if err := again.write(&View{Height: 6, snap: snap, tree: v.tree}); err == nil {
		t.Error("a snapshot of too many parts was made")
	}
	left, err = a.space.Scan(badgerdb.Range{From: snapshotKeys, To: snapshotEnd, Limit: 100})
	check(t, err)
	if len(left) != 9 {
		t.Errorf("%d keys of snapshots are left after a failure, want 9", len(left))
	}
}

// TestRestoreLiar gets a header with a false number of keys, which is detected at the end.
func TestRestoreLiar(t *testing.T) {
	from, c, good := snapshotted(t)
	h, err := unmarshalHeader(good.Header)
	check(t, err)
	h.keys++
	a := openApp(t, "", c.genesis, nil)
	err = a.Restore(t.Context(), c.trusted(60), h.marshal(), partsOf(from, good))
	if err == nil {
		t.Error("a snapshot with a forged header was taken")
	}
	compareView(t, a.View(), c.states[0], c.states[60])
}
