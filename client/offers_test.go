package client

import (
	"errors"
	"testing"

	"walrus/ledger"
)

// TestOffers gives a record and storage to another account.
func TestOffers(t *testing.T) {
	f, c := newFake(t, 7, 28)
	key := newKey(t)
	if _, err := c.payer.Do(t.Context(), ledger.Fixed(ledger.Transfer{To: addressOf(key), Amount: ledger.WAL})); err != nil {
		t.Fatal(err)
	}
	giver, receiver := NewOffers(c), NewOffers(f.client(key))
	record := f.storing(c, noise(1, 1000), StoreOptions{Epochs: 5}, RegisterFromScratch).Object
	rest, err := c.Delete(t.Context(), f.storing(c, noise(2, 1000), StoreOptions{}, RegisterFromScratch).Object)
	if err != nil {
		t.Fatal(err)
	}
	for _, object := range []ledger.ObjectID{record, rest.Storage} {
		if _, err := giver.Make(t.Context(), object, addressOf(key), MaxEpochs); err != nil {
			t.Fatal(err)
		}
	}
	list, err := receiver.List(t.Context())
	if err != nil || len(list) != 2 || list[0].Storage == nil || list[1].Blob == nil || list[1].Until != list[1].End() ||
		list[1].From != addressOf(f.wallet) {
		t.Fatalf("offers %+v, %v", list, err)
	}
	if own, err := giver.List(t.Context()); err != nil || len(own) != 0 {
		t.Errorf("offers to the giver %+v, %v", own, err)
	}
	if _, err := receiver.Withdraw(t.Context(), record); err == nil {
		t.Error("withdrew the offer of another account")
	}
	if d, err := giver.Make(t.Context(), record, addressOf(key), 1); err != nil || d.Offer.Until != 2 {
		t.Errorf("offer for one epoch: %+v, %v", d, err)
	}
	if d, err := receiver.Accept(t.Context(), record); err != nil || d.Offer.From != addressOf(f.wallet) {
		t.Errorf("accept: %+v, %v", d, err)
	}
	if _, err := giver.Withdraw(t.Context(), rest.Storage); err != nil {
		t.Errorf("withdraw: %v", err)
	}
	if _, err := receiver.Accept(t.Context(), rest.Storage); !errors.Is(err, ErrNotFound) {
		t.Errorf("accept what was withdrawn: %v", err)
	}
	if b, err := c.Record(t.Context(), record); err != nil || b.Owner != addressOf(key) {
		t.Errorf("record %+v, %v", b, err)
	}
}
