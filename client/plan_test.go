package client

import (
	"fmt"
	"strings"
	"testing"

	"walrus/ledger"
	"walrus/shards"
)

// planBlob returns a want for a blob on a network of 28 shards.
func planBlob(t *testing.T) *want {
	t.Helper()
	p, err := shards.NewParams(28)
	if err != nil {
		t.Fatal(err)
	}
	meta, _, err := shards.Encode(p, noise(1, 5_000_000))
	if err != nil {
		t.Fatal(err)
	}
	return &want{meta: meta, id: meta.ID(), encoded: uint64(p.EncodedSize(meta.Length)), epochs: 3}
}

// TestDecide plans in epoch 10, for 3 epochs.
func TestDecide(t *testing.T) {
	w := planBlob(t)
	id := func(n byte) ledger.ObjectID { return ledger.ObjectID{n} }
	blob := func(end, certified uint32, deletable bool) ledger.Blob {
		return ledger.Blob{BlobID: w.id, Start: 8, End: end, Registered: 8, Certified: certified,
			Deletable: deletable, Bytes: w.encoded}
	}
	other := blob(20, 9, true)
	other.BlobID = shards.BlobID{1}
	room := func(bytes uint64, start, end uint32) ledger.Storage {
		return ledger.Storage{Bytes: bytes, Start: start, End: end}
	}
	units := ledger.Amount((w.encoded + 1<<20 - 1) >> 20)
	for _, tt := range []struct {
		name      string
		permanent bool
		share     bool
		anew      bool
		send      bool
		info      ledger.BlobInfo
		blobs     map[ledger.ObjectID]ledger.Blob
		storages  map[ledger.ObjectID]ledger.Storage
		want      string
	}{
		{name: "nothing there", want: "registerFromScratch to 13: buyStorage registerBlob; 3 × 100 + 20"},
		{name: "somebody's permanent", info: ledger.BlobInfo{InitialCertified: 4, PermanentEnd: 13,
			PermanentCertifiedEnd: 13}, want: "alreadyCertified to 13 in 4; 0 × 100 + 0"},
		{name: "somebody's permanent, and it is to be shared", permanent: true, share: true,
			info: ledger.BlobInfo{InitialCertified: 4, PermanentEnd: 13, PermanentCertifiedEnd: 13},
			want: "registerFromScratch to 13: buyStorage registerBlob; 3 × 100 + 20"},
		{name: "somebody's permanent, and it is to be sent on", permanent: true, send: true,
			info: ledger.BlobInfo{InitialCertified: 4, PermanentEnd: 13, PermanentCertifiedEnd: 13},
			want: "registerFromScratch to 13: buyStorage registerBlob; 3 × 100 + 20"},
		{name: "ours, and a new one is wanted", anew: true, blobs: map[ledger.ObjectID]ledger.Blob{id(1): blob(14, 9, true)},
			want: "registerFromScratch to 13: buyStorage registerBlob; 3 × 100 + 20"},
		{name: "registered, and it is to be sent on", send: true,
			blobs: map[ledger.ObjectID]ledger.Blob{id(1): blob(13, 0, true)}, want: "reuseRegistration 01 to 13; 0 × 100 + 0"},
		{name: "somebody's permanent ends too early", info: ledger.BlobInfo{InitialCertified: 4, PermanentEnd: 20,
			PermanentCertifiedEnd: 12},
			want: "registerFromScratch to 13: buyStorage registerBlob; 3 × 100 + 20"},
		{name: "somebody's deletable", info: ledger.BlobInfo{InitialCertified: 4,
			Deletable: []ledger.DeletableEnd{{End: 20, Registered: 1, Certified: 1}}},
			want: "registerFromScratch to 13: buyStorage registerBlob; 3 × 100 + 20"},
		{name: "ours", blobs: map[ledger.ObjectID]ledger.Blob{id(1): blob(14, 9, true)},
			want: "alreadyCertified 01 to 14 in 9; 0 × 100 + 0"},
		{name: "ours is deletable, a permanent one is wanted", permanent: true,
			blobs: map[ledger.ObjectID]ledger.Blob{id(1): blob(14, 9, true)},
			want:  "registerFromScratch to 13: buyStorage registerBlob; 3 × 100 + 20"},
		{name: "ours has expired", blobs: map[ledger.ObjectID]ledger.Blob{id(1): blob(10, 9, true)},
			want: "registerFromScratch to 13: buyStorage registerBlob; 3 × 100 + 20"},
		{name: "ours is another blob", blobs: map[ledger.ObjectID]ledger.Blob{id(1): other},
			want: "registerFromScratch to 13: buyStorage registerBlob; 3 × 100 + 20"},
		{name: "registered", blobs: map[ledger.ObjectID]ledger.Blob{id(1): blob(12, 0, true), id(2): blob(13, 0, true)},
			want: "reuseRegistration 02 to 13; 0 × 100 + 0"},
		{name: "registered for too short", blobs: map[ledger.ObjectID]ledger.Blob{id(1): blob(12, 0, true)},
			want: "reuseAndExtendNonCertified 01 to 13 by 1: extendBlob; 1 × 100 + 0"},
		{name: "certified for too short", blobs: map[ledger.ObjectID]ledger.Blob{id(1): blob(11, 9, true)},
			want: "reuseAndExtend 01 to 13 in 9 by 2: extendBlob; 2 × 100 + 0"},
		{name: "one certified for too short, one registered for long enough",
			blobs: map[ledger.ObjectID]ledger.Blob{id(1): blob(11, 9, true), id(2): blob(15, 0, true)},
			want:  "reuseRegistration 02 to 15; 0 × 100 + 0"},
		{name: "storage", storages: map[ledger.ObjectID]ledger.Storage{id(1): room(w.encoded, 9, 13)},
			want: "reuseStorage to 13: registerBlob; 0 × 100 + 20"},
		{name: "storage too large and too long", storages: map[ledger.ObjectID]ledger.Storage{id(1): room(w.encoded+7, 9, 20),
			id(2): room(w.encoded+9, 9, 13)},
			want: "reuseStorage to 13: splitStorage splitStorage registerBlob; 0 × 100 + 20"},
		{name: "storage of no use", storages: map[ledger.ObjectID]ledger.Storage{id(1): room(w.encoded-1, 9, 13),
			id(2): room(w.encoded, 11, 20), id(3): room(w.encoded, 9, 12)},
			want: "registerFromScratch to 13: buyStorage registerBlob; 3 × 100 + 20"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			asked := *w
			asked.permanent, asked.share, asked.anew = tt.permanent, tt.share, tt.anew
			if tt.send {
				asked.sendTo = ledger.Address{7}
			}
			k := &known{
				params: ledger.Params{StoragePrice: 100, WritePrice: 20, FeeTx: 1000, FeeByte: 1, MaxEpochsAhead: 53},
				epoch:  10, members: 7, info: tt.info, blobs: tt.blobs, storages: tt.storages,
			}
			p, err := decide(&asked, k)
			if err != nil {
				t.Fatal(err)
			}
			if got := describe(p, units); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
			if quiet := p.operation == AlreadyCertified; quiet != (p.cost.Fee == 0) {
				t.Errorf("%s with fees of %d", p.operation, p.cost.Fee)
			}
		})
	}
}

// describe formats a plan on one line, with amounts in units.
func describe(p *plan, units ledger.Amount) string {
	var b strings.Builder
	b.WriteString(string(p.operation))
	if p.object != (ledger.ObjectID{}) {
		fmt.Fprintf(&b, " %02x", p.object[0])
	}
	fmt.Fprintf(&b, " to %d", p.end)
	if p.certified != 0 {
		fmt.Fprintf(&b, " in %d", p.certified)
	}
	if p.extended != 0 {
		fmt.Fprintf(&b, " by %d", p.extended)
	}
	if p.compose != nil {
		b.WriteByte(':')
		for _, op := range p.compose(func(int) ledger.ObjectID { return ledger.ObjectID{} }) {
			b.WriteString(" " + ledger.OpName(op))
		}
	}
	fmt.Fprintf(&b, "; %d × 100 + %d", p.cost.Storage/units/100, p.cost.Write/units)
	return b.String()
}

func TestDecideRefuses(t *testing.T) {
	k := &known{params: ledger.Params{StoragePrice: 100, MaxEpochsAhead: 53}, epoch: 10}
	for name, change := range map[string]func(*want){
		"for 1 to 53 epochs":  func(w *want) { w.epochs = 54 },
		"cannot be shared":    func(w *want) { w.share = true },
		"has no owner":        func(w *want) { w.permanent, w.share, w.sendTo = true, true, ledger.Address{7} },
		"only a shared blob":  func(w *want) { w.fund = 1 },
		"too large":           func(w *want) { w.epochs, w.encoded = MaxEpochs, 1<<63; k.params.StoragePrice = 1 << 40 },
		"for 1 to 53 epochs ": func(w *want) { w.epochs = 0 },
	} {
		w := planBlob(t)
		change(w)
		if p, err := decide(w, k); err == nil || !strings.Contains(err.Error()+" ", name) {
			t.Errorf("%s: planned %+v, %v", name, p, err)
		}
	}
}
