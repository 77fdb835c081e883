package keeper

import (
	"errors"
	"testing"
	"time"

	"walrus/ledger"
	"walrus/p2p"
	"walrus/probe"
	"walrus/shards"
	"walrus/store"
)

// question asks for one symbol of the outpost's sliver along axis, with its proof or without.
func (o *outpost) question(axis shards.Axis, proofs bool) probe.Question {
	z := o.meta.Layout(axis).SymbolSize
	q := probe.Question{
		Network: o.notary.network, Shards: o.meta.Params().Shards(), Blob: o.meta.ID(), Axis: axis,
		Slivers: []int{o.sliver(axis)}, Targets: []int{o.meta.Params().Shards() - 1}, SymbolSize: z, Length: z,
		Nonce: probe.Nonce{1}, Height: o.ledger.height,
	}
	if proofs {
		q.ProofLen = o.meta.Params().ProofSize()
	}
	return q
}

func (o *outpost) probe(h *p2p.Host, q probe.Question) (probe.Receipt, error) {
	return h.Probe(o.t.Context(), o.host.ID(), q)
}

// replace writes a sliver of the outpost anew.
func (o *outpost) replace(axis shards.Axis, change func(sliver []byte)) {
	o.t.Helper()
	ref := store.Ref{Blob: o.meta.ID(), Axis: axis}
	r, err := o.shelf.OpenSliver(ref)
	must(o.t, err)
	b := make([]byte, r.Size())
	_, err = r.ReadAt(b, 0)
	must(o.t, err)
	change(b)
	must(o.t, o.shelf.DeleteSliver(ref))
	w, err := o.shelf.Create(ref, int64(len(b)))
	must(o.t, err)
	_, err = w.Write(b)
	must(o.t, err)
	must(o.t, w.Commit())
}

// certify makes the outpost owe its blob, and forget that it is young.
func (o *outpost) certify() {
	o.t.Helper()
	raw := o.certificate(o.meta.ID())
	cert, facts := o.book.examine(raw)
	must(o.t, facts.err)
	must(o.t, o.book.record(cert, raw, 0))
	o.notary.young = young{}
}

func mustNotConvict(t *testing.T, e *probe.Evidence) {
	t.Helper()
	if v, err := probe.Judge(e); !errors.Is(err, probe.ErrNotConvicted) {
		t.Errorf("an honest node is convicted: %+v, %v", v, err)
	}
}

// TestSignedAnswers: right answers are signed, and convict nobody; what must not be signed is not.
func TestSignedAnswers(t *testing.T) {
	o := newOutpost(t, 7, []byte("a blob whose symbols a monitor asks for"))
	o.ledger.height = 5000
	h := o.stranger()
	for _, axis := range axes {
		q := o.question(axis, false)
		line, err := o.meta.OpenLine(axis, q.Slivers[0])
		must(t, err)
		e := probe.Evidence{Sliver: q.Slivers[0], Target: q.Targets[0], Line: &line}
		for _, q := range []probe.Question{q, q.Proofs()} {
			r, err := o.probe(h, q)
			must(t, err)
			e.Receipts = append(e.Receipts, r)
		}
		mustNotConvict(t, &e)
		r, err := o.probe(h, o.question(axis, true))
		must(t, err)
		e.Receipts = []probe.Receipt{r}
		mustNotConvict(t, &e)
	}
	for height, signed := range map[uint64]bool{
		5000: true, 5000 - probe.Window: true, 5000 - probe.Window - 1: false, 5001: false, 0: false, 1 << 63: false,
	} {
		q := o.question(shards.Primary, false)
		q.Height = height
		if _, err := o.probe(h, q); (err == nil) != signed || err != nil && !errors.Is(err, p2p.ErrUnsigned) {
			t.Errorf("height %d: %v", height, err)
		}
	}
	foreign := o.question(shards.Primary, false)
	foreign.Network[0] ^= 1
	if _, err := o.probe(h, foreign); !errors.Is(err, p2p.ErrProtocol) {
		t.Errorf("a question that means another network: %v", err)
	}
	large := o.question(shards.Primary, false)
	large.SymbolSize, large.Length = large.SymbolSize+2, large.Length+2
	if _, err := o.probe(h, large); !errors.Is(err, p2p.ErrBadRequest) {
		t.Errorf("a question with a wrong size: %v", err)
	}
	others := o.question(shards.Primary, false)
	others.Slivers = append(others.Slivers, (others.Slivers[0]+1)%7)
	r, err := o.probe(h, others)
	must(t, err)
	if r.Code != probe.NotOwner || r.Lacks != others.Slivers[1] {
		t.Errorf("another's sliver: code %s of sliver %d", r.Code, r.Lacks)
	}
	mustNotConvict(t, &probe.Evidence{Receipts: []probe.Receipt{r}})
}

// TestSignedMissing: a node signs that it lacks a sliver only while it owes it, and then repairs it.
func TestSignedMissing(t *testing.T) {
	o := newOutpost(t, 7, []byte("a blob of which a sliver goes missing"))
	o.ledger.height = 5000
	h, q, id := o.stranger(), o.question(shards.Primary, false), o.meta.ID()
	must(t, o.shelf.DeleteSliver(store.Ref{Blob: id, Axis: shards.Primary}))
	unsigned := func(when string) {
		t.Helper()
		if _, err := o.probe(h, q); !errors.Is(err, p2p.ErrUnsigned) || !errors.Is(err, p2p.ErrNotFound) {
			t.Errorf("%s: %v", when, err)
		}
	}
	info := func(i ledger.BlobInfo) {
		o.ledger.mu.Lock()
		defer o.ledger.mu.Unlock()
		o.ledger.values[string(ledger.KeyBlobInfo(id))] = i.Marshal()
	}
	unsigned("registered only")
	certified := ledger.BlobInfo{PermanentEnd: 9, PermanentCertifiedEnd: 9, InitialCertified: 1}
	info(certified)
	unsigned("certified on the ledger, no certificate here")
	raw := o.certificate(id)
	cert, facts := o.book.examine(raw)
	must(t, facts.err)
	must(t, o.book.record(cert, raw, 0))
	unsigned("the certificate is new")
	o.notary.young = young{}
	r, err := o.probe(h, q)
	must(t, err)
	v, err := probe.Judge(&probe.Evidence{Receipts: []probe.Receipt{r}})
	must(t, err)
	if v.Kind != probe.KindMissing || v.Node != o.host.ID() || v.Blob != id || v.Sliver != q.Slivers[0] || v.Axis != q.Axis {
		t.Errorf("verdict %+v", v)
	}
	info(ledger.BlobInfo{PermanentEnd: 9, InitialCertified: 1})
	unsigned("only the registration is alive")
	certified.PermanentEnd, certified.PermanentCertifiedEnd = 1, 1
	info(certified)
	unsigned("ended")
	certified.PermanentEnd, certified.PermanentCertifiedEnd, certified.Invalid = 9, 9, true
	info(certified)
	if _, err := o.probe(h, q); !errors.Is(err, p2p.ErrInvalid) {
		t.Errorf("invalid: %v", err)
	}
}

// TestSilentLoss: a question about a sliver that went without a trace makes its repair begin.
func TestSilentLoss(t *testing.T) {
	o := newOutpost(t, 7, []byte("a blob of which a sliver vanishes"))
	o.ledger.height = 5000
	id := o.meta.ID()
	o.ledger.values[string(ledger.KeyBlobInfo(id))] = ledger.BlobInfo{PermanentEnd: 9, PermanentCertifiedEnd: 9,
		InitialCertified: 1}.Marshal()
	o.certify()
	must(t, o.shelf.DeleteSliver(store.Ref{Blob: id, Axis: shards.Primary}))
	if o.Owed() != 0 {
		t.Fatal("the loss is known")
	}
	var told []Loss
	o.library.witness.tell = func(l Loss) { told = append(told, l) }
	if _, err := o.probe(o.stranger(), o.question(shards.Primary, false)); err != nil {
		t.Error(err)
	}
	if o.Owed() != 1 {
		t.Errorf("%d slivers are owed: want 1", o.Owed())
	}
	for range 2 { // the second question finds what is known
		_, _ = o.probe(o.stranger(), o.question(shards.Primary, false))
	}
	gone := Sliver{id, shards.Primary, o.sliver(shards.Primary)}
	if len(told) != 1 || told[0] != (Loss{gone, false}) {
		t.Errorf("told %+v", told)
	}
	if found, err := o.Examine(t.Context(), gone); err != nil || found != Gone {
		t.Errorf("examined: %q, %v", found, err)
	}
}

// TestConvictedByRot: a node that serves wrong bytes under right checksums is convicted by what it signed. Shown the
// evidence, it finds the damage.
func TestConvictedByRot(t *testing.T) {
	o := newOutpost(t, 7, []byte("a blob with a sliver that was written wrongly"))
	o.ledger.height = 5000
	h, q, id := o.stranger(), o.question(shards.Secondary, false), o.meta.ID()
	o.ledger.values[string(ledger.KeyBlobInfo(id))] = ledger.BlobInfo{PermanentEnd: 9, PermanentCertifiedEnd: 9,
		InitialCertified: 1}.Marshal()
	o.certify()
	q.Targets = []int{0}
	good, err := o.probe(h, q.Proofs())
	must(t, err)
	o.expander.lines = newLines()
	o.replace(shards.Secondary, func(b []byte) { b[0] ^= 1 })
	bad, err := o.probe(h, q)
	must(t, err)
	line, err := o.meta.OpenLine(q.Axis, q.Slivers[0])
	must(t, err)
	e := probe.Evidence{Receipts: []probe.Receipt{bad, good}, Sliver: q.Slivers[0], Target: 0, Line: &line}
	v, err := probe.Judge(&e)
	must(t, err)
	if v.Kind != probe.KindWrong || v.Node != o.host.ID() || v.Sliver != q.Slivers[0] || v.Target != 0 {
		t.Errorf("verdict %+v", v)
	}
	if found, err := o.Examine(t.Context(), Sliver{v.Blob, v.Axis, v.Sliver}); err != nil || found != Damaged {
		t.Errorf("the node looks at its sliver: %q, %v", found, err)
	}
	if o.Settled(Sliver{v.Blob, v.Axis, v.Sliver}) {
		t.Error("the sliver counts as stored again")
	}
	if o.Owed() != 1 {
		t.Errorf("%d slivers are owed: want 1", o.Owed())
	}
	r, err := o.probe(h, q)
	must(t, err)
	if r.Code != probe.Missing {
		t.Errorf("until it is repaired: %s", r.Code)
	}
	whole := Sliver{v.Blob, shards.Primary, o.sliver(shards.Primary)}
	if found, err := o.Examine(t.Context(), whole); err != nil || found != Sound || !o.Settled(whole) {
		t.Errorf("a sliver that is whole: %q, %v", found, err)
	}
	o.ledger.values[string(ledger.KeyBlobInfo(id))] = ledger.BlobInfo{PermanentEnd: 1, PermanentCertifiedEnd: 1, InitialCertified: 1}.Marshal()
	must(t, o.shelf.DropBlob(id, []int{0}))
	if found, err := o.Examine(t.Context(), whole); err != nil || found != NotOwed || !o.Settled(whole) {
		t.Errorf("a blob that has ended: %q, %v", found, err)
	}
}

// TestYoung: a blob is young for a grace, and forgotten later.
func TestYoung(t *testing.T) {
	y := young{grace: time.Hour}
	y.add(blob(1))
	if !y.has(blob(1)) || y.has(blob(2)) {
		t.Error("a new blob is not young, or an unknown one is")
	}
	y.newer[blob(1)] = time.Now().Add(-2 * time.Hour)
	if y.has(blob(1)) {
		t.Error("an old blob is young")
	}
	for range 2 {
		y.begun = time.Now().Add(-2 * time.Hour)
		y.add(blob(3))
	}
	if len(y.newer)+len(y.older) > 2 {
		t.Errorf("%d blobs are remembered", len(y.newer)+len(y.older))
	}
	for epoch, want := range map[time.Duration]time.Duration{
		time.Minute: time.Minute, 5 * time.Hour: 125 * time.Second, 14 * 24 * time.Hour: 10 * time.Minute,
	} {
		if got := owedGrace(epoch); got != want {
			t.Errorf("epochs of %s: grace %s, want %s", epoch, got, want)
		}
	}
}

// TestSignedOnlyIfOwed goes through all states of a sliver: that it is missing is signed in one of them, that it is
// damaged in another.
func TestSignedOnlyIfOwed(t *testing.T) {
	o := newOutpost(t, 7, []byte("a blob in many states"))
	id := o.meta.ID()
	ref, mine := store.Ref{Blob: id, Axis: shards.Primary}, o.sliver(shards.Primary)
	cert, facts := o.book.examine(o.certificate(id))
	must(t, facts.err)
	raw := cert.Marshal()
	here, err := o.shelf.OpenSliver(ref)
	must(t, err)
	sliver := make([]byte, here.Size())
	_, err = here.ReadAt(sliver, 0)
	must(t, err)
	before := o.notary.shelf.seats.committees.(committees)
	moved := committees{0: seated(t, 0, o.keys, []int{1}, []int{0, 2, 3, 4, 5, 6}), 1: before[1], 2: before[2]}
	signed := map[error]int{}
	for state := range 1 << 6 {
		is := func(bit int) bool { return state>>bit&1 == 1 }
		onLedger, certificate, young, invalid, deleted, ours := is(0), is(1), is(2), is(3), is(4), is(5)
		info := ledger.BlobInfo{PermanentEnd: 9, Invalid: invalid}
		if onLedger {
			info.InitialCertified, info.PermanentCertifiedEnd = 1, 9
		}
		o.ledger.set(map[string][]byte{string(ledger.KeyBlobInfo(id)): info.Marshal()})
		must(t, o.shelf.DropBlob(id, []int{0}))
		must(t, o.shelf.PutBlob(id, o.meta.Marshal(), 9))
		if certificate {
			must(t, o.shelf.PutCertificate(id, 1, raw))
		}
		if !deleted {
			w, err := o.shelf.Create(ref, int64(len(sliver)))
			must(t, err)
			_, err = w.Write(sliver)
			must(t, err)
			must(t, w.Commit())
		}
		o.notary.young.newer, o.notary.young.older = nil, nil
		if young {
			o.notary.young.add(id)
		}
		o.notary.shelf.seats.committees = moved
		if ours {
			o.notary.shelf.seats.committees = before
		}
		owed := onLedger && certificate && !young && !invalid && ours
		for _, reason := range []error{p2p.ErrNotFound, p2p.ErrCorrupt, p2p.ErrBusy, p2p.ErrUnavailable, p2p.ErrInvalid} {
			want := owed && (reason == p2p.ErrNotFound && deleted || reason == p2p.ErrCorrupt)
			var lack *p2p.Lack
			err := o.notary.lack(ref, mine, reason)
			if got := errors.As(err, &lack); got != want || !errors.Is(err, reason) {
				t.Errorf("on the ledger %t, certificate %t, young %t, invalid %t, deleted %t, ours before %t: %v signed %t",
					onLedger, certificate, young, invalid, deleted, ours, reason, got)
			}
			if want {
				signed[reason]++
			}
		}
	}
	if signed[p2p.ErrNotFound] != 1 || signed[p2p.ErrCorrupt] != 2 {
		t.Errorf("signed in %v states", signed)
	}
}
