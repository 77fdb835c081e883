package probe

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"walrus/shards"
)

// stored is a blob as an honest node has it: every sliver matches its root.
type stored struct {
	meta  *shards.Metadata
	pairs []shards.Pair
}

func encode(t rapid.TB, n, size int) *stored {
	t.Helper()
	p, err := shards.NewParams(n)
	if err != nil {
		t.Fatal(err)
	}
	meta, pairs, err := shards.Encode(p, randomBytes(int64(size)))
	if err != nil {
		t.Fatal(err)
	}
	return &stored{meta, pairs}
}

func (s *stored) sliver(axis shards.Axis, index int) []byte {
	pair := &s.pairs[s.meta.Params().PairOfSliver(axis, index)]
	if axis == shards.Primary {
		return pair.Primary
	}
	return pair.Secondary
}

// payload is the right answer to a question.
func (s *stored) payload(t rapid.TB, q *Question) []byte {
	t.Helper()
	var out []byte
	for _, index := range q.Slivers {
		symbols, err := s.meta.ExtractSymbols(q.Axis, index, bytes.NewReader(s.sliver(q.Axis, index)), q.Targets)
		if err != nil {
			t.Fatal(err)
		}
		for _, sym := range symbols {
			out = append(out, sym.Data[q.Offset:q.Offset+q.Length]...)
			if q.ProofLen > 0 {
				out = appendHashes(out, sym.Proof)
			}
		}
	}
	return out
}

// question asks for cells of the blob.
func (s *stored) question(axis shards.Axis, slivers, targets []int, proofs bool) Question {
	z := s.meta.Layout(axis).SymbolSize
	q := Question{
		Network: [32]byte{1}, Shards: s.meta.Params().Shards(), Blob: s.meta.ID(), Axis: axis, Slivers: slivers, Targets: targets,
		SymbolSize: z, Length: z, Nonce: Nonce{9}, Height: 700,
	}
	if proofs {
		q.ProofLen = s.meta.Params().ProofSize()
	}
	return q
}

// evidence about a cell. right: an opening of it comes with the evidence.
func (s *stored) evidence(t rapid.TB, axis shards.Axis, sliver, target int, right bool, receipts ...Receipt) *Evidence {
	t.Helper()
	line, err := s.meta.OpenLine(axis, sliver)
	if err != nil {
		t.Fatal(err)
	}
	e := &Evidence{Receipts: receipts, Sliver: sliver, Target: target, Line: &line}
	if right {
		symbols, err := s.meta.ExtractSymbols(axis, sliver, bytes.NewReader(s.sliver(axis, sliver)), []int{target})
		if err != nil {
			t.Fatal(err)
		}
		o := symbols[0].Opening()
		e.Right = &o
	}
	return e
}

// drawQuestion draws any question that nodes answer about a blob.
func drawQuestion(t *rapid.T, s *stored) Question {
	n := s.meta.Params().Shards()
	list := func(name string, most int) []int {
		all := rapid.Permutation(slices.Collect(func(yield func(int) bool) {
			for i := range n {
				if !yield(i) {
					return
				}
			}
		})).Draw(t, name)
		return all[:rapid.IntRange(1, most).Draw(t, name+" count")]
	}
	q := s.question(shards.Axis(rapid.IntRange(0, 1).Draw(t, "axis")), list("slivers", 3), list("targets", 4), rapid.Bool().Draw(t, "proofs"))
	q.Nonce[0], q.Height = rapid.Byte().Draw(t, "nonce")|1, rapid.Uint64Range(1, 1<<40).Draw(t, "height")
	q.Network[0] = rapid.ByteRange(0, 1).Draw(t, "network")
	switch rapid.IntRange(0, 3).Draw(t, "part") {
	case 0:
		q = q.Proofs()
	case 1: // a part
		q.ProofLen = 0
		q.Offset = rapid.Int64Range(0, q.SymbolSize-1).Draw(t, "offset")
		q.Length = rapid.Int64Range(1, q.SymbolSize-q.Offset).Draw(t, "length")
	}
	return q
}

// TestHonestNode: whatever is asked of an honest node, in whatever networks, and however its receipts, the openings of
// blobs and other receipts are combined, there is no evidence that convicts it.
func TestHonestNode(t *testing.T) {
	blobs := []*stored{encode(t, 7, 300), encode(t, 7, 301), encode(t, 4, 300), encode(t, 10, 1000)}
	key, node := testNode(1)
	liarKey, liar := testNode(2)
	rapid.Check(t, func(t *rapid.T) {
		var honest []Receipt
		for range rapid.IntRange(1, 4).Draw(t, "receipts") {
			s := rapid.SampledFrom(blobs).Draw(t, "blob")
			q := drawQuestion(t, s)
			if rapid.IntRange(0, 4).Draw(t, "refused") == 0 { // another's sliver
				lacks := rapid.SampledFrom(q.Slivers).Draw(t, "lacks")
				honest = append(honest, Receipt{Question: q, Node: node, Code: NotOwner, Lacks: lacks, Signature: Refuse(key, &q, NotOwner, lacks)})
				continue
			}
			honest = append(honest, answered(t, key, node, q, s.payload(t, &q)))
		}
		// the attacker may also sign what it likes, as another node
		q := drawQuestion(t, blobs[0])
		wrong := answered(t, liarKey, liar, q, randomBytes(q.Bytes()))
		mutated := rapid.SampledFrom(honest).Draw(t, "mutated")
		mutated = mutate(t, mutated)
		pool := append(slices.Clone(honest), wrong, mutated)
		for range 20 {
			s := rapid.SampledFrom(blobs).Draw(t, "blob of the evidence")
			n := s.meta.Params().Shards()
			first := rapid.SampledFrom(pool).Draw(t, "first")
			e := s.evidence(t, shards.Axis(rapid.IntRange(0, 1).Draw(t, "axis")), rapid.IntRange(0, n-1).Draw(t, "sliver"),
				rapid.IntRange(0, n-1).Draw(t, "target"), rapid.Bool().Draw(t, "right"), first)
			if rapid.Bool().Draw(t, "meant") { // the cell that the receipt is about
				e = s.evidence(t, first.Question.Axis, first.Question.Slivers[0]%n, first.Question.Targets[0]%n, e.Right != nil, first)
			}
			if rapid.Bool().Draw(t, "pair") {
				e.Receipts = append(e.Receipts, rapid.SampledFrom(pool).Draw(t, "second"))
			}
			if rapid.IntRange(0, 3).Draw(t, "bare") == 0 {
				e.Line, e.Right, e.Sliver, e.Target = nil, nil, 0, 0
			}
			if v, err := Judge(e); err == nil && v.Node == node {
				t.Fatalf("an honest node is convicted: %+v", v)
			}
		}
	})
}

// mutate changes something that a receipt says.
func mutate(t *rapid.T, r Receipt) Receipt {
	b := r.Append(nil)
	b[rapid.IntRange(0, len(b)-1).Draw(t, "byte")] ^= byte(1 << rapid.IntRange(0, 7).Draw(t, "bit"))
	if m, err := UnmarshalReceipt(b); err == nil {
		return *m
	}
	return r
}

// TestChangedReceipt: no byte of a good receipt can be changed, cut or added.
func TestChangedReceipt(t *testing.T) {
	s := encode(t, 7, 300)
	key, node := testNode(1)
	q := s.question(shards.Secondary, []int{2, 5}, []int{0, 6}, true)
	refusal := Receipt{Question: q, Node: node, Code: Missing, Lacks: 5, Signature: Refuse(key, &q, Missing, 5)}
	for _, r := range []Receipt{answered(t, key, node, q, s.payload(t, &q)), refusal} {
		good := r.Append(nil)
		if back, err := UnmarshalReceipt(good); err != nil || back.Verify() != nil {
			t.Fatalf("the receipt itself: %v", err)
		}
		for i := range good {
			for _, flip := range []byte{1, 0x80, 0xff} {
				b := slices.Clone(good)
				b[i] ^= flip
				if m, err := UnmarshalReceipt(b); err == nil && m.Verify() == nil {
					t.Errorf("byte %d of %d changed by %x: it still verifies", i, len(good), flip)
				}
			}
			if _, err := UnmarshalReceipt(good[:i]); err == nil {
				t.Errorf("cut at %d of %d: it parses", i, len(good))
			}
		}
		if _, err := UnmarshalReceipt(append(good, 0)); err == nil {
			t.Error("with a byte more it parses")
		}
	}
}

// TestForgedAnswer: without the node's key there is no receipt of the node.
func TestForgedAnswer(t *testing.T) {
	s := encode(t, 7, 300)
	_, node := testNode(1)
	other, _ := testNode(2)
	q := s.question(shards.Primary, []int{2}, []int{3}, true)
	r := answered(t, other, node, q, s.payload(t, &q))
	if err := r.Verify(); !errors.Is(err, ErrSignature) {
		t.Errorf("signed by another: %v", err)
	}
	// an answer to another question, another nonce, another network or another height is none to this one
	key, _ := testNode(1)
	good := answered(t, key, node, q, s.payload(t, &q))
	for name, change := range map[string]func(*Question){
		"nonce":   func(q *Question) { q.Nonce[15]++ },
		"height":  func(q *Question) { q.Height++ },
		"network": func(q *Question) { q.Network[31]++ },
		"blob":    func(q *Question) { q.Blob[31]++ },
		"axis":    func(q *Question) { q.Axis = shards.Secondary },
		"sliver":  func(q *Question) { q.Slivers = []int{3} },
		"target":  func(q *Question) { q.Targets = []int{2} },
		"shards":  func(q *Question) { q.Shards = 8 },
		"size":    func(q *Question) { q.SymbolSize, q.Length = q.SymbolSize+2, q.Length+2 },
	} {
		r := good
		if change(&r.Question); !errors.Is(r.Verify(), ErrSignature) {
			t.Errorf("%s: %v", name, r.Verify())
		}
	}
}

// TestWrongAnswers: each way to answer wrongly convicts, or is no answer.
func TestWrongAnswers(t *testing.T) {
	s, other := encode(t, 7, 300), encode(t, 7, 301)
	key, node := testNode(1)
	whole := s.question(shards.Primary, []int{2}, []int{6}, true)
	first := s.question(shards.Primary, []int{2}, []int{6}, false)
	proofs := first.Proofs()
	right := s.payload(t, &whole)
	flip := func(b []byte, i int) []byte {
		b = slices.Clone(b)
		b[i] ^= 1
		return b
	}
	z := int(whole.SymbolSize)
	swapped := s.question(shards.Primary, []int{2}, []int{6, 1}, true)
	both := s.payload(t, &swapped)
	permuted := append(slices.Clone(both[len(both)/2:]), both[:len(both)/2]...)
	for name, receipts := range map[string][]Receipt{
		"wrong bytes":             {answered(t, key, node, whole, flip(right, 0))},
		"wrong proof":             {answered(t, key, node, whole, flip(right, z))},
		"another blob's cell":     {answered(t, key, node, whole, other.payload(t, &whole))},
		"zeros":                   {answered(t, key, node, whole, make([]byte, whole.Bytes()))},
		"targets permuted":        {answered(t, key, node, swapped, permuted)},
		"wrong bytes, then proof": {answered(t, key, node, first, flip(right[:z], 1)), answered(t, key, node, proofs, right[z:])},
		"bytes, then wrong proof": {answered(t, key, node, first, right[:z]), answered(t, key, node, proofs, flip(right[z:], 40))},
		"proof first":             {answered(t, key, node, proofs, right[z:]), answered(t, key, node, first, flip(right[:z], 1))},
	} {
		v, err := Judge(s.evidence(t, shards.Primary, 2, 6, false, receipts...))
		if err != nil || v.Kind != KindWrong || v.Node != node || v.Blob != s.meta.ID() || v.Sliver != 2 || v.Target != 6 || v.Axis != shards.Primary {
			t.Errorf("%s: %+v, %v", name, v, err)
		}
	}
	// silence about the proof does not help
	silent := answered(t, key, node, first, flip(right[:z], 0))
	if _, err := Judge(s.evidence(t, shards.Primary, 2, 6, false, silent)); !errors.Is(err, ErrNotConvicted) {
		t.Errorf("without a proof: %v", err)
	}
	if v, err := Judge(s.evidence(t, shards.Primary, 2, 6, true, silent)); err != nil || v.Kind != KindWrong {
		t.Errorf("with an opening that another computed: %+v, %v", v, err)
	}
	if v, err := Judge(s.evidence(t, shards.Primary, 2, 6, true, answered(t, key, node, proofs, flip(right[z:], 3)))); err != nil || v.Kind != KindWrong {
		t.Errorf("a wrong proof alone: %+v, %v", v, err)
	}
	// a lie of another node, or what is right of another blob or along the other axis, convicts nobody of what is right
	// here
	liarKey, liar := testNode(2)
	honest := answered(t, key, node, first, right[:z])
	elsewhere, across := other.question(shards.Primary, []int{2}, []int{6}, true), s.question(shards.Secondary, []int{2}, []int{6}, true)
	elsewhere, across = elsewhere.Proofs(), across.Proofs()
	for name, second := range map[string]Receipt{
		"another node's lie":   answered(t, liarKey, liar, proofs, flip(right[z:], 0)),
		"another blob's proof": answered(t, key, node, elsewhere, other.payload(t, &elsewhere)),
		"another axis' proof":  answered(t, key, node, across, s.payload(t, &across)),
	} {
		if v, err := Judge(s.evidence(t, shards.Primary, 2, 6, false, honest, second)); !errors.Is(err, ErrNotConvicted) {
			t.Errorf("with %s: %+v, %v", name, v, err)
		}
	}
	forged := s.evidence(t, shards.Primary, 2, 6, true, answered(t, key, node, first, right[:z]))
	forged.Right.Leaf[0] ^= 1
	if _, err := Judge(forged); !errors.Is(err, ErrNotConvicted) {
		t.Errorf("with a forged opening: %v", err)
	}
	// a cut answer is never complete, so it is never signed
	a := NewAnswer(&whole, false)
	if _, err := a.Write(right[:len(right)-1]); err != nil {
		t.Fatal(err)
	}
	if _, complete := a.Sum(); complete {
		t.Error("a cut answer counts as complete")
	}
}

// TestInvalidBlob: a node that keeps slivers of a blob whose rows and columns contradict each other answers by the tree
// of the sliver asked for, and is not convicted by the crossing one.
func TestInvalidBlob(t *testing.T) {
	s := encode(t, 7, 300)
	key, node := testNode(1)
	q := s.question(shards.Primary, []int{2}, []int{6}, false)
	r := answered(t, key, node, q, s.payload(t, &q))
	e := s.evidence(t, shards.Secondary, 6, 2, true, r)
	if _, err := Judge(e); !errors.Is(err, ErrNotConvicted) {
		t.Errorf("by the column: %v", err)
	}
	column := s.evidence(t, shards.Secondary, 6, 2, true, r)
	row := s.evidence(t, shards.Primary, 2, 6, false, r)
	row.Right = column.Right
	if _, err := Judge(row); !errors.Is(err, ErrNotConvicted) {
		t.Errorf("by the column's opening in the row: %v", err)
	}
}

func TestRefusals(t *testing.T) {
	s := encode(t, 7, 300)
	key, node := testNode(1)
	q := s.question(shards.Primary, []int{2, 4}, []int{6}, false)
	for code, convicts := range map[Code]bool{Missing: true, Corrupt: true, NotOwner: false, 2: false, 8: false} {
		r := Receipt{Question: q, Node: node, Code: code, Lacks: 4, Signature: Refuse(key, &q, code, 4)}
		v, err := Judge(&Evidence{Receipts: []Receipt{r}})
		if (err == nil) != convicts || convicts && (v.Kind != KindMissing || v.Sliver != 4 || v.Target != -1) {
			t.Errorf("%s: %+v, %v", code, v, err)
		}
		if _, err := Judge(s.evidence(t, shards.Primary, 4, 6, true, r)); err == nil {
			t.Errorf("%s with a cell: one refusal has two forms", code)
		}
		if _, err := Judge(&Evidence{Receipts: []Receipt{r, r}}); err == nil {
			t.Errorf("%s twice: one refusal has two forms", code)
		}
		r.Lacks = 2
		if err := r.Verify(); err == nil {
			t.Errorf("%s: it stands for another sliver, too", code)
		}
	}
}

// TestEvidenceForms: both forms of evidence round trip, and are strict.
func TestEvidenceForms(t *testing.T) {
	s := encode(t, 7, 300)
	key, node := testNode(1)
	first := s.question(shards.Secondary, []int{2}, []int{6}, false)
	proofs := first.Proofs()
	bad := randomBytes(first.Bytes())
	missing := Receipt{Question: first, Node: node, Code: Missing, Lacks: 2, Signature: Refuse(key, &first, Missing, 2)}
	for name, e := range map[string]*Evidence{
		"pair":    s.evidence(t, shards.Secondary, 2, 6, false, answered(t, key, node, first, bad), answered(t, key, node, proofs, s.payload(t, &proofs))),
		"right":   s.evidence(t, shards.Secondary, 2, 6, true, answered(t, key, node, first, bad)),
		"missing": {Receipts: []Receipt{missing}},
	} {
		want, err := Judge(e)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		b, err := e.Marshal()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		text, err := json.Marshal(e)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		t.Logf("%s: %d bytes, %d of JSON", name, len(b), len(text))
		back, err := UnmarshalEvidence(b)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var fromText Evidence
		if err := json.Unmarshal(text, &fromText); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, e := range []*Evidence{back, &fromText} {
			if got, err := Judge(e); err != nil || got != want {
				t.Errorf("%s: %+v, %v: want %+v", name, got, err, want)
			}
			if again, err := e.Marshal(); err != nil || !bytes.Equal(again, b) {
				t.Errorf("%s: it has another form after a round trip: %v", name, err)
			}
		}
		for i := range b {
			if _, err := UnmarshalEvidence(b[:i]); err == nil {
				t.Errorf("%s: cut at %d it parses", name, i)
			}
		}
		if err := json.Unmarshal(bytes.Replace(text, []byte(`{"version"`), []byte(`{"more":1,"version"`), 1), &fromText); err == nil {
			t.Errorf("%s: JSON with an unknown field parses", name)
		}
	}
}

func TestQuestionLimits(t *testing.T) {
	for name, change := range map[string]func(*Question){
		"no nonce":         func(q *Question) { q.Nonce = Nonce{} },
		"no slivers":       func(q *Question) { q.Slivers = nil },
		"sliver twice":     func(q *Question) { q.Slivers = []int{1, 1} },
		"target beyond":    func(q *Question) { q.Targets = []int{7} },
		"target below":     func(q *Question) { q.Targets = []int{-1} },
		"few shards":       func(q *Question) { q.Shards = 3 },
		"many slivers":     func(q *Question) { q.Shards, q.Slivers = 100, make([]int, MaxSlivers+1) },
		"proof of a part":  func(q *Question) { q.Length = 4 },
		"short proof":      func(q *Question) { q.ProofLen = 2 },
		"nothing":          func(q *Question) { q.Length, q.Offset, q.ProofLen = 0, q.SymbolSize, 0 },
		"proofs elsewhere": func(q *Question) { q.Length, q.Offset = 0, 0 },
		"beyond the end":   func(q *Question) { q.Offset, q.ProofLen = 4, 0 },
		"negative":         func(q *Question) { q.Offset, q.ProofLen = -4, 0 },
		"no size":          func(q *Question) { q.SymbolSize, q.Length = 0, 0 },
		"too many bytes":   func(q *Question) { q.SymbolSize, q.Length = MaxSymbols/4+2, MaxSymbols/4+2 },
		"axis":             func(q *Question) { q.Axis = 2 },
	} {
		q := testQuestion()
		if change(&q); !errors.Is(q.Validate(), ErrQuestion) {
			t.Errorf("%s: %v", name, q.Validate())
		}
	}
}

// TestDraw: the same seed gives the same question; every shard, axis and target comes up; no cell is all zeros; large
// cells are asked for whole as seldom as their size demands.
func TestDraw(t *testing.T) {
	p, err := shards.NewParams(7)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := Draw([32]byte{}, p, Blob{}, nil); ok {
		t.Error("a node without shards is asked")
	}
	seed := func(i int) (s [32]byte) {
		s[0], s[1] = byte(i), byte(i>>8)
		return s
	}
	seen := map[string]bool{}
	for i := range 1000 {
		b := Blob{ID: shards.BlobID{byte(i)}, Length: 3000}
		q, _ := Draw(seed(i), p, b, []int{2, 5})
		again, _ := Draw(seed(i), p, b, []int{2, 5})
		if fmt.Sprint(q) != fmt.Sprint(again) {
			t.Fatal("one seed gives two questions")
		}
		shard := p.ShardOfPair(b.ID, p.PairOfSliver(q.Axis, q.Slivers[0]))
		if shard != 2 && shard != 5 {
			t.Fatalf("a sliver of shard %d", shard)
		}
		q.Nonce = Nonce{1}
		if err := q.Validate(); err != nil {
			t.Fatal(err)
		}
		seen[fmt.Sprint("shard ", shard)], seen[fmt.Sprint("axis ", q.Axis)], seen[fmt.Sprint("target ", q.Targets[0])] = true, true, true
	}
	if len(seen) != 2+2+7 {
		t.Errorf("drawn: %v", seen)
	}
	for i := range 300 { // one byte: only row 0 and column 0, and what is computed from both, are not zero
		s := encode(t, 7, 1)
		q, _ := Draw(seed(i), p, Blob{ID: s.meta.ID(), Length: 1}, []int{0, 1, 2, 3, 4, 5, 6})
		q.Nonce = Nonce{1}
		if bytes.Equal(s.payload(t, &q), make([]byte, q.Length)) && s.meta.Pairs[0].Primary != (shards.Hash{}) && !zeroBlob(s) {
			t.Fatalf("seed %d: %s sliver %d, symbol %d is all zeros", i, q.Axis, q.Slivers[0], q.Targets[0])
		}
	}
	for _, n := range []int{7, 100, 1000} {
		p, err := shards.NewParams(n)
		if err != nil {
			t.Fatal(err)
		}
		const z, count = 1 << 20, 20000
		w, whole, sum := int64(p.StripWidth()), 0, int64(0)
		for i := range count {
			q, _ := Draw(seed(i), p, Blob{Length: z * uint64(p.Rows()*p.Columns())}, []int{0, 1})
			if sum += q.Length; q.Whole() {
				whole++
			} else if q.Offset%w != 0 || q.Length%w != 0 && q.Offset+q.Length != q.SymbolSize {
				t.Fatalf("part [%d, %d) is not of whole strips of %d", q.Offset, q.Offset+q.Length, w)
			}
		}
		if want := count * wholeCell / z; whole < want/2 || whole > 2*want {
			t.Errorf("n = %d: %d of %d whole cells: want about %d", n, whole, count, want)
		}
		if most := count * (2*wholeCell + max(partCell, w)); sum > most {
			t.Errorf("n = %d: %d bytes for %d questions: want at most %d", n, sum, count, most)
		}
	}
}

// zeroBlob reports whether the blob's only byte is 0.
func zeroBlob(s *stored) bool { return s.sliver(shards.Primary, 0)[0] == 0 }

// TestOneForm: two questions have the same form only if they are the same.
func TestOneForm(t *testing.T) {
	s := encode(t, 10, 1000)
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawQuestion(t, s), drawQuestion(t, s)
		if same := fmt.Sprint(a) == fmt.Sprint(b); same != bytes.Equal(a.appendForm(nil), b.appendForm(nil)) {
			t.Fatalf("%+v and %+v: same %t", a, b, same)
		}
		p := parser{left: a.appendForm(nil)}
		if back := p.question(); p.end() != nil || fmt.Sprint(back) != fmt.Sprint(a) {
			t.Fatalf("%+v came back as %+v: %v", a, back, p.err)
		}
	})
}

func FuzzReceipt(f *testing.F) {
	key, node := testNode(1)
	q := testQuestion()
	r := answered(f, key, node, q, randomBytes(q.Bytes()))
	f.Add(r.Append(nil))
	refusal := Receipt{Question: q, Node: node, Code: Missing, Lacks: 3, Signature: Refuse(key, &q, Missing, 3)}
	f.Add(refusal.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := UnmarshalReceipt(b)
		if err != nil {
			if !errors.Is(err, ErrReceipt) && !errors.Is(err, ErrQuestion) {
				t.Errorf("an error that callers do not know: %v", err)
			}
			return
		}
		if !bytes.Equal(r.Append(nil), b) {
			t.Error("a receipt with two forms")
		}
		_ = r.Verify()
	})
}

func FuzzEvidence(f *testing.F) {
	s := encode(f, 7, 300)
	key, node := testNode(1)
	q := s.question(shards.Primary, []int{2}, []int{6}, false)
	for _, right := range []bool{false, true} {
		b, err := s.evidence(f, shards.Primary, 2, 6, right, answered(f, key, node, q, randomBytes(q.Bytes()))).Marshal()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := UnmarshalEvidence(b)
		if err != nil {
			if !errors.Is(err, ErrReceipt) && !errors.Is(err, ErrQuestion) && !errors.Is(err, ErrTooLarge) {
				t.Errorf("an error that callers do not know: %v", err)
			}
			return
		}
		if again, err := e.Marshal(); err != nil || !bytes.Equal(again, b) {
			t.Errorf("evidence with two forms: %v", err)
		}
		_, _ = Judge(e)
	})
}

func FuzzEvidenceJSON(f *testing.F) {
	s := encode(f, 7, 300)
	key, node := testNode(1)
	q := s.question(shards.Primary, []int{2}, []int{6}, false)
	text, err := json.Marshal(s.evidence(f, shards.Primary, 2, 6, true, answered(f, key, node, q, randomBytes(q.Bytes()))))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Fuzz(func(t *testing.T, b []byte) {
		var e Evidence
		if err := e.UnmarshalJSON(b); err != nil {
			return
		}
		if _, err := e.Marshal(); err != nil {
			t.Errorf("evidence without a binary form: %v", err)
		}
		_, _ = Judge(&e)
	})
}

// BenchmarkAnswer measures what a signature costs the node: one symbol of 4 KiB, and the megabyte of a repair.
func BenchmarkAnswer(b *testing.B) {
	key, _ := testNode(1)
	for _, targets := range []int{1, 256} {
		q := testQuestion()
		q.Shards, q.Slivers, q.Targets, q.SymbolSize, q.Length, q.ProofLen = 1000, []int{0}, rand.Perm(1000)[:targets], 4096, 4096, 0
		payload := randomBytes(q.Bytes())
		b.Run(fmt.Sprintf("%d symbols", targets), func(b *testing.B) {
			b.SetBytes(q.Bytes())
			for b.Loop() {
				a := NewAnswer(&q, false)
				_, _ = io.Copy(a, bytes.NewReader(payload))
				sum, _ := a.Sum()
				Sign(key, &q, sum)
			}
		})
	}
}
