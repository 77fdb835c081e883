package ledger

import "testing"

// TestEntrySizes compares the sizes that deposits are made of with those of real entries.
func TestEntrySizes(t *testing.T) {
	p := Params{DepositPerByte: 3}
	attributes := []Attribute{{"a", "bcd"}, {"ef", ""}}
	info := BlobInfo{Deletable: []DeletableEnd{{End: 5, Registered: 1}}}
	id, owner := ObjectID{1}, Address{2}
	entry := func(key, value []byte) Amount { return Amount(len(key) + len(value) + EntryOverhead) }
	offer := entry(KeyOffer(id), Offer{From: owner, To: owner, Until: 3}.Marshal())
	for name, tt := range map[string]struct{ got, want Amount }{
		"account": {p.LeastBalance(), entry(KeyAccount(owner), Account{Balance: 1}.Marshal())},
		"storage": {p.StorageDeposit(), offer + entry(KeyStorage(id), Storage{Owner: owner}.Marshal())},
		"record": {p.BlobDeposit(attributes), offer + entry(KeyBlob(id), Blob{Owner: owner, Attributes: attributes}.Marshal()) +
			entry(KeyBlobInfo([32]byte{}), info.Marshal())},
	} {
		if tt.got != 3*tt.want {
			t.Errorf("deposit of a %s: %d, want %d bytes of 3 each", name, tt.got, tt.want)
		}
	}
}
