package ledger

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"walrus/certs"
	"walrus/shards"
)

var update = flag.Bool("update", false, "write the golden files anew")

// id returns 32 bytes b.
func id(b byte) (v [32]byte) {
	copy(v[:], bytes.Repeat([]byte{b}, 32))
	return v
}

// everyOp returns one operation of each kind, in the order of kinds.
func everyOp() []Op {
	return []Op{
		Transfer{To: id(1), Amount: 2 * WAL},
		BuyStorage{Bytes: 3 << 20, Start: 1, End: 0x1234},
		SplitStorage{Storage: id(2), Epoch: 5, Bytes: 6},
		MergeStorage{A: id(3), B: id(4)},
		OfferStorage{Storage: id(5), To: id(6), Until: 7},
		RegisterBlob{Storage: id(7), BlobID: id(8), Root: id(9), Size: 17, Deletable: true,
			Attributes: []Attribute{{"a", ""}, {"b", "ü"}}},
		CertifyBlob{Object: id(10), Certificate: []byte{1, 2, 3}},
		ExtendBlob{Object: id(11), Epochs: 7, FromFunds: true, Storage: id(12)},
		DeleteBlob{Object: id(13)},
		ShareBlob{Object: id(14), Amount: 15},
		FundBlob{Object: id(16), Amount: 17},
		OfferBlob{Object: id(18), To: id(19), Until: 20},
		BurnBlob{Object: id(20)},
		SetAttributes{Object: id(21), Set: []Attribute{{"k", "v"}}, Remove: []string{"l", "m"}},
		Sweep{Objects: []ObjectID{id(22), id(23)}},
		DisproveBlob{BlobID: id(24), Proof: []byte{4, 5}},
		RefuteBlob{BlobID: id(25), Certificate: []byte{6}},
		BondMonitor{Monitor: id(26), Amount: 27 * WAL, Agreement: [64]byte{28, 63: 29}},
		UnbondMonitor{Monitor: id(30)},
		AcceptOffer{Object: id(31), From: id(32)},
		WithdrawOffer{Object: id(33)},
	}
}

func signed(ops ...Op) *Tx {
	tx := &Tx{Network: id(0xaa), Nonce: 1, Expiry: 0x203, Fee: 0x405, Ops: ops}
	tx.Sign(testKey(7))
	return tx
}

func testMember() Member {
	m := Member{Node: "peer", Name: "node-0", Consensus: id(1), Reward: id(2), Shards: []int{0, 3, 49154}}
	m.Key[0], m.Proof[95] = 3, 4
	return m
}

func testEvent() Event {
	return Event{
		Kind: EventCertified, From: id(1), To: id(2), Amount: 3, Object: id(4), Other: id(5), Blob: id(6), Size: 7, Bytes: 8,
		Deletable: true, Epoch: 9, End: 10, Certificate: []byte{11},
	}
}

// namedForm is a value's binary form. read decodes such a form and encodes it again.
type namedForm struct {
	value []byte
	read  func(b []byte) (any, []byte, error)
}

func formOf[T interface{ Marshal() []byte }](v T, unmarshal func([]byte) (T, error)) namedForm {
	return namedForm{v.Marshal(), func(b []byte) (any, []byte, error) {
		v, err := unmarshal(b)
		if err != nil {
			return nil, nil, err
		}
		return v, v.Marshal(), nil
	}}
}

func testForms() map[string]namedForm {
	forms := map[string]namedForm{
		"account": formOf(Account{5 * WAL, 6, 7, 8}, UnmarshalAccount),
		"storage": formOf(Storage{id(1), 2, 3, 4 << 30}, UnmarshalStorage),
		"blob": formOf(Blob{Owner: id(1), Shared: true, Funds: 2, BlobID: id(3), Size: 4, Root: id(5),
			Deletable: true, Registered: 6,
			Certified: 7, Start: 8, End: 9, Bytes: 10, Attributes: []Attribute{{"a", "b"}, {"c", ""}}}, UnmarshalBlob),
		"blobInfo": formOf(BlobInfo{1, 2, 3, []DeletableEnd{{4, 5, 5}, {6, 1, 0}}, false}, UnmarshalBlobInfo),
		"invalid info": formOf(BlobInfo{InitialCertified: 1, Deletable: []DeletableEnd{{4, 5, 5}}, Invalid: true},
			UnmarshalBlobInfo),
		"bare mark":      formOf(BlobInfo{Invalid: true}, UnmarshalBlobInfo),
		"mark by proof":  formOf(InvalidBlob{1, 2, id(3), 4, []byte{5, 6}, nil}, UnmarshalInvalidBlob),
		"mark by shards": formOf(InvalidBlob{Epoch: 1, Tx: id(2), Certificate: []byte{3}}, UnmarshalInvalidBlob),
		"bonds":          formOf(Bonds{{id(1), id(2), 3, 1, 4, 0}, {id(5), id(6), 7, 0, 8, 9}}, UnmarshalBonds),
		"offer":          formOf(Offer{id(1), id(2), 3}, UnmarshalOffer),
		"pot":            formOf(Pot{1, 2}, UnmarshalPot),
		"epoch":          formOf(EpochInfo{1, -2, 3}, unmarshalEpochInfo),
		"supply":         formOf(Supply{1}, unmarshalSupply),
		"parameters":     formOf(Params{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}, unmarshalParams),
		"member":         formOf(testMember(), unmarshalMember),
		"event":          formOf(testEvent(), UnmarshalEvent),
		"transfer event": formOf(Event{Kind: EventTransferred, From: id(1), To: id(2), Amount: 3}, UnmarshalEvent),
		"bond event":     formOf(Event{Kind: EventBonded, From: id(1), Amount: 2, Epoch: 3, Monitor: id(4)}, UnmarshalEvent),
		"receipt": formOf(Receipt{id(1), 2, 3, 4, Result{CodeBalance, 5, "no", 6, 7,
			[]Event{testEvent(), {Kind: EventEpoch}}}},
			UnmarshalReceipt),
		"good receipt": formOf(Receipt{ID: id(1), Result: Result{Op: -1}}, UnmarshalReceipt),
	}
	for _, op := range everyOp() {
		forms["transaction "+OpName(op)] = formOf(signed(op), UnmarshalTx)
	}
	return forms
}

// TestGoldenForms pins every binary form byte by byte: other versions of the software read them, and signatures and
// state roots cover them.
func TestGoldenForms(t *testing.T) {
	const path = "testdata/forms.txt"
	forms := testForms()
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(forms)) {
		fmt.Fprintf(&b, "%s: %x\n", name, forms[name].value)
	}
	if *update {
		if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	golden, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(b.String(), "\n")
	for i, want := range strings.Split(string(golden), "\n") {
		if i >= len(lines) || lines[i] != want {
			t.Fatalf("line %d of %s:\n%s\nhave\n%s", i+1, path, want, lines[min(i, len(lines)-1)])
		}
	}
}

// TestRoundTrip decodes every form, and refuses it when cut, extended by a byte, or with any count at its maximum.
func TestRoundTrip(t *testing.T) {
	for name, form := range testForms() {
		v, again, err := form.read(form.value)
		if err != nil || !bytes.Equal(again, form.value) {
			t.Errorf("%s: %+v is written again as %x, %v", name, v, again, err)
		}
		for n := range form.value {
			if v, _, err := form.read(form.value[:n]); !errors.Is(err, ErrFormat) {
				t.Fatalf("%s: %d of %d bytes: %+v, %v: want ErrFormat", name, n, len(form.value), v, err)
			}
		}
		if v, _, err := form.read(append(bytes.Clone(form.value), 0)); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: a byte more: %+v, %v: want ErrFormat", name, v, err)
		}
	}
	for _, op := range everyOp() {
		tx, err := UnmarshalTx(signed(op).Marshal())
		if err != nil || !reflect.DeepEqual(tx, signed(op)) {
			t.Errorf("%s is read back as %+v, %v", OpName(op), tx, err)
		}
	}
	all := signed(everyOp()...)
	if back, err := UnmarshalTx(all.Marshal()); err != nil || !reflect.DeepEqual(back, all) {
		t.Errorf("%+v is read back as %+v, %v", all, back, err)
	}
	pointers := signed(&Transfer{To: id(1), Amount: 2 * WAL})
	if back, err := UnmarshalTx(pointers.Marshal()); err != nil || back.Ops[0] != everyOp()[0] {
		t.Errorf("an operation behind a pointer is read back as %+v, %v", back, err)
	}
}

// TestWritingReads writes one value from several goroutines at once, for the race detector.
func TestWritingReads(t *testing.T) {
	tx := signed(everyOp()...)
	blob := Blob{Shared: true, Deletable: true, Attributes: []Attribute{{"a", "b"}}}
	info := BlobInfo{Deletable: []DeletableEnd{{1, 1, 1}}}
	member, receipt, epoch := testMember(), Receipt{Result: Result{Events: []Event{testEvent()}}}, EpochInfo{Start: -1}
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for _, write := range []func(){
				func() { tx.ID() }, func() { tx.SignBytes() }, func() { blob.Marshal() }, func() { info.Marshal() },
				func() { member.Marshal() },
				func() { receipt.Marshal() }, func() { receipt.Agreed() }, func() { epoch.Marshal() },
				func() { (&receipt.Events[0]).Marshal() },
			} {
				write()
			}
		})
	}
	group.Wait()
}

// checkOneForm checks that accepted bytes are written back unchanged, and that decoding allocates no more memory than
// their size justifies.
func checkOneForm(t *testing.T, name string, form namedForm, b []byte) {
	t.Helper()
	v, again, err := form.read(b)
	if err == nil && !bytes.Equal(again, b) {
		t.Fatalf("%s: %x is read as %+v and written as %x", name, b, v, again)
	}
	if err != nil && !errors.Is(err, ErrFormat) {
		t.Fatalf("%s: %x: %v does not wrap ErrFormat", name, b, err)
	}
}

func TestOneForm(t *testing.T) {
	for name, form := range testForms() {
		for i := range form.value {
			for _, flip := range []byte{1, 2, 0x80, 0xff} {
				b := bytes.Clone(form.value)
				b[i] ^= flip
				checkOneForm(t, name, form, b)
			}
		}
	}
}

func FuzzForms(f *testing.F) {
	forms := testForms()
	names := slices.Sorted(maps.Keys(forms))
	for i, name := range names {
		f.Add(uint8(i), forms[name].value)
		f.Add(uint8(i), bytes.Repeat([]byte{0xff}, 300))
	}
	f.Fuzz(func(t *testing.T, i uint8, b []byte) {
		name := names[int(i)%len(names)]
		checkOneForm(t, name, forms[name], b)
	})
}

// TestHostileCounts decodes counts far beyond the data: no memory is allocated for them.
func TestHostileCounts(t *testing.T) {
	head := bytes.Repeat([]byte{0}, 32+32+3*8)
	many := []byte{0xff, 0xff}
	for name, b := range map[string][]byte{
		"operations": append(head, many...),
		"sweep":      slices.Concat(head, []byte{1, 0, Sweep{}.kind()}, many),
		"attributes": slices.Concat(head, []byte{1, 0, SetAttributes{}.kind()}, make([]byte, 32), many),
		"key": slices.Concat(head, []byte{1, 0, SetAttributes{}.kind()}, make([]byte, 32), []byte{1, 0},
			many, make([]byte, 8)),
		"remove":      slices.Concat(head, []byte{1, 0, SetAttributes{}.kind()}, make([]byte, 34), many),
		"certificate": slices.Concat(head, []byte{1, 0, CertifyBlob{}.kind()}, make([]byte, 32), many),
	} {
		b = append(b, make([]byte, 100)...)
		before := allocated()
		if tx, err := UnmarshalTx(b); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %+v, %v: want ErrFormat", name, tx, err)
		}
		if used := allocated() - before; used > 64<<10 {
			t.Errorf("%s: %d bytes of memory for a transaction of %d", name, used, len(b))
		}
	}
	for name, tt := range map[string]struct {
		value interface{ Marshal() []byte }
		count uint16
		read  func([]byte) error
	}{ // all end with a count
		"events":    {Receipt{}, MaxEvents, reader(UnmarshalReceipt)},
		"bonds":     {Bonds{}, MaxBonds, reader(UnmarshalBonds)},
		"shards":    {Member{}, shards.MaxShards, reader(unmarshalMember)},
		"ends":      {BlobInfo{}, maxDeletableEnds, reader(UnmarshalBlobInfo)},
		"proof":     {InvalidBlob{}, certs.MaxRefutationCertificateSize, reader(UnmarshalInvalidBlob)},
		"of record": {Blob{}, MaxAttributes, reader(UnmarshalBlob)},
	} {
		b := tt.value.Marshal()
		b = binary.LittleEndian.AppendUint16(b[:len(b)-2], tt.count)
		before := allocated()
		if err := tt.read(b); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v: want ErrFormat", name, err)
		}
		if used := allocated() - before; used > 8<<10 {
			t.Errorf("%s: %d bytes of memory for a form of %d", name, used, len(b))
		}
	}
	if _, err := UnmarshalTx(make([]byte, MaxTxSize+1)); !errors.Is(err, ErrFormat) ||
		!strings.Contains(err.Error(), "65537") {
		t.Errorf("too large: %v", err)
	}
	if _, err := UnmarshalReceipt(make([]byte, MaxReceiptSize+1)); !errors.Is(err, ErrFormat) {
		t.Errorf("receipt too large: %v", err)
	}
}

func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

// TestRefusedForms encodes values that are invalid; the decoder's error names operation and field.
func TestRefusedForms(t *testing.T) {
	pairs := func(n int, value string) (list []Attribute) {
		for i := range n {
			list = append(list, Attribute{fmt.Sprintf("%03d", i), value})
		}
		return list
	}
	objects := func(n int) (list []ObjectID) {
		for i := range n {
			list = append(list, id(byte(i)))
		}
		return list
	}
	for _, tt := range []struct {
		text string
		ops  []Op
	}{
		{"no operations", nil},
		{"257 operations", slices.Repeat(everyOp()[:1], MaxOps+1)},
		{"operation 1: registerBlob: attributes are not in ascending order",
			[]Op{BurnBlob{}, RegisterBlob{Attributes: []Attribute{{"b", ""}, {"a", ""}}}}},
		{"setAttributes: attributes to set are not in ascending order",
			[]Op{SetAttributes{Set: []Attribute{{"a", ""}, {"a", ""}}}}},
		{"setAttributes: attributes to remove are not in ascending order", []Op{SetAttributes{Remove: []string{"b", "a"}}}},
		{`attribute "a" is set and removed`, []Op{SetAttributes{Set: []Attribute{{"a", ""}}, Remove: []string{"a"}}}},
		{"key is empty", []Op{SetAttributes{Set: []Attribute{{"", ""}}}}},
		{"257 key: at most 256", []Op{SetAttributes{Set: []Attribute{{strings.Repeat("k", 257), ""}}}}},
		{"1025 value: at most 1024", []Op{SetAttributes{Set: []Attribute{{"k", strings.Repeat("v", 1025)}}}}},
		{"value is not UTF-8", []Op{SetAttributes{Set: []Attribute{{"k", "\xff"}}}}},
		{"65 attributes to set", []Op{SetAttributes{Set: pairs(MaxAttributes+1, "")}}},
		{"attributes: 16435 bytes", []Op{RegisterBlob{Attributes: pairs(19, strings.Repeat("v", 862))}}},
		{"sweep: no objects", []Op{Sweep{}}},
		{"101 objects", []Op{Sweep{objects(MaxSweep + 1)}}},
		{"objects are not in ascending order", []Op{Sweep{[]ObjectID{id(2), id(1)}}}},
		{"bytes of certificate", []Op{CertifyBlob{Certificate: make([]byte, certs.MaxCertificateSize+1)}}},
		{"bytes of proof", []Op{DisproveBlob{Proof: make([]byte, shards.MaxCellProofSize+1)}}},
		{"bytes of certificate", []Op{RefuteBlob{Certificate: make([]byte, certs.MaxRefutationCertificateSize+1)}}},
	} {
		tx := signed(tt.ops...)
		if err := tx.Validate(); !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), tt.text) {
			t.Errorf("%v: want %q", err, tt.text)
		}
	}
	largest := []Op{
		SetAttributes{Set: pairs(16, strings.Repeat("v", MaxAttributeValue-3)),
			Remove: []string{strings.Repeat("k", MaxAttributeKey)}},
		Sweep{objects(MaxSweep)}, CertifyBlob{Certificate: make([]byte, certs.MaxCertificateSize)}, CertifyBlob{},
	}
	if err := signed(largest...).Validate(); err != nil {
		t.Errorf("at the bounds: %v", err)
	}
	if err := signed(slices.Repeat([]Op{BurnBlob{}}, MaxOps)...).Validate(); err != nil {
		t.Errorf("as many operations as there may be: %v", err)
	}
	for name, b := range map[string][]byte{
		"kind 0": {0}, "kind 22": {byte(len(opCodecs))}, "kind 255": {255},
	} {
		b = slices.Concat(make([]byte, minTxSize-64-2), []byte{1, 0}, b, make([]byte, 64))
		if _, err := UnmarshalTx(b); !errors.Is(err, ErrFormat) ||
			!strings.Contains(err.Error(), "operation 0: there is no operation of "+name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRefusedObjects(t *testing.T) {
	for name, tt := range map[string]struct {
		value interface{ Marshal() []byte }
		read  func([]byte) error
	}{
		"unsorted ends":     {BlobInfo{Deletable: []DeletableEnd{{2, 1, 1}, {1, 1, 1}}}, reader(UnmarshalBlobInfo)},
		"one end twice":     {BlobInfo{Deletable: []DeletableEnd{{2, 1, 1}, {2, 1, 1}}}, reader(UnmarshalBlobInfo)},
		"nothing at an end": {BlobInfo{Deletable: []DeletableEnd{{2, 0, 0}}}, reader(UnmarshalBlobInfo)},
		"more certified":    {BlobInfo{Deletable: []DeletableEnd{{2, 1, 2}}}, reader(UnmarshalBlobInfo)},
		"too many ends":     {BlobInfo{Deletable: make([]DeletableEnd, maxDeletableEnds+1)}, reader(UnmarshalBlobInfo)},
		"unsorted pairs":    {Blob{Attributes: []Attribute{{"b", ""}, {"a", ""}}}, reader(UnmarshalBlob)},
		"no bonds":          {Bonds{}, reader(UnmarshalBonds)},
		"one monitor twice": {Bonds{{Monitor: id(1), Amount: 1}, {Monitor: id(1), Amount: 1}}, reader(UnmarshalBonds)},
		"bond of nothing":   {Bonds{{Monitor: id(1)}}, reader(UnmarshalBonds)},
		"more added":        {Bonds{{Monitor: id(1), Amount: 1, Added: 2}}, reader(UnmarshalBonds)},
		"unsorted shards":   {Member{Shards: []int{1, 0}}, reader(unmarshalMember)},
		"long peer ID": {Member{Node: "12345678901234567890123456789012345678901234567890123456789012345"},
			reader(unmarshalMember)},
		"event of no kind": {Event{}, reader(UnmarshalEvent)},
		"operation 256":    {Receipt{Result: Result{Op: MaxOps}}, reader(UnmarshalReceipt)},
	} {
		if err := tt.read(tt.value.Marshal()); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v, want ErrFormat", name, err)
		}
	}
}

func reader[T any](unmarshal func([]byte) (T, error)) func([]byte) error {
	return func(b []byte) error { _, err := unmarshal(b); return err }
}

func TestLongLog(t *testing.T) {
	r := Receipt{Result: Result{Op: -1, Log: strings.Repeat("ü", MaxLog) + "x"}}
	back, err := UnmarshalReceipt(r.Marshal())
	if err != nil || back.Log != strings.Repeat("ü", MaxLog/2) {
		t.Errorf("a log of %d bytes is read back with %d, %v", len(r.Log), len(back.Log), err)
	}
	r.Log = "x" + r.Log // cuts a character in two
	if back, err = UnmarshalReceipt(r.Marshal()); err != nil || back.Log != "x"+strings.Repeat("ü", MaxLog/2-1) {
		t.Errorf("a log of %d bytes is read back with %d, %v", len(r.Log), len(back.Log), err)
	}
}

// TestIDs pins the IDs that are derived from contents.
func TestIDs(t *testing.T) {
	tx := signed(everyOp()[0])
	for _, tt := range []struct {
		what string
		got  [32]byte
		want string
	}{
		{"transaction", tx.ID(), "1b49310adc3ad494558712b3591ed5fdbf163871870e3d25badf3614c7f07e13"},
		{"address", tx.Sender.Address(), "a0ccc8bcc83f6c628340134f8546a21e0618fd1aaa02432bba454c4a2c2233da"},
		{"object", NewObjectID(id(1), 2, 3), "8ebdb3f1b77c1fc8dafb008f8e5b793c0dde03cc08eefd70b833bfc37829620f"},
		{"blob", shards.DeriveBlobID(4, id(5)), "9eab4c97434a3d864f9ab691d313a397bc6ff2199d19a43f6df743bf4810ae15"},
		{"result", [32]byte(Result{Op: -1, Fee: 1, Spent: 2, Events: []Event{testEvent()}}.Agreed()[18:]),
			"aceb91591ded4b1a5fcf0791e7993d160642e34d83c09394973890ae4ae3c03d"},
	} {
		if got := hex.EncodeToString(tt.got[:]); got != tt.want {
			t.Errorf("%s %s, want %s", tt.what, got, tt.want)
		}
	}
	if HashTx(tx.Marshal()) != tx.ID() {
		t.Error("HashTx and ID differ")
	}
	unsigned := *tx
	unsigned.Signature = [64]byte{}
	if !bytes.Equal(unsigned.SignBytes(), tx.SignBytes()) || unsigned.ID() == tx.ID() {
		t.Error("what is signed has the signature in it, or the ID has not")
	}
	if b := tx.SignBytes(); !bytes.HasPrefix(b, []byte(txDomain)) || !bytes.HasPrefix(tx.Marshal(), b[len(txDomain):]) {
		t.Error("what is signed is not the domain and the binary form")
	}
	ids := map[ObjectID]bool{}
	for _, v := range []ObjectID{NewObjectID(id(1), 2, 3), NewObjectID(id(2), 2, 3), NewObjectID(id(1), 3, 3),
		NewObjectID(id(1), 2, 4)} {
		ids[v] = true
	}
	if len(ids) != 4 {
		t.Error("two objects have one ID")
	}
	a, b := Result{Op: -1}, Result{Op: 0}
	if bytes.Equal(a.Agreed(), b.Agreed()) || len(a.Agreed()) != 50 {
		t.Errorf("agreed: %x and %x", a.Agreed(), b.Agreed())
	}
	a.Log = "for people"
	if !bytes.Equal(a.Agreed(), Result{Op: -1, Code: CodeFee}.Agreed()) {
		t.Error("the log or the code is in what is agreed on")
	}
}

// TestOpKinds wants each row of opCodecs to read operations of its own kind, under a name of its own, and everyOp to
// have an example of each.
func TestOpKinds(t *testing.T) {
	examples, names := everyOp(), map[string]bool{"": true}
	if len(examples) != len(opCodecs)-1 {
		t.Fatalf("%d examples of %d kinds", len(examples), len(opCodecs)-1)
	}
	for kind, codec := range opCodecs {
		if kind == 0 {
			continue
		}
		if codec.form == nil {
			t.Fatalf("kind %d has no form: numbers have no gaps", kind)
		}
		op, example := codec.form(&form{reading: true}, nil), examples[kind-1]
		if int(OpKind(op)) != kind || reflect.TypeOf(op) != reflect.TypeOf(example) || OpName(example) != codec.name {
			t.Errorf("kind %d reads a %T of kind %d, the example is a %T", kind, op, OpKind(op), example)
		}
		if names[codec.name] {
			t.Errorf("kind %d: the name %q is taken", kind, codec.name)
		}
		names[codec.name] = true
	}
}

// The network itself reads these only from the state, by key.

func unmarshalEpochInfo(b []byte) (EpochInfo, error) { return read[EpochInfo]("epoch", b) }
func unmarshalSupply(b []byte) (Supply, error)       { return read[Supply]("supply", b) }
func unmarshalParams(b []byte) (Params, error)       { return read[Params]("parameters", b) }
func unmarshalMember(b []byte) (Member, error)       { return read[Member]("member", b) }
