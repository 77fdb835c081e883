package pinnode

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"walrus/ledger"
	"walrus/pin"
	"walrus/shards"
)

// book is a ledger with one account, and the pins made for it.
type book struct {
	account ledger.Account
	blobs   map[ledger.ObjectID]ledger.Blob
	listed  int
	full    bool
	made    []pin.Request
}

// Get implements ledger.Reader for the account and records.
func (b *book) Get(key []byte) ([]byte, error) {
	if key[0] == 'a' {
		return b.account.Marshal(), nil
	}
	record, ok := b.blobs[ledger.ObjectID(key[1:])]
	if !ok {
		return nil, ledger.ErrNotFound
	}
	return record.Marshal(), nil
}

func (b *book) Read(context.Context, ...[]byte) (ledger.Reader, error) { return b, nil }

func (b *book) Objects(context.Context, ledger.Address) (map[ledger.ObjectID]ledger.Storage, map[ledger.ObjectID]ledger.Blob, error) {
	b.listed++
	return nil, b.blobs, nil
}

func (b *book) Add(_ context.Context, r pin.Request) (pin.Request, error) {
	if b.full {
		return r, pin.ErrFull
	}
	b.made = append(b.made, r)
	return r, nil
}

func (b *book) List(f pin.Filter) (page []pin.Request, total int, err error) {
	for _, r := range b.made {
		if r.Meta[followedKey] == f.Meta[followedKey] {
			page = append(page, r)
		}
	}
	return page, len(page), nil
}

// TestFollow: each certified blob with the attributes is pinned once, also after a restart; nothing is listed while the
// account's record is the same; a failure is made up for.
func TestFollow(t *testing.T) {
	keep := []ledger.Attribute{{Key: "keep", Value: "yes"}, {Key: "other", Value: "x"}}
	owner := ledger.Address{7}
	b := &book{account: ledger.Account{Nonce: 1}, blobs: map[ledger.ObjectID]ledger.Blob{
		{1}: {Owner: owner, BlobID: shards.BlobID{1}, Certified: 1, Attributes: keep},
		{2}: {Owner: owner, BlobID: shards.BlobID{1}, Certified: 2, Attributes: keep},
		{3}: {Owner: owner, BlobID: shards.BlobID{3}, Attributes: keep}, {4}: {Owner: owner, BlobID: shards.BlobID{4}, Certified: 1},
	}}
	home := t.TempDir()
	rule := Follow{Owner: owner, Attributes: map[string]string{"keep": "yes"}, Name: "n", Meta: map[string]string{"a": "b"}}
	if err := SaveFollows(home, []Follow{rule}); err != nil {
		t.Fatal(err)
	}
	f := newFollower(home, b, nil, b)
	lookAll := func() error {
		rules, err := LoadFollows(home)
		return errors.Join(err, f.listAll(t.Context(), rules))
	}
	look := func(made, listed int) {
		t.Helper()
		if err := lookAll(); err != nil {
			t.Fatal(err)
		}
		if len(b.made) != made || b.listed != listed {
			t.Errorf("%d pins after %d lists, want %d after %d", len(b.made), b.listed, made, listed)
		}
	}
	look(1, 1)
	if r := b.made[0]; r.Blob != (shards.BlobID{1}) || r.Name != "n" || r.Meta["a"] != "b" || r.Meta[followedKey] != rule.Owner.String() {
		t.Errorf("pinned %+v", r)
	}
	look(1, 1)
	third := b.blobs[ledger.ObjectID{3}]
	third.Certified, b.account.Nonce, b.full = 1, 2, true
	b.blobs[ledger.ObjectID{3}] = third
	if err := lookAll(); !errors.Is(err, pin.ErrFull) {
		t.Errorf("full: %v", err)
	}
	b.full = false
	look(2, 3)
	f = newFollower(home, b, nil, b)
	look(2, 4)
	rule.Attributes = nil
	if err := SaveFollows(home, []Follow{rule}); err != nil {
		t.Fatal(err)
	}
	look(3, 5)
	if err := os.WriteFile(filepath.Join(home, followsFile), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := lookAll(); err == nil {
		t.Error("a damaged file is read")
	}
	if err := SaveFollows(home, make([]Follow, MaxFollows+1)); err == nil {
		t.Error("too many accounts are followed")
	}
}
