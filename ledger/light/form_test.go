package light

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
	"time"

	"walrus/ledger"
	"walrus/ledger/merkle"
	"walrus/shards"
)

// messages returns one message of each kind.
func messages(t testing.TB) []message {
	t.Helper()
	keys := newKeys(t, 1, 4)
	w := &world{chain: newChain(t, newGenesis(t, "test", 10, keys), keys), keys: keys}
	w.live(t, 3)
	tx := w.tx(1, bob)
	in, err := w.Receipt(t.Context(), tx.ID())
	if err != nil {
		t.Fatal(err)
	}
	read := w.stateAt(4, ledger.KeyEpoch(), ledger.KeySupply())
	read.Items = append(read.Items, Item{Value: []byte{}, Proof: merkle.Proof{}})
	return []message{
		&blockRequest{7}, &blockAnswer{w.blocks[3].light, "trouble"},
		&readRequest{At{9, true, 12}, [][]byte{{1}, {2, 3}}}, &readAnswer{*read, "why"},
		&submitRequest{tx.Marshal()}, &receiptRequest{tx.ID(), true}, in,
		&historyRequest{alice, Position{3, 4}, 5}, &historyAnswer{[]Inclusion{*in, *in}, true, 3},
		&aboutRequest{ledger.AboutBlob(shards.BlobID{7}), Position{3, 4}, 5},
		&objectsRequest{Listing{alice, true, 7}, ledger.ObjectID{1}, 5},
		&objectsAnswer{[]Object{{ledger.ObjectID{3}, true}, {ledger.ObjectID{4}, false}}},
		&snapshotsRequest{}, &snapshotsAnswer{[]uint64{1, 2}}, &refusal{"no", 3, 4, 5},
		&rangeRequest{3, merkle.Hash{1}, merkle.Hash{2}, 9}, &rangeAnswer{Range{AppendPair(nil, []byte{1}, nil), true, merkle.RangeProof{}}},
	}
}

func TestForms(t *testing.T) {
	for _, m := range messages(t) {
		b, err := encode(m)
		if err != nil {
			t.Fatalf("%T: %v", m, err)
		}
		got := reflect.New(reflect.TypeOf(m).Elem()).Interface().(message)
		if err := decode(b, got); err != nil {
			t.Errorf("%T: %v", m, err)
			continue
		}
		if again, err := encode(got); err != nil || !bytes.Equal(again, b) {
			t.Errorf("%T is another message after decoding, %v", m, err)
		}
		for cut := range len(b) {
			if decode(b[:cut], reflect.New(reflect.TypeOf(m).Elem()).Interface().(message)) == nil {
				t.Errorf("%T: the first %d of %d bytes are taken for all", m, cut, len(b))
				break
			}
		}
		if decode(append(bytes.Clone(b), 0), reflect.New(reflect.TypeOf(m).Elem()).Interface().(message)) == nil {
			t.Errorf("%T: one byte more is not noticed", m)
		}
	}
}

func TestFormsRefuse(t *testing.T) {
	for name, m := range map[string]message{
		"too many keys":      &readRequest{Keys: make([][]byte, MaxKeys+1)},
		"a key too long":     &readRequest{Keys: [][]byte{make([]byte, MaxKeySize+1)}},
		"no block":           &blockAnswer{},
		"a short hash":       &Inclusion{InData: [][]byte{{1}}},
		"too many snapshots": &snapshotsAnswer{make([]uint64, MaxSnapshots+1)},
		"no limit":           &objectsRequest{},
		"an empty interval":  &rangeRequest{First: merkle.Hash{1}, Limit: 1},
		"too many pairs":     &rangeAnswer{Range{Pairs: make([]byte, MaxRange+1)}},
		"a value too long":   &readAnswer{Reading: Reading{Items: []Item{{Value: make([]byte, maxValue+1)}}}},
	} {
		if _, err := encode(m); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if b, err := encode(&refusal{Text: strings.Repeat("é\x00", 400)}); err != nil || len(b) > maxText+20 {
		t.Errorf("a long text takes %d bytes, %v", len(b), err)
	}
}

// FuzzDecode: decoding never panics, and each accepted message has one encoding.
func FuzzDecode(f *testing.F) {
	kinds := messages(f)
	for i, m := range kinds {
		b, err := encode(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(byte(i), b)
	}
	f.Fuzz(func(t *testing.T, kind byte, b []byte) {
		m := reflect.New(reflect.TypeOf(kinds[int(kind)%len(kinds)]).Elem()).Interface().(message)
		if decode(b, m) != nil {
			return
		}
		if _, err := encode(m); err != nil {
			t.Errorf("%T can be decoded and not encoded: %v", m, err)
		}
	})
}

// A change of any byte of an answer is detected.
func TestFlippedBytes(t *testing.T) {
	keys := newKeys(t, 1, 4)
	g := newGenesis(t, "test", 10, keys)
	c := newChain(t, g, keys)
	r, err := c.Read(t.Context(), At{}, [][]byte{ledger.KeyEpoch(), ledger.KeySupply()})
	if err != nil {
		t.Fatal(err)
	}
	b, err := encode(&readAnswer{Reading: *r})
	if err != nil {
		t.Fatal(err)
	}
	for i := range b {
		flipped := bytes.Clone(b)
		flipped[i] ^= 1 << (i % 8)
		var a readAnswer
		if decode(flipped, &a) != nil {
			continue
		}
		tr, err := newTrust(g)
		if err != nil {
			t.Fatal(err)
		}
		if a.Block.Height != int64(a.Height)+1 || tr.verify(t.Context(), a.Block, nowhere) != nil || len(a.Items) != 2 {
			continue
		}
		if string(a.Block.Hash()) != string(r.Block.Hash()) {
			t.Fatalf("with byte %d flipped another header is accepted", i)
		}
		root := merkle.Hash(a.Block.AppHash)
		for k, key := range [][]byte{ledger.KeyEpoch(), ledger.KeySupply()} {
			if merkle.Verify(root, key, a.Items[k].Value, a.Items[k].Proof) == nil &&
				!bytes.Equal(a.Items[k].Value, r.Items[k].Value) {
				t.Fatalf("with byte %d flipped another value is accepted", i)
			}
		}
	}
}

func TestBook(t *testing.T) {
	b := newBook()
	now := time.Now()
	b.answered("slow", 80*time.Millisecond)
	b.answered("fast", 5*time.Millisecond)
	b.failed("dead", now)
	b.lied(&Lie{Node: "liar", What: ErrLied}, now)
	order, lies := b.order([]ID{"dead", "liar", "new", "slow", "new", "fast"}, now)
	if got := strings.Join(names(order), " "); got != "fast slow new dead" || len(lies) != 1 {
		t.Errorf("order %q, %d lies", got, len(lies))
	}
	order, lies = b.order([]ID{"dead", "liar", "fast"}, now.Add(liarTime+time.Second))
	if got := strings.Join(names(order), " "); got != "fast dead liar" || len(lies) != 0 {
		t.Errorf("order much later %q, %d lies", got, len(lies))
	}
	for i := range maxNodes + 10 {
		b.failed(ID(rune(i)), now)
	}
	if len(b.nodes) > maxNodes {
		t.Errorf("%d nodes in the book", len(b.nodes))
	}
}

func names(ids []ID) []string {
	var list []string
	for _, id := range ids {
		list = append(list, string(id))
	}
	return list
}
