package light

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"sync/atomic"
	"testing"

	"walrus/ledger"
	"walrus/ledger/merkle"
)

// give returns changes that give alice some objects, every third a storage resource.
func give(count int) []merkle.Change {
	a := ledger.Account{Balance: 1}
	var changes []merkle.Change
	for i := range count {
		var id ledger.ObjectID
		binary.BigEndian.PutUint32(id[:], uint32(i+1))
		if i%3 == 0 {
			a.Storages++
			changes = append(changes, put(ledger.KeyStorage(id),
				ledger.Storage{Owner: alice, End: 5, Bytes: uint64(i)}.Marshal()))
		} else {
			a.Blobs++
			changes = append(changes, put(ledger.KeyBlob(id), ledger.Blob{Owner: alice, End: 5, Size: uint64(i)}.Marshal()))
		}
	}
	return append(changes, put(ledger.KeyAccount(alice), a.Marshal()))
}

func TestObjects(t *testing.T) {
	w := newWorld(t)
	ctx := limited(t)
	c := w.asking(t, w.honest)
	if o, err := c.Objects(ctx, alice); err != nil || len(o.Blobs)+len(o.Storages) != 0 {
		t.Errorf("alice owns %+v, %v", o, err)
	}
	const count = 1500 // more than a page
	w.set(t, give(count)...)
	o, err := c.Objects(ctx, alice)
	if err != nil || len(o.Storages) != count/3 || len(o.Blobs) != count*2/3 || o.Account.Balance != 1 {
		t.Fatalf("alice owns %d storage resources and %d blobs, %v", len(o.Storages), len(o.Blobs), err)
	}
	for i, b := range o.Blobs {
		if n := binary.BigEndian.Uint32(b.ID[:]); b.Size != uint64(n-1) || i > 0 &&
			slices.Compare(o.Blobs[i-1].ID[:], b.ID[:]) >= 0 {
			t.Fatalf("blob %d is %x of size %d", i, b.ID, b.Size)
		}
	}
}

func TestObjectsLies(t *testing.T) {
	w := newWorld(t)
	ctx := limited(t)
	w.set(t, append(give(30), put(ledger.KeyBlob(ledger.ObjectID{200}), ledger.Blob{Owner: bob}.Marshal()))...)
	tell := func(change func([]Object) []Object) *source {
		s := &source{Source: w.chain}
		s.objects = func(ctx ctxt, l Listing, after ledger.ObjectID, limit int) ([]Object, error) {
			list, err := w.Objects(ctx, l, after, limit)
			return change(list), err
		}
		return s
	}
	for name, s := range map[string]*source{
		"withheld":  tell(func(l []Object) []Object { return slices.Delete(l, 7, 8) }),
		"all":       tell(func([]Object) []Object { return nil }),
		"bob's":     tell(func(l []Object) []Object { return append(l[:29], Object{ID: ledger.ObjectID{200}, Blob: true}) }),
		"made up":   tell(func(l []Object) []Object { return append(l, Object{ID: ledger.ObjectID{201}}) }),
		"twice":     tell(func(l []Object) []Object { return append(l[:29], l[28]) }),
		"unordered": tell(func(l []Object) []Object { slices.Reverse(l); return l }),
		"endless": tell(func(l []Object) []Object {
			for i := len(l); i < MaxObjects; i++ {
				o := l[len(l)-1]
				binary.BigEndian.PutUint32(o.ID[4:], uint32(i))
				l = append(l, o)
			}
			return l
		}),
		"wrong kind": tell(func(l []Object) []Object { l[3].Blob = !l[3].Blob; return l }),
	} {
		t.Run(name, func(t *testing.T) {
			w.tale.Store(s)
			if o, err := w.asking(t, w.liar).Objects(ctx, alice); !errors.Is(err, ErrLied) || !contains(err.Error(), "node-0") {
				t.Errorf("list %+v, %v", o, err)
			}
			if o, err := w.asking(t, w.liar, w.honest).Objects(ctx, alice); err != nil || len(o.Blobs) != 20 ||
				len(o.Storages) != 10 {
				t.Errorf("with an honest node %+v, %v", o, err)
			}
		})
	}
}

// An account that changes in every block is listed at one height, and no node is blamed. The node keeps the states of
// few heights, so the listing goes on at newer ones; it does not read again what has not changed.
func TestObjectsOfChangingAccount(t *testing.T) {
	w := newWorld(t)
	ctx := limited(t)
	const count, limit = 3000, 2 * 3000
	w.set(t, give(count)...)
	var reads, keys atomic.Int64
	s := &source{Source: w.chain}
	s.read = func(ctx ctxt, at At, asked [][]byte) (*Reading, error) {
		keys.Add(int64(len(asked)))
		n := reads.Add(1)
		if n%2 == 0 { // somebody pays the account, and every time another object changes
			a := ledger.Account{Balance: ledger.Amount(n), Storages: count / 3, Blobs: count * 2 / 3}
			var id ledger.ObjectID
			binary.BigEndian.PutUint32(id[:], uint32(3*(n%1000)+2))
			w.set(t, put(ledger.KeyAccount(alice), a.Marshal()), put(ledger.KeyBlob(id),
				ledger.Blob{Owner: alice, End: 5, Size: uint64(n)}.Marshal()))
		}
		return w.Read(ctx, at, asked)
	}
	w.tale.Store(s)
	c := w.asking(t, w.liar)
	o, err := c.Objects(ctx, alice)
	if err != nil || len(o.Blobs) != count*2/3 || len(o.Storages) != count/3 {
		t.Fatalf("after %d reads: list %+v, %v", reads.Load(), o, err)
	}
	if got := keys.Load(); got > limit {
		t.Errorf("read %d keys for %d objects", got, count)
	}
	w.check(t, o)
}

// check compares a list with the state of the height that has the list's account.
func (w *world) check(t *testing.T, o *Owned) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, b := range w.blocks {
		if !bytes.Equal(b.values[string(ledger.KeyAccount(alice))], o.Account.Marshal()) {
			continue
		}
		for _, blob := range o.Blobs {
			if !bytes.Equal(b.values[string(ledger.KeyBlob(blob.ID))], blob.Marshal()) {
				t.Errorf("record %s is of another height than the account", blob.ID)
			}
		}
		return
	}
	t.Errorf("no height has account %+v", o.Account)
}

func TestOffers(t *testing.T) {
	w := newWorld(t)
	offer := func(b byte, to ledger.Address) merkle.Change {
		return put(ledger.KeyOffer(ledger.ObjectID{b}), ledger.Offer{From: bob, To: to, Until: 3}.Marshal())
	}
	w.set(t, append(give(5), offer(7, alice), offer(8, bob), offer(9, alice))...)
	c := w.asking(t, w.honest)
	want := []ledger.ObjectID{{7}, {9}}
	if got, err := c.Offers(limited(t), alice, ledger.ObjectID{}, 9); err != nil || !slices.Equal(got, want) {
		t.Errorf("offers %v, %v", got, err)
	}
	if got, err := c.Offers(limited(t), alice, ledger.ObjectID{7}, 9); err != nil || !slices.Equal(got, want[1:]) {
		t.Errorf("offers after the first %v, %v", got, err)
	}
}
