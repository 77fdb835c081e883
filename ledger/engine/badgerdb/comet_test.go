package badgerdb

import (
	"bytes"
	"fmt"
	"sync"
	"testing"

	cometdb "github.com/cometbft/cometbft-db"
	"github.com/cometbft/cometbft/config"
	"pgregory.net/rapid"
)

func provide(t testing.TB, db *DB, id string) cometdb.DB {
	t.Helper()
	d, err := db.Provider()(&config.DBContext{ID: id})
	check(t, err)
	return d
}

// TestCometAgainstModel does the same to CometBFT's database in memory and to ours.
func TestCometAgainstModel(t *testing.T) {
	db := mustOpen(t, t.TempDir())
	round := 0
	rapid.Check(t, func(rt *rapid.T) {
		round++
		ours, model := provide(t, db, fmt.Sprint("round", round)), cometdb.NewMemDB()
		stranger := provide(t, db, fmt.Sprint("round", round, "x"))
		check(t, stranger.Set([]byte("stranger"), []byte("x")))
		key := rapid.SliceOfN(rapid.ByteRange(0xfd, 0xff), 0, 3)
		rt.Repeat(map[string]func(*rapid.T){
			"set": func(rt *rapid.T) {
				k, v := key.Draw(rt, "key"), rapid.SliceOfN(rapid.Byte(), 0, 3).Draw(rt, "value")
				same(rt, ours.Set(k, v), model.Set(k, v))
			},
			"delete": func(rt *rapid.T) {
				k := key.Draw(rt, "key")
				same(rt, ours.DeleteSync(k), model.DeleteSync(k))
			},
			"batch": func(rt *rapid.T) {
				a, b := ours.NewBatch(), model.NewBatch()
				for range rapid.IntRange(0, 5).Draw(rt, "writes") {
					k := key.Draw(rt, "key")
					if rapid.Bool().Draw(rt, "delete") {
						same(rt, a.Delete(k), b.Delete(k))
						continue
					}
					same(rt, a.Set(k, k), b.Set(k, k))
				}
				same(rt, a.WriteSync(), b.WriteSync())
				same(rt, a.Write(), b.Write())
				same(rt, a.Set([]byte("k"), nil), b.Set([]byte("k"), nil))
				same(rt, a.Close(), b.Close())
				same(rt, a.Set([]byte("k"), []byte("v")), b.Set([]byte("k"), []byte("v")))
			},
			"get": func(rt *rapid.T) {
				k := key.Draw(rt, "key")
				v, err := ours.Get(k)
				w, werr := model.Get(k)
				same(rt, err, werr)
				if !bytes.Equal(v, w) || (v == nil) != (w == nil) {
					rt.Fatalf("get %x: %x, want %x", k, v, w)
				}
				has, err := ours.Has(k)
				whas, werr := model.Has(k)
				if same(rt, err, werr); has != whas {
					rt.Fatalf("has %x: %t", k, has)
				}
			},
			"iterate": func(rt *rapid.T) {
				start, end := key.Draw(rt, "start"), key.Draw(rt, "end")
				if rapid.Bool().Draw(rt, "from first") {
					start = nil
				}
				if rapid.Bool().Draw(rt, "to last") {
					end = nil
				}
				if start != nil && end != nil && bytes.Compare(start, end) >= 0 {
					return
				}
				a, err := ours.Iterator(start, end)
				b, werr := model.Iterator(start, end)
				sameIteration(rt, a, b, err, werr)
				a, err = ours.ReverseIterator(start, end)
				b, werr = model.ReverseIterator(start, end)
				sameIteration(rt, a, b, err, werr)
			},
		})
	})
}

func same(t *rapid.T, err, want error) {
	t.Helper()
	if (err == nil) != (want == nil) {
		t.Fatalf("error %v, want %v", err, want)
	}
}

func sameIteration(t *rapid.T, a, b cometdb.Iterator, err, want error) {
	t.Helper()
	if same(t, err, want); want != nil {
		return
	}
	for ; b.Valid(); b.Next() {
		if !a.Valid() || !bytes.Equal(a.Key(), b.Key()) || !bytes.Equal(a.Value(), b.Value()) {
			t.Fatalf("iterator is at its end (%t), want at %x", !a.Valid(), b.Key())
		}
		a.Next()
	}
	if a.Valid() {
		t.Fatalf("iterator goes on at %x", a.Key())
	}
	same(t, a.Error(), b.Error())
	same(t, a.Close(), b.Close())
}

func TestIteratorPages(t *testing.T) {
	db := mustOpen(t, "")
	d := provide(t, db, "pages")
	const n = 3*pageKeys + 7
	for i := range n {
		check(t, d.Set(fmt.Appendf(nil, "%05d", i), bytes.Repeat([]byte("v"), i)))
	}
	for _, reverse := range []bool{false, true} {
		it, err := d.Iterator(nil, nil)
		if reverse {
			it, err = d.ReverseIterator(nil, nil)
		}
		check(t, err)
		for i := range n {
			want := i
			if reverse {
				want = n - 1 - i
			}
			if !it.Valid() || string(it.Key()) != fmt.Sprintf("%05d", want) || len(it.Value()) != want {
				t.Fatalf("reverse %t, %d: %q", reverse, i, it.Key())
			}
			it.Next()
		}
		if it.Valid() {
			t.Errorf("reverse %t: goes on", reverse)
		}
	}
}

// TestCometAfterClose closes the database under goroutines that use it: they see an empty one, and nothing panics.
func TestCometAfterClose(t *testing.T) {
	for _, dir := range []string{"", t.TempDir()} {
		db := mustOpen(t, dir)
		d := provide(t, db, "late")
		for i := range 1000 {
			check(t, d.Set(fmt.Appendf(nil, "%04d", i), make([]byte, 1000)))
		}
		started, stop := make(chan struct{}, 8), make(chan struct{})
		var all sync.WaitGroup
		for w := range 8 {
			all.Go(func() {
				it, err := d.Iterator(nil, nil)
				if err != nil {
					t.Error(err)
				}
				for i := 0; ; i++ {
					if i == 50 {
						started <- struct{}{}
					}
					select {
					case <-stop:
						return
					default:
					}
					if it.Valid() {
						it.Next()
					}
					_, getErr := d.Get([]byte("0001"))
					for _, err := range []error{getErr, it.Error(), d.Set(fmt.Appendf(nil, "%d", w), []byte("x")),
						d.DeleteSync([]byte("0500"))} {
						if err != nil {
							t.Error(err)
							return
						}
					}
				}
			})
		}
		for range 8 {
			<-started
		}
		check(t, db.Close())
		if v, err := d.Get([]byte("0001")); err != nil || v != nil {
			t.Errorf("get after close: %d bytes, %v", len(v), err)
		}
		if it, err := d.ReverseIterator(nil, nil); err != nil || it.Valid() {
			t.Errorf("iterator after close: %v", err)
		}
		close(stop)
		all.Wait()
	}
}
