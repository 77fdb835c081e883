package ledger

import (
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	"golang.org/x/crypto/blake2b"

	"walrus/certs"
)

const (
	// MaxTxSize bounds the binary form of a transaction, in bytes.
	MaxTxSize = 64 << 10
	// MaxOps bounds the operations of one transaction.
	MaxOps = 256
	// MaxExpiry bounds a transaction's expiry, in heights ahead.
	MaxExpiry = 100_000
)

// TxID is the BLAKE2b-256 of a transaction's binary form.
type TxID [32]byte

// String returns the text form, 0x and 64 hexadecimal digits.
func (id TxID) String() string { return "0x" + hex.EncodeToString(id[:]) }

// MarshalText implements encoding.TextMarshaler.
func (id TxID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler. Errors wrap ErrFormat.
func (id *TxID) UnmarshalText(b []byte) error { return parseHex(id[:], b, "transaction ID") }

// HashTx returns the ID of the transaction with binary form b.
func HashTx(b []byte) TxID { return blake2b.Sum256(b) }

// Tx is a signed list of operations. All of them take effect, or none.
//
// Its binary form is network ID 32 ‖ sender's key 32 ‖ nonce u64 ‖ expiry u64 ‖ fee u64 ‖ number of operations u16 ‖
// operations, each after its kind u8 ‖ signature 64.
type Tx struct {
	Network   certs.NetworkID
	Sender    PublicKey
	Nonce     uint64 // of the sender's account
	Expiry    uint64 // last height at which it may be in a block
	Fee       Amount // paid even if the operations fail
	Ops       []Op   // 1 to MaxOps
	Signature [ed25519.SignatureSize]byte
}

// Op is one operation, as a value: Transfer, BuyStorage and so on.
type Op interface {
	kind() uint8           // see opCodecs
	work(p *Params) uint64 // units: see Params.Work
}

const (
	txDomain     = "walrus transaction 1\x00"
	objectDomain = "walrus object 1\x00"
	// minTxSize is the size without operations.
	minTxSize = 32 + 32 + 3*8 + 2 + ed25519.SignatureSize
)

func (tx *Tx) form(f *form) {
	tx.unsigned(f)
	f.fixed("signature", tx.Signature[:])
}

func (tx *Tx) unsigned(f *form) {
	f.fixed("network", tx.Network[:])
	f.fixed("sender", tx.Sender[:])
	f.u64("nonce", &tx.Nonce)
	f.u64("expiry", &tx.Expiry)
	f.amount("fee", &tx.Fee)
	list(f, "operations", &tx.Ops, MaxOps, 1, opForm)
	f.op = 0
	f.check(len(tx.Ops) > 0, "no operations")
}

// Marshal returns the binary form. If Validate refuses the transaction, UnmarshalTx refuses its form.
func (tx *Tx) Marshal() []byte { return marshal(tx, 512) }

// UnmarshalTx decodes the binary form without verifying the signature. Errors wrap ErrFormat and name the operation
// and the field.
func UnmarshalTx(b []byte) (*Tx, error) {
	if len(b) > MaxTxSize {
		return nil, fmt.Errorf("transaction: %w: %d bytes: at most %d", ErrFormat, len(b), MaxTxSize)
	}
	tx := new(Tx)
	if err := unmarshal("transaction", tx, b); err != nil {
		return nil, err
	}
	return tx, nil
}

// Validate refuses transactions whose binary form no reader accepts. Errors wrap ErrFormat.
func (tx *Tx) Validate() error {
	_, err := UnmarshalTx(tx.Marshal())
	return err
}

// SignBytes returns the bytes that the sender signs: a domain, then the binary form without the signature.
func (tx *Tx) SignBytes() []byte {
	f := form{b: append(make([]byte, 0, 512), txDomain...)}
	tx.unsigned(&f)
	return f.b
}

// ID returns the ID of the transaction, which covers its signature.
func (tx *Tx) ID() TxID { return HashTx(tx.Marshal()) }

// MarshalJSON writes the operations by name, for people. It cannot be decoded.
func (tx *Tx) MarshalJSON() ([]byte, error) {
	ops := make([]namedOp, len(tx.Ops))
	for i, op := range tx.Ops {
		ops[i] = namedOp{op}
	}
	b, err := json.Marshal(struct {
		ID     TxID      `json:"txId"`
		Sender Address   `json:"sender"`
		Nonce  uint64    `json:"nonce"`
		Expiry uint64    `json:"expiry"`
		Fee    Amount    `json:"feeFrost"`
		Ops    []namedOp `json:"operations"`
	}{tx.ID(), tx.Sender.Address(), tx.Nonce, tx.Expiry, tx.Fee, ops})
	if err != nil {
		return nil, fmt.Errorf("write transaction: %w", err)
	}
	return b, nil
}

// NewObjectID returns the ID of the object that the op-th operation, from zero, of sender's transaction with nonce
// creates: the BLAKE2b-256 of a domain ‖ sender ‖ nonce u64 ‖ op u16. It is known before the transaction is sent, so
// later operations of the same transaction may use it.
func NewObjectID(sender Address, nonce uint64, op int) ObjectID {
	f := form{b: append(make([]byte, 0, 64), objectDomain...)}
	index := uint16(op)
	f.fixed("sender", sender[:])
	f.u64("nonce", &nonce)
	f.u16("operation", &index)
	return blake2b.Sum256(f.b)
}

// parseHex decodes a 0x form into dst, and leaves dst alone on error.
func parseHex(dst, text []byte, what string) error {
	digits, ok := strings.CutPrefix(string(text), "0x")
	if raw, err := hex.DecodeString(digits); ok && err == nil && len(raw) == len(dst) {
		copy(dst, raw)
		return nil
	}
	return fmt.Errorf("%w: %s %.80q: want 0x and %d hexadecimal digits", ErrFormat, what, text, 2*len(dst))
}
