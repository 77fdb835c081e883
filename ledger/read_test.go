package ledger

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
)

// values is a Reader of the values in a map.
type values map[string][]byte

func (v values) Get(key []byte) ([]byte, error) { return v[string(key)], nil }

// broken is a Reader that always fails.
type broken struct{ err error }

func (b broken) Get([]byte) ([]byte, error) { return nil, b.err }

// readers lists all typed reads, of objects with IDs 1 and numbers 1, with their keys and values.
func readers() map[string]struct {
	read   func(Reader) (any, error)
	key    []byte
	value  interface{ Marshal() []byte }
	absent error
} {
	type entry = struct {
		read   func(Reader) (any, error)
		key    []byte
		value  interface{ Marshal() []byte }
		absent error
	}
	return map[string]entry{
		"account": {func(r Reader) (any, error) { return ReadAccount(r, id(1)) }, KeyAccount(id(1)),
			Account{Balance: 1}, nil},
		"storage": {func(r Reader) (any, error) { return ReadStorage(r, id(1)) }, KeyStorage(id(1)),
			Storage{Bytes: 1}, ErrNotFound},
		"blob": {func(r Reader) (any, error) { return ReadBlob(r, id(1)) }, KeyBlob(id(1)), Blob{Size: 1}, ErrNotFound},
		"blob info": {func(r Reader) (any, error) { return ReadBlobInfo(r, id(1)) }, KeyBlobInfo(id(1)),
			BlobInfo{PermanentEnd: 1}, nil},
		"pot":    {func(r Reader) (any, error) { return ReadPot(r, 1) }, KeyPot(1), Pot{Sold: 1}, nil},
		"epoch":  {func(r Reader) (any, error) { return ReadEpoch(r) }, KeyEpoch(), EpochInfo{Epoch: 1}, ErrNotFound},
		"supply": {func(r Reader) (any, error) { return ReadSupply(r) }, KeySupply(), Supply{Burned: 1}, nil},
		"params": {func(r Reader) (any, error) { return ReadParams(r) }, KeyParams(), Params{Shards: 1}, ErrNotFound},
		"bonds":  {func(r Reader) (any, error) { return ReadBonds(r) }, KeyBonds(), Bonds{{Monitor: id(1), Amount: 1}}, nil},
		"member": {func(r Reader) (any, error) { return ReadMember(r, 1) }, KeyMember(1), testMember(), ErrNotFound},
	}
}

func TestRead(t *testing.T) {
	down := errors.New("disk gone")
	keys := map[string]string{}
	for name, e := range readers() {
		if other, dup := keys[string(e.key)]; dup {
			t.Errorf("%s and %s have one key", name, other)
		}
		keys[string(e.key)] = name
		if v, err := e.read(values{string(e.key): e.value.Marshal()}); err != nil || !reflect.DeepEqual(v, e.value) {
			t.Errorf("%s: %+v, %v", name, v, err)
		}
		if v, err := e.read(values{}); !errors.Is(err, e.absent) || !reflect.ValueOf(v).IsZero() {
			t.Errorf("absent %s: %+v, %v: want %v", name, v, err, e.absent)
		}
		if v, err := e.read(values{string(e.key): {}}); !errors.Is(err, ErrFormat) {
			t.Errorf("empty %s: %+v, %v: want ErrFormat", name, v, err)
		}
		if v, err := e.read(broken{down}); !errors.Is(err, down) {
			t.Errorf("unreadable %s: %+v, %v", name, v, err)
		}
	}
}

// TestKeys pins the keys of the state.
func TestKeys(t *testing.T) {
	for want, key := range map[string][]byte{
		"p": KeyParams(), "e": KeyEpoch(), "v": KeySupply(), "o": KeyBonds(), "r\x01\x02\x03\x04": KeyPot(0x01020304),
		"m\x01\x02":                      KeyMember(0x0102),
		"a" + strings.Repeat("\x05", 32): KeyAccount(id(5)), "S" + strings.Repeat("\x05", 32): KeyStorage(id(5)),
		"B" + strings.Repeat("\x05", 32): KeyBlob(id(5)), "b" + strings.Repeat("\x05", 32): KeyBlobInfo(id(5)),
	} {
		if string(key) != want {
			t.Errorf("key %q, want %q", key, want)
		}
	}
}

func TestText(t *testing.T) {
	const digits = "0x0909090909090909090909090909090909090909090909090909090909090909"
	for name, v := range map[string]interface {
		String() string
		MarshalText() ([]byte, error)
		UnmarshalText([]byte) error
	}{"address": new(Address), "public key": new(PublicKey), "transaction ID": new(TxID)} {
		if err := v.UnmarshalText([]byte(digits)); err != nil || v.String() != digits {
			t.Errorf("%s is read as %s, %v", name, v, err)
		}
		for _, bad := range []string{"", "0x", digits[2:], digits + "09", digits[:64], strings.Replace(digits, "9", "g", 1),
			"0X" + digits[2:]} {
			if err := v.UnmarshalText([]byte(bad)); !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), name) {
				t.Errorf("%s %q: %v, want ErrFormat", name, bad, err)
			}
		}
		if b, err := v.MarshalText(); err != nil || string(b) != digits {
			t.Errorf("after errors, %s is %s, %v", name, b, err)
		}
	}
	if a, err := ParseAddress(digits); err != nil || a != id(9) {
		t.Errorf("%s, %v", a, err)
	}
	seen := map[string]bool{}
	for c := range CodeProof + 1 {
		if name := c.String(); name == "" || seen[name] {
			t.Errorf("code %d is called %q", uint32(c), name)
		} else {
			seen[name] = true
		}
	}
	if got := (CodeProof + 1).String(); got != "code 21" {
		t.Error(got)
	}
}

// TestJSON pins the JSON that users' programs read.
func TestJSON(t *testing.T) {
	tx := signed(Transfer{To: id(9), Amount: 5}, BurnBlob{id(9)})
	nines := `"` + Address(id(9)).String() + `"`
	for name, tt := range map[string]struct {
		value any
		want  string
	}{
		"transaction": {tx, `{"txId":"` + tx.ID().String() + `","sender":"` + tx.Sender.Address().String() +
			`","nonce":1,"expiry":515,"feeFrost":1029,"operations":[` +
			`{"op":"transfer","to":` + nines + `,"amountFrost":5},{"op":"burnBlob","object":` + nines + `}]}`},
		"account": {Account{Balance: 5, Nonce: 6}, `{"balanceFrost":5,"nonce":6,"storages":0,"blobs":0}`},
		"receipt": {Receipt{Height: 2, Result: Result{Code: CodeNotFound, Op: -1, Log: "no"}},
			`{"txId":"` + TxID{}.String() + `","height":2,"index":0,"time":0,"code":"notFound","operation":-1,"log":"no","feeFrost":0,"spentFrost":0}`},
		"event": {Event{Kind: EventTransferred, To: id(9), Amount: 1}, `{"kind":"transferred","to":` + nines +
			`,"amountFrost":1}`},
	} {
		if b, err := json.Marshal(tt.value); err != nil || string(b) != tt.want {
			t.Errorf("%s: %s, %v\nwant %s", name, b, err, tt.want)
		}
	}
	for _, op := range everyOp() {
		if b, err := json.Marshal(namedOp{op}); err != nil || !json.Valid(b) {
			t.Errorf("%s: %s, %v", OpName(op), b, err)
		}
	}
}

func TestErr(t *testing.T) {
	if err := (&Result{Op: -1}).Err(); err != nil {
		t.Errorf("no failure: %v", err)
	}
	for want, r := range map[string]Result{
		"operation 2: too poor": {Code: CodeBalance, Op: 2, Log: "too poor"},
		"too late":              {Code: CodeExpired, Op: -1, Log: "too late"},
		"operation 0: the ledger refused it: epoch": {Code: CodeEpoch},
	} {
		var failed *OpError
		if err := r.Err(); !errors.As(err, &failed) || failed.Code != r.Code || err.Error() != want {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if got := (&FundsError{Need: 2 * WAL, Have: WAL / 2}).Error(); !strings.HasPrefix(got,
		"not enough WAL: 2 are needed, the account has 0.5 WAL") {
		t.Error(got)
	}
}
