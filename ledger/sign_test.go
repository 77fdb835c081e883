package ledger

import (
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"slices"
	"testing"

	"walrus/certs"
)

func testKey(seed byte) ed25519.PrivateKey { s := id(seed); return ed25519.NewKeyFromSeed(s[:]) }

func TestVerify(t *testing.T) {
	good := signed(everyOp()...)
	if err := good.Verify(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Tx){
		"network":   func(tx *Tx) { tx.Network = certs.NetworkID{1} },
		"sender":    func(tx *Tx) { copy(tx.Sender[:], testKey(8)[32:]) },
		"nonce":     func(tx *Tx) { tx.Nonce++ },
		"expiry":    func(tx *Tx) { tx.Expiry++ },
		"fee":       func(tx *Tx) { tx.Fee-- },
		"operation": func(tx *Tx) { tx.Ops[0] = Transfer{To: id(1), Amount: 3 * WAL} },
		"order":     func(tx *Tx) { tx.Ops[0], tx.Ops[1] = tx.Ops[1], tx.Ops[0] },
		"less":      func(tx *Tx) { tx.Ops = tx.Ops[1:] },
		"signature": func(tx *Tx) { tx.Signature[63] ^= 1 },
		"none":      func(tx *Tx) { tx.Signature = [64]byte{} },
		"no point":  func(tx *Tx) { tx.Sender = id(2) },
	} {
		tx := *good
		tx.Ops = slices.Clone(good.Ops)
		change(&tx)
		if err := tx.Verify(); !errors.Is(err, ErrSignature) {
			t.Errorf("%s changed: %v, want ErrSignature", name, err)
		}
	}
}

// TestVerifyTxs: transactions in a batch are judged like single ones, wherever the bad ones are.
func TestVerifyTxs(t *testing.T) {
	var txs []*Tx
	for i := range 3*signatureBatch + 7 {
		tx := &Tx{Network: id(1), Nonce: uint64(i), Ops: everyOp()[:1]}
		tx.Sign(testKey(byte(i)))
		switch i {
		case 3:
			tx.Nonce++
		case signatureBatch, 3*signatureBatch + 6:
			tx.Signature[0] ^= 1
		case signatureBatch + 1:
			tx.Sender = id(2)
		}
		txs = append(txs, tx)
	}
	for _, n := range []int{0, 1, signatureBatch, len(txs)} {
		for i, valid := range VerifyTxs(txs[:n]) {
			if alone := txs[i].Verify() == nil; valid != alone {
				t.Errorf("%d of %d: %t together, %t alone", i, n, valid, alone)
			}
		}
	}
	valid := VerifyTxs(txs)
	bad := []int{3, signatureBatch, signatureBatch + 1, 3*signatureBatch + 6}
	for i, ok := range valid {
		if ok == slices.Contains(bad, i) {
			t.Errorf("transaction %d: valid %t", i, ok)
		}
	}
}

// TestZIP215 has signatures on which implementations of Ed25519 disagree: with points of small order and
// non-canonical encodings. ZIP 215 accepts them all, alone and in a batch.
func TestZIP215(t *testing.T) {
	// Small order: all eight points, some in non-canonical encodings too. With S = 0 any message verifies.
	points := []string{
		"0100000000000000000000000000000000000000000000000000000000000000",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
		"0000000000000000000000000000000000000000000000000000000000000080",
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"0100000000000000000000000000000000000000000000000000000000000080",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
	}
	var txs []*Tx
	for _, key := range points {
		for _, r := range points {
			tx := &Tx{Ops: everyOp()[:1]}
			decode(t, tx.Sender[:], key)
			decode(t, tx.Signature[:32], r)
			txs = append(txs, tx)
			if err := tx.Verify(); err != nil {
				t.Errorf("key %s, R %s: %v", key, r, err)
			}
		}
	}
	for i, ok := range VerifyTxs(txs) {
		if !ok {
			t.Errorf("%d is refused in a batch", i)
		}
	}
	tx := signed(everyOp()[0]) // S plus the group's order: equivalent, but must not pass, or anyone could change the ID
	order := []byte{0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde,
		0x14, 16: 0, 31: 0x10}
	carry := 0
	for i, b := range order {
		sum := int(tx.Signature[32+i]) + int(b) + carry
		tx.Signature[32+i], carry = byte(sum), sum>>8
	}
	if err := tx.Verify(); !errors.Is(err, ErrSignature) || VerifyTxs([]*Tx{tx})[0] {
		t.Errorf("S beyond the order: %v, want ErrSignature", err)
	}
}

func decode(t *testing.T, dst []byte, digits string) {
	t.Helper()
	b, err := hex.DecodeString(digits)
	if err != nil || copy(dst, b) != len(dst) {
		t.Fatal(digits, err)
	}
}

func BenchmarkVerifyTxs(b *testing.B) {
	var txs []*Tx
	for i := range 1024 {
		tx := &Tx{Nonce: uint64(i), Ops: everyOp()[:1]}
		tx.Sign(testKey(byte(i)))
		txs = append(txs, tx)
	}
	for b.Loop() {
		VerifyTxs(txs)
	}
	b.ReportMetric(float64(b.N*len(txs))/b.Elapsed().Seconds(), "txs/s")
}

func BenchmarkUnmarshalTx(b *testing.B) {
	raw := signed(everyOp()[0]).Marshal()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := UnmarshalTx(raw); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMarshalTx(b *testing.B) {
	tx := signed(everyOp()[0])
	b.ReportAllocs()
	for b.Loop() {
		tx.Marshal()
	}
}
