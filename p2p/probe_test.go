package p2p

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"

	"walrus/certs"
	"walrus/p2p/internal/wire"
	"walrus/probe"
	"walrus/shards"
)

// signer is a Backend whose answers are signed. answer writes symbols, or refuses.
type signer struct {
	Backend
	height uint64
	answer func(r SymbolRequest, w io.Writer) error
}

func (s *signer) Stamp() (certs.NetworkID, int, uint64) { return certs.NetworkID{1}, 7, s.height }

func (s *signer) Symbols(_ context.Context, r SymbolRequest, w io.Writer) error {
	return s.answer(r, w)
}

// testQuestion asks for two symbols of two slivers, with proofs.
func testQuestion() probe.Question {
	return probe.Question{
		Network: certs.NetworkID{1}, Shards: 7, Blob: testID, Axis: shards.Secondary, Slivers: []int{5, 2}, Targets: []int{6, 0},
		SymbolSize: 1000, Length: 1000, ProofLen: 3, Nonce: probe.Nonce{7}, Height: 900,
	}
}

// writeAll writes the first n bytes of pattern, in pieces.
func writeAll(w io.Writer, n int64) error {
	for piece := range slices.Chunk(pattern(int(n)), 333) {
		if _, err := w.Write(piece); err != nil {
			return err
		}
	}
	return nil
}

func TestProbe(t *testing.T) {
	b := &signer{height: 1000}
	client, server := serving(t, b, nil, nil)
	ask := func(q probe.Question) (probe.Receipt, error) { return client.Probe(t.Context(), server.ID(), q) }
	right := func(r SymbolRequest, w io.Writer) error { return writeAll(w, r.Bytes()) }

	b.answer = right
	for _, q := range []probe.Question{testQuestion(), (&probe.Question{}).Proofs()} {
		if q.Shards == 0 {
			whole := testQuestion()
			q = whole.Proofs()
		}
		r, err := ask(q)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Verify(); err != nil || r.Code != probe.Answered || r.Node != server.ID() || len(r.Cells) != 4 {
			t.Errorf("receipt %+v: %v", r, err)
		}
	}
	// the same question of a repair: the symbols come as ever
	q := testQuestion()
	symbols, err := client.SymbolParts(t.Context(), server.ID(), q)
	if err != nil || len(symbols) != 4 || !slices.Equal(symbols[0].Data, pattern(1000)) {
		t.Errorf("symbols of a signed answer: %d, %v", len(symbols), err)
	}

	refuse := func(err error) func(SymbolRequest, io.Writer) error {
		return func(SymbolRequest, io.Writer) error { return err }
	}
	for err, signed := range map[error]bool{
		&Lack{2, fmt.Errorf("%w: gone", ErrNotFound)}: true,
		&Lack{2, ErrNotOwner}:                         true,
		&Lack{2, ErrCorrupt}:                          true,
		&Lack{3, ErrNotFound}:                         false, // not a sliver of the question
		&Lack{2, ErrBusy}:                             false,
		&Lack{2, errors.New("secret")}:                false,
		ErrNotFound:                                   false,
		ErrCorrupt:                                    false,
		ErrBusy:                                       false,
		ErrUnavailable:                                false,
		ErrInvalid:                                    false,
	} {
		b.answer = refuse(err)
		r, got := ask(q)
		if signed && (got != nil || r.Verify() != nil || r.Lacks != 2 || r.Code == probe.Answered) {
			t.Errorf("%v: %+v, %v: want a receipt", err, r, got)
		}
		if code, _ := encodeError(err); !signed && (got == nil || code != codeInternal && !errors.Is(got, codes[code])) {
			t.Errorf("%v: error %v", err, got)
		}
		// to a repair a signed refusal is an error like others
		if _, got := client.SymbolParts(t.Context(), server.ID(), q); got == nil || signed && !errors.Is(got, errors.Unwrap(err)) && !errors.Is(got, ErrNotFound) {
			t.Errorf("%v, to a repair: %v", err, got)
		}
	}

	// an answer that is cut, by an error or in silence, is not signed
	for name, answer := range map[string]func(SymbolRequest, io.Writer) error{
		"an error amid the answer": func(r SymbolRequest, w io.Writer) error {
			return errors.Join(writeAll(w, r.Bytes()-1), &Lack{2, ErrCorrupt})
		},
		"an error after the answer": func(r SymbolRequest, w io.Writer) error {
			return errors.Join(writeAll(w, r.Bytes()), &Lack{2, ErrCorrupt})
		},
		"too few bytes":  func(r SymbolRequest, w io.Writer) error { return writeAll(w, r.Bytes()-1) },
		"too many bytes": func(r SymbolRequest, w io.Writer) error { return writeAll(w, r.Bytes()+333) },
	} {
		b.answer = answer
		if r, err := ask(q); !errors.Is(err, ErrUnavailable) {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}

	b.answer = right
	for name, change := range map[string]func(*probe.Question){
		"too old":   func(q *probe.Question) { q.Height = b.height - probe.Window - 1 },
		"of future": func(q *probe.Question) { q.Height = b.height + 1 },
	} {
		q := testQuestion()
		change(&q)
		if _, err := ask(q); !errors.Is(err, ErrUnsigned) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := client.SymbolParts(t.Context(), server.ID(), q); err != nil {
			t.Errorf("%s: a repair gets no symbols: %v", name, err)
		}
	}
	other := testQuestion()
	other.Network[0]++
	if _, err := ask(other); !errors.Is(err, ErrProtocol) {
		t.Errorf("a question in another network: %v", err)
	}
	b.height = 0
	if _, err := ask(q); !errors.Is(err, ErrUnsigned) {
		t.Errorf("a node that must not sign: %v", err)
	}
}

// TestProbeOfOldNode: a node that is no Notary answers questions with a nonce as all others.
func TestProbeOfOldNode(t *testing.T) {
	b := &signer{answer: func(r SymbolRequest, w io.Writer) error { return writeAll(w, r.Bytes()) }}
	client, server := serving(t, struct{ Backend }{b}, nil, nil)
	if _, err := client.Probe(t.Context(), server.ID(), testQuestion()); !errors.Is(err, ErrUnsigned) {
		t.Errorf("error %v", err)
	}
	if _, err := client.SymbolParts(t.Context(), server.ID(), testQuestion()); err != nil {
		t.Error(err)
	}
}

// TestForgedRefusal: what only looks like a signature makes no receipt.
func TestForgedRefusal(t *testing.T) {
	for name, refusal := range map[string]*wire.Response{
		"no signature":         {Code: 1, Signature: make([]byte, 64), Lacks: 2},
		"a code nobody signs":  {Code: 2, Signature: make([]byte, 64), Lacks: 2},
		"of another sliver":    {Code: 1, Signature: make([]byte, 64), Lacks: 4},
		"a code out of bounds": {Code: 256 + 1, Signature: make([]byte, 64), Lacks: 2},
	} {
		if err := refusal.Validate(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		r := probe.Receipt{Question: testQuestion(), Node: newHost(t, nil).ID(), Code: probe.Code(refusal.GetCode()), Lacks: int(refusal.GetLacks())}
		if err := verifyReceipt(&r); !errors.Is(err, ErrProtocol) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, bad := range map[string]*wire.Response{
		"short":         {Code: 1, Signature: make([]byte, 63)},
		"with symbols":  {Signature: make([]byte, 64)},
		"lacks too far": {Code: 1, Signature: make([]byte, 64), Lacks: wire.MaxShards},
	} {
		if bad.Validate() == nil {
			t.Errorf("%s: a valid response", name)
		}
	}
}

// BenchmarkSignedSymbols compares requests for symbols with and without a signature: one symbol of 4 KiB, and a
// megabyte.
func BenchmarkSignedSymbols(b *testing.B) {
	backend := &signer{height: 1000, answer: func(r SymbolRequest, w io.Writer) error {
		for range r.Cells() {
			if _, err := w.Write(mebibyte[:r.Length]); err != nil {
				return err
			}
		}
		return nil
	}}
	client, server := serving(b, backend, nil, nil)
	for _, size := range []int64{4 << 10, 1 << 18} {
		for _, signed := range []bool{false, true} {
			q := testQuestion()
			q.ProofLen, q.SymbolSize, q.Length = 0, size, size
			if size == 4<<10 {
				q.Slivers, q.Targets = []int{5}, []int{6}
			}
			if !signed {
				q.Nonce, q.Height = probe.Nonce{}, 0
			}
			b.Run(fmt.Sprintf("%d bytes, signed %t", q.Bytes(), signed), func(b *testing.B) {
				b.SetBytes(q.Bytes())
				for b.Loop() {
					if _, err := client.SymbolParts(b.Context(), server.ID(), q); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
