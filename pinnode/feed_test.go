package pinnode

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"walrus/ledger"
	"walrus/ledger/light"
	"walrus/pin"
	"walrus/shards"
)

// ledgerFeed is a book with the transactions of all accounts.
type ledgerFeed struct {
	book
	entries []light.Entry // the oldest first
	pages   int
	page    int // transactions of a page
}

func (f *ledgerFeed) History(_ context.Context, a ledger.Address, from light.Cursor, limit int) (*light.History, error) {
	if a != (ledger.Address{}) {
		return nil, errors.New("only the list of all is expected")
	}
	f.pages++
	end := len(f.entries)
	if text := from.String(); text != "" {
		var height, index, nonce uint64
		if _, err := fmt.Sscanf(text, "%d.%d.%d", &height, &index, &nonce); err != nil {
			return nil, err
		}
		end = int(height) - 1
	}
	begin := max(0, end-min(limit, f.page))
	h := &light.History{Entries: slices.Clone(f.entries[begin:end])}
	slices.Reverse(h.Entries)
	if begin > 0 {
		next := light.Before(light.Position{Height: uint64(begin + 1)})
		h.Next = &next
	}
	return h, nil
}

// happen commits a transaction with one event.
func (f *ledgerFeed) happen(kind ledger.EventKind, from ledger.Address, id ledger.ObjectID, b ledger.Blob) {
	if f.blobs == nil {
		f.blobs = map[ledger.ObjectID]ledger.Blob{}
	}
	f.blobs[id] = b
	e := light.Entry{Receipt: ledger.Receipt{Height: uint64(len(f.entries) + 1)}}
	e.Receipt.Events = []ledger.Event{{Kind: kind, From: from, Object: id, Blob: b.BlobID}}
	f.entries = append(f.entries, e)
}

// TestFeed: a rule without an account pins what anybody certifies or marks from then on, after a restart, too; nothing
// is pinned twice, read twice or skipped; what failed is made up for.
func TestFeed(t *testing.T) {
	keep := []ledger.Attribute{{Key: "keep", Value: "yes"}}
	a, b := ledger.Address{1}, ledger.Address{2}
	l := &ledgerFeed{page: 3}
	home := t.TempDir()
	rules := []Follow{{Attributes: map[string]string{"keep": "yes"}, Name: "kept"}, {Owner: b}}
	blob := func(i byte, owner ledger.Address, certified uint32, attributes []ledger.Attribute) (ledger.ObjectID, ledger.Blob) {
		return ledger.ObjectID{i}, ledger.Blob{Owner: owner, BlobID: shards.BlobID{i}, Certified: certified, Attributes: attributes, Size: 1}
	}
	happen := func(kind ledger.EventKind, owner ledger.Address, i byte, certified uint32, attributes []ledger.Attribute) {
		id, record := blob(i, owner, certified, attributes)
		l.happen(kind, owner, id, record)
	}
	happen(ledger.EventCertified, a, 1, 1, keep) // before the rule
	f := newFollower(home, l, l, l)
	read := func(news bool, want ...string) {
		t.Helper()
		got, err := f.readFeed(t.Context(), rules)
		if err != nil || got != news {
			t.Errorf("news %v, want %v: %v", got, news, err)
		}
		var made []string
		for _, r := range l.made {
			of := r.Meta[followedKey]
			made = append(made, fmt.Sprintf("%d %s %v %v", r.Blob[0], r.Name, of == rules[0].Of(), of == rules[1].Of()))
		}
		if slices.Sort(made); fmt.Sprint(made) != fmt.Sprint(want) {
			t.Errorf("pinned %v, want %v", made, want)
		}
	}
	read(true)
	read(false)
	happen(ledger.EventRegistered, a, 2, 0, keep)
	happen(ledger.EventCertified, a, 3, 1, nil)
	happen(ledger.EventCertified, a, 4, 1, keep)
	for i := range byte(7) { // more than a page
		happen(ledger.EventTransferred, a, 100+i, 0, nil)
	}
	happen(ledger.EventCertified, b, 5, 1, nil)
	read(true, "4 kept true false", "5  false true")
	pages := l.pages
	read(false, "4 kept true false", "5  false true")
	if l.pages != pages+1 {
		t.Errorf("%d pages are read where nothing has happened", l.pages-pages)
	}
	f = newFollower(home, l, l, l) // restart
	happen(ledger.EventAttributes, a, 3, 1, keep)
	happen(ledger.EventCertified, b, 6, 1, keep)
	l.full = true
	if _, err := f.readFeed(t.Context(), rules); !errors.Is(err, pin.ErrFull) {
		t.Errorf("full: %v", err)
	}
	l.full = false
	read(true, "3 kept true false", "4 kept true false", "5  false true", "6  false true", "6 kept true false")
	delete(l.blobs, ledger.ObjectID{7})
	id, record := blob(7, a, 1, keep)
	l.happen(ledger.EventCertified, a, id, record)
	delete(l.blobs, id) // deleted meanwhile
	lost := 0
	f.lost = func(light.Position) { lost++ }
	for range 3 * feedPages {
		happen(ledger.EventTransferred, a, 200, 0, nil)
	}
	happen(ledger.EventCertified, a, 8, 1, keep)
	read(true, "3 kept true false", "4 kept true false", "5  false true", "6  false true", "6 kept true false", "8 kept true false")
	if lost != 1 {
		t.Errorf("told %d times that transactions were lost", lost)
	}
	rules = nil
	if _, err := f.readFeed(t.Context(), rules); err != nil {
		t.Fatal(err)
	}
	if at, err := f.feedPlace(); err != nil || at != (light.Position{}) {
		t.Errorf("a place without rules: %v, %v", at, err)
	}
}
