package app

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"

	"walrus/ledger"
	"walrus/ledger/engine/badgerdb"
	"walrus/ledger/merkle"
)

// grow adds n accounts to the state, without blocks, and opens it again.
func grow(t testing.TB, a *App, n int) *App {
	t.Helper()
	for from := 0; from < n; {
		var changes []merkle.Change
		for range min(20_000, n-from) {
			var owner ledger.Address
			binary.BigEndian.PutUint64(owner[:], uint64(from)+1)
			changes = append(changes, merkle.Change{Key: ledger.KeyAccount(owner), Value: ledger.Account{Balance: 1}.Marshal()})
			from++
		}
		var b badgerdb.Batch
		for _, c := range changes {
			b.Set(a.space, stateKey(c.Key), record(c.Key, c.Value))
		}
		check(t, a.db.Write(&b))
	}
	root, keys, err := a.disk.index()
	check(t, err)
	v := a.View()
	writeHead(t, a, head{height: v.Height, time: v.Time, root: root, kept: a.kept.Load(), keys: keys}.marshal())
	check(t, a.load())
	return a
}

func writeHead(t testing.TB, a *App, raw []byte) {
	t.Helper()
	var b badgerdb.Batch
	b.Set(a.space, keyHead, raw)
	check(t, a.db.Write(&b))
	check(t, a.db.Sync())
}

// TestRestartReads: a restart does not read more because the state is larger.
func TestRestartReads(t *testing.T) {
	read := make(map[int]uint64)
	sizes := []int{500, 20_000}
	for _, n := range sizes {
		dir := t.TempDir()
		a := grow(t, openApp(t, dir, testGenesis(t), nil), n)
		want := a.View()
		before := a.db.BytesRead()
		again, err := Open(Config{DB: a.db, Genesis: a.cfg.Genesis})
		check(t, err)
		read[n] = a.db.BytesRead() - before
		if v := again.View(); v.Root() != want.Root() || v.Keys() != want.Keys() || v.Keys() < n {
			t.Errorf("root %s of %d keys, want %s of %d", v.Root(), v.Keys(), want.Root(), want.Keys())
		}
		check(t, again.Close())
	}
	if small, large := read[sizes[0]], read[sizes[1]]; large > small+1000 {
		t.Errorf("a restart reads %d bytes of a small state, %d of one 40 times as large", small, large)
	}
}

// TestConvert opens a database of the version that kept no pages, also after a conversion that did not end.
func TestConvert(t *testing.T) {
	dir := t.TempDir()
	c := newChain(t, 3)
	a := openApp(t, dir, c.genesis, nil)
	for range 20 {
		run(t, a, c.random(t))
	}
	v := a.View()
	age := func() {
		t.Helper()
		var b badgerdb.Batch
		for key, value := range c.states[c.height] {
			b.Set(a.space, append([]byte{'s'}, key...), value)
		}
		check(t, a.db.Write(&b))
		check(t, a.disk.clear(stateKeys, stateEnd))
		check(t, a.disk.clear(pageKeys, pageEnd))
		h := head{height: v.Height, time: v.Time, root: v.Root(), kept: 1}.marshal()[:oldHeadSize]
		h[0] = 1
		writeHead(t, a, h)
	}
	age()
	b := badgerdb.Batch{}
	b.Set(a.space, stateKey([]byte("stray")), record([]byte("stray"), nil)) // of a conversion that ended early
	b.Set(a.space, pageKey(merkle.Place{Depth: 9}), []byte("stray"))
	check(t, a.db.Write(&b))
	for range 2 {
		again, err := Open(Config{DB: a.db, Genesis: c.genesis})
		check(t, err)
		compareView(t, again.View(), c.states[c.height], c.states[c.height])
		old, err := a.space.Scan(badgerdb.Range{From: oldStateKeys, To: oldStateEnd, Limit: 1})
		check(t, err)
		if len(old) > 0 {
			t.Error("records of the old form are left")
		}
		check(t, again.Close())
	}
	age()
	b = badgerdb.Batch{}
	b.Set(a.space, append([]byte{'s'}, ledger.KeyEpoch()...), []byte("damaged"))
	check(t, a.db.Write(&b))
	if _, err := Open(Config{DB: a.db, Genesis: c.genesis}); !errors.Is(err, ErrMismatch) {
		t.Errorf("a damaged state of the old form: %v, want ErrMismatch", err)
	}
}

// TestSmallCache runs blocks with room for a few pages, and restarts, over a state of many pages.
func TestSmallCache(t *testing.T) {
	c := newChain(t, 9)
	dir := t.TempDir()
	db := openDB(t, dir)
	for round := range 4 {
		a, err := Open(Config{DB: db, Genesis: c.genesis, Cache: 3000})
		check(t, err)
		if round == 0 {
			run(t, a, c.crowd(t))
		}
		for range 9 {
			run(t, a, c.random(t))
		}
		for h := c.height - 8; h <= c.height; h++ {
			v, ok := a.ViewAt(h)
			if !ok || v.Root() != c.roots[h] {
				t.Fatalf("height %d: root differs", h)
			}
		}
		old, _ := a.ViewAt(c.height - 8)
		compareKeys(t, old, c.states[c.height-8], some(c.states[c.height-8], c.states[c.height]))
		compareKeys(t, a.View(), c.states[c.height], some(c.states[c.height], c.states[c.height-8]))
		if pages := checkPages(t, a); pages < 2 {
			t.Fatalf("%d pages: too few for this test", pages)
		}
		check(t, a.Close())
	}
}

// some returns a hundred pairs of a state, and those that differ in another.
func some(m, other memory) memory {
	picked := make(memory)
	for key, value := range m {
		if v, ok := other[key]; len(picked) < 100 || !ok || !bytes.Equal(value, v) {
			picked[key] = value
		}
	}
	return picked
}

// checkPages checks that the database has exactly the pages that its records make, under the root of the newest view.
func checkPages(t *testing.T, a *App) (pages int) {
	t.Helper()
	root, keys, err := merkle.BuildPages(a.disk.leaves(), func(at merkle.Place, page []byte) error {
		pages++
		stored, err := a.space.Get(pageKey(at))
		if err == nil && !bytes.Equal(stored, page) {
			err = fmt.Errorf("page %s is %x: want %x", at, stored, page)
		}
		return err
	})
	check(t, err)
	stored, err := a.space.Scan(badgerdb.Range{From: pageKeys, To: pageEnd, Limit: 1 << 20})
	check(t, err)
	if v := a.View(); root != v.Root() || keys != uint64(v.Keys()) || pages != len(stored) {
		t.Fatalf("height %d: %d keys with root %s and %d pages, the records have %d, %s, %d", v.Height, v.Keys(), v.Root(),
			len(stored), keys, root, pages)
	}
	return pages
}

// TestPairs reads the state in parts, from a path and from its end.
func TestPairs(t *testing.T) {
	a := grow(t, openApp(t, "", testGenesis(t), nil), 700)
	v := a.View()
	seen, parts := 0, 0
	last := merkle.Hash{}
	for from := new(merkle.Hash); from != nil; parts++ {
		pairs, next, err := v.Pairs(*from, 100, 1<<20)
		check(t, err)
		for _, p := range pairs {
			if string(p.Path[:]) <= string(last[:]) {
				t.Fatal("paths do not ascend")
			}
			last = p.Path
			proof, err := v.ProvePath(p.Path)
			check(t, err)
			check(t, merkle.Verify(v.Root(), p.Key, p.Value, proof))
		}
		seen += len(pairs)
		from = next
	}
	if seen != v.Keys() || parts != v.Keys()/100+1 {
		t.Errorf("%d pairs in %d parts, want %d", seen, parts, v.Keys())
	}
	end := merkle.Hash{}
	for i := range end {
		end[i] = 255
	}
	if pairs, next, err := v.Pairs(end, 1, 1); len(pairs) > 0 || next != nil || err != nil {
		t.Errorf("%d pairs from the last path, %v, %v", len(pairs), next, err)
	}
	if after(end) != nil || fmt.Sprint(after(merkle.Hash{31: 255})) != fmt.Sprint(&merkle.Hash{30: 1}) {
		t.Error("the path after another")
	}
}
