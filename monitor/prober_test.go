package monitor

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/certs"
	"walrus/ledger"
	"walrus/monitor/round"
	"walrus/p2p"
	"walrus/probe"
	"walrus/shards"
)

// conduct of a node of a fleet.
type conduct int

const (
	honest  conduct = iota
	lacking         // signs that it owes a sliver and does not have it
	lying           // signs other symbols
	mute            // is connected and says nothing
	away            // cannot be connected
)

// fleet is a Swarm of nodes that hold one blob and answer as their conduct says.
type fleet struct {
	c       *crowd
	params  shards.Params
	meta    *shards.Metadata
	symbols map[shards.Axis][][]shards.Symbol // by sliver and target
	conduct []conduct                         // by member
	swarm   Swarm                             // for play; nil: the fleet itself

	mu  sync.Mutex
	put map[peer.ID][]*probe.Evidence // guarded by mu: what nodes were given
}

// newFleet stores a blob with the nodes of a crowd.
func newFleet(t *testing.T, c *crowd, how ...conduct) *fleet {
	t.Helper()
	params, err := shards.NewParams(c.genesis.Shards)
	if err != nil {
		t.Fatal(err)
	}
	blob := make([]byte, 5000)
	_, _ = rand.NewChaCha8([32]byte{4}).Read(blob)
	meta, pairs, err := shards.Encode(params, blob)
	if err != nil {
		t.Fatal(err)
	}
	f := &fleet{c: c, params: params, meta: meta, conduct: how, put: map[peer.ID][]*probe.Evidence{}}
	f.symbols = map[shards.Axis][][]shards.Symbol{}
	all := make([]int, params.Shards())
	for i := range all {
		all[i] = i
	}
	for _, axis := range []shards.Axis{shards.Primary, shards.Secondary} {
		f.symbols[axis] = make([][]shards.Symbol, params.Shards())
		for i := range pairs {
			index := params.SliverOfPair(axis, i)
			sliver := pairs[i].Primary
			if axis == shards.Secondary {
				sliver = pairs[i].Secondary
			}
			if f.symbols[axis][index], err = meta.ExtractSymbols(axis, index, bytes.NewReader(sliver), all); err != nil {
				t.Fatal(err)
			}
		}
	}
	c.chain.infos[meta.ID()] = ledger.BlobInfo{InitialCertified: 1, PermanentEnd: 9, PermanentCertifiedEnd: 9}
	return f
}

func (f *fleet) member(id peer.ID) int {
	return slices.IndexFunc(f.c.genesis.Members, func(m ledger.GenesisMember) bool { return m.Node == id })
}

func (f *fleet) Connect(_ context.Context, id peer.ID) error {
	if f.conduct[f.member(id)] == away {
		return fmt.Errorf("%w: no route", p2p.ErrUnavailable)
	}
	return nil
}

func (f *fleet) Metadata(context.Context, peer.ID, shards.BlobID, int) ([]byte, error) {
	return f.meta.Marshal(), nil
}

func (f *fleet) Certificates(context.Context, peer.ID, shards.BlobID, int) ([][]byte, bool, error) {
	cert := certs.Certificate{Epoch: 1, Blob: f.meta.ID(), Signers: []uint16{0}}
	return [][]byte{cert.Marshal()}, false, nil
}

func (f *fleet) PutFault(_ context.Context, to peer.ID, raw []byte) error {
	e, err := probe.UnmarshalEvidence(raw)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.put[to] = append(f.put[to], e)
	return nil
}

func (f *fleet) SymbolParts(ctx context.Context, to peer.ID, q p2p.SymbolQuery) (list []shards.Symbol, err error) {
	how := f.conduct[f.member(to)]
	if how == lacking || how == mute {
		return nil, p2p.ErrNotFound
	}
	for _, s := range q.Slivers {
		for _, t := range q.Targets {
			symbol := f.symbols[q.Axis][s][t]
			if how == lying {
				symbol.Data = append([]byte{^symbol.Data[0]}, symbol.Data[1:]...)
			}
			list = append(list, symbol)
		}
	}
	return list, nil
}

func (f *fleet) Probe(ctx context.Context, to peer.ID, q probe.Question) (r probe.Receipt, err error) {
	if err := q.Validate(); err != nil {
		return r, err
	}
	i := f.member(to)
	key := f.c.keys[i]
	r = probe.Receipt{Question: q, Node: to}
	switch f.conduct[i] {
	case mute:
		<-ctx.Done()
		return r, ctx.Err()
	case lacking:
		r.Code, r.Lacks = probe.Missing, q.Slivers[0]
		r.Signature = probe.Refuse(key, &q, r.Code, r.Lacks)
		return r, nil
	}
	symbol := f.symbols[q.Axis][q.Slivers[0]][q.Targets[0]]
	answer := probe.NewAnswer(&q, true)
	data := slices.Clone(symbol.Data)
	if f.conduct[i] == lying {
		data[0] ^= 1
	}
	if q.Length > 0 {
		_, _ = answer.Write(data[q.Offset:][:q.Length])
	}
	for _, h := range symbol.Proof {
		if q.ProofLen > 0 {
			_, _ = answer.Write(h[:])
		}
	}
	sum, ok := answer.Sum()
	if !ok {
		return r, fmt.Errorf("the answer is incomplete")
	}
	r.Cells, r.Signature = answer.Cells(), probe.Sign(key, &q, sum)
	return r, r.Verify()
}

// play runs a Watch and a Prober of member 0 for some rounds in virtual time, and returns what was published.
func (f *fleet) play(t *testing.T, w *Watch, rounds int) (p *Prober, published []*round.Attestation) {
	t.Helper()
	var mu sync.Mutex
	w.publish = func(ctx context.Context, raw []byte) error {
		if v, _ := w.validate(ctx, "", raw); v != p2p.Accept {
			return fmt.Errorf("verdict %d", v)
		}
		a, err := round.ParseAttestation(raw)
		mu.Lock()
		defer mu.Unlock()
		published = append(published, a)
		return err
	}
	swarm := f.swarm
	if swarm == nil {
		swarm = f
	}
	p, err := NewProber(w, ProberConfig{Key: f.c.keys[0], Swarm: swarm, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rounds)*w.length)
	defer cancel()
	if err := p.Run(ctx); err != nil {
		t.Fatal(err)
	}
	return p, published
}

// TestProber: each conduct has its outcome. Who lacks or lies is convicted by evidence that is kept, given to the node,
// listed among the receipts of the round, and judged by a stranger; nobody else is. No round is signed twice.
func TestProber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, 7, 24*time.Hour)
		f := newFleet(t, c, honest, lacking, lying, mute, away, honest, honest)
		w := c.open(t, 0, "", nil)
		p, published := f.play(t, w, 12)
		if len(published) < 3 {
			t.Fatalf("%d attestations in 12 rounds: %+v", len(published), p.Status())
		}
		want := []round.Outcome{round.NotAsked, round.Missing, round.Wrong, round.Timeout, round.Unreachable, round.OK, round.OK}
		last := published[len(published)-1]
		for i, r := range last.Results {
			if r.Outcome != want[i] {
				t.Errorf("node %d: %s, want %s", i, r.Outcome, want[i])
			}
		}
		if s := p.Status(); last.Void || s.Rounds != uint64(len(published)) || s.Convicted == 0 || s.Told == 0 || s.Outcomes.OK != 2 {
			t.Errorf("status %+v of %d attestations, the last void: %v", s, len(published), last.Void)
		}
		for i, m := range c.genesis.Members {
			list, err := w.Evidence(m.Node, 10)
			if err != nil || (len(list) > 0) != (i == 1 || i == 2) || (len(f.put[m.Node]) > 0) != (i == 1 || i == 2) {
				t.Errorf("node %d: evidence %+v, %d were put, %v", i, list, len(f.put[m.Node]), err)
			}
			for _, info := range list {
				e, err := w.EvidenceFile(info.ID)
				if err != nil {
					t.Fatal(err)
				}
				v, err := probe.Judge(e)
				if err != nil || v.Node != m.Node || v.Blob != f.meta.ID() || string(v.Kind) != info.Verdict || info.Verdict != want[i].String() {
					t.Errorf("node %d: %+v of %+v, %v", i, v, info, err)
				}
			}
			raw, err := w.Backend().Receipts(t.Context(), "", last.Round, m.Node)
			if asked := want[i].Answered(); (err == nil) != asked {
				t.Errorf("receipts of node %d: %v", i, err)
				continue
			} else if !asked {
				continue
			}
			shown, err := ParseReceipts(raw)
			if err != nil || len(shown.List) == 0 || (len(shown.Evidence) > 0) != want[i].Convicts() {
				t.Fatalf("node %d: %+v, %v", i, shown, err)
			}
			if err := shown.Verify(m.Node, last.Receipts); err != nil {
				t.Errorf("node %d: %v", i, err)
			}
			if err := shown.Verify(m.Node, published[0].Receipts); last.Round > published[0].Round && !errors.Is(err, ErrUnproven) {
				t.Errorf("node %d: receipts are proven for another round: %v", i, err)
			}
			if err := shown.Verify(c.genesis.Members[(i+1)%7].Node, last.Receipts); !errors.Is(err, ErrUnproven) {
				t.Errorf("node %d: receipts are proven for another node: %v", i, err)
			}
			shown.raw[2]++ // a number
			if err := shown.Verify(m.Node, last.Receipts); !errors.Is(err, ErrUnproven) {
				t.Errorf("node %d: other receipts are proven: %v", i, err)
			}
		}
		risk := w.Risk()
		if risk.Sampled != 1 || risk.Nearest[0].Rows != 3 || risk.Nearest[0].Margin != 3-f.params.Rows() {
			t.Errorf("three nodes of seven answer rightly: %+v", risk)
		}
		if _, again := f.play(t, w, 3); len(again) == 0 || again[0].Round <= last.Round {
			t.Errorf("after a restart of the prober: %d attestations", len(again))
		}
		signed := published[0].Round
		v := w.current()
		twice := &probing{Prober: p, v: v, number: signed, results: make([]round.Result, len(v.nodes))}
		tried := 0
		w.publish = func(context.Context, []byte) error { tried++; return nil }
		if err := twice.attest(t.Context()); err == nil || tried > 0 {
			t.Errorf("a round was signed twice: %v, published %d times", err, tried)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestVoid: a monitor that reaches fewer than half of the nodes says that its round is void. One that knows no blob is
// idle and attests nothing.
func TestVoid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, 7, 24*time.Hour)
		f := newFleet(t, c, honest, away, away, mute, away, honest, honest)
		w := c.open(t, 0, "", nil)
		_, published := f.play(t, w, 12)
		if len(published) == 0 || !published[0].Void {
			t.Errorf("two of six were reached: %+v", published)
		}
		f.c.chain.infos = nil // the blob has ended
		p, published := f.play(t, w, 12)
		if len(published) > 0 || !p.Status().Idle || p.Status().Blobs != 0 {
			t.Errorf("nothing is stored: %d attestations, %+v", len(published), p.Status())
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestPutFault: evidence against this node is taken once and told; evidence against others, and what convicts nobody,
// is refused.
func TestPutFault(t *testing.T) {
	c := newCrowd(t, 4, 24*time.Hour)
	f := newFleet(t, c, lacking, lacking, honest, honest)
	var told []Event
	w := c.open(t, 0, "", func(e Event) { told = append(told, e) })
	defer func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	}()
	from := c.genesis.Members[2].Node
	evidence := func(i int) []byte {
		q, ok := probe.Draw([32]byte{1}, f.params, probe.Blob{ID: f.meta.ID(), Length: f.meta.Length}, []int{i})
		if !ok {
			t.Fatal("no cell")
		}
		q.Network, q.Nonce, q.Height = w.network, probe.Nonce{1}, 100
		r, err := f.Probe(t.Context(), c.genesis.Members[i].Node, q)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := (&probe.Evidence{Receipts: []probe.Receipt{r}}).Marshal()
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	mine := evidence(0)
	for range 3 {
		if err := w.Backend().PutFault(t.Context(), from, mine); err != nil {
			t.Fatal(err)
		}
	}
	if len(told) != 1 || told[0].Evidence == nil || told[0].Evidence.Blob != f.meta.ID() || told[0].Monitor != from ||
		told[0].Outcome != round.Missing || told[0].Weight <= 0 {
		t.Errorf("told %+v", told)
	}
	broken := slices.Clone(mine)
	broken[len(broken)-1] ^= 1
	for name, raw := range map[string][]byte{"others": evidence(1), "nobody": broken, "nothing": nil, "noise": {1, 1, 2}} {
		if err := w.Backend().PutFault(t.Context(), from, raw); err == nil {
			t.Errorf("evidence against %s was taken", name)
		}
	}
	if err := w.Backend().Relay(t.Context(), from, 1, from); err == nil {
		t.Error("a peer without a relay relays")
	}
	if p2p.MaxFault != probe.MaxEvidence {
		t.Errorf("the protocol takes evidence of %d bytes, its form has up to %d", p2p.MaxFault, probe.MaxEvidence)
	}
}

// TestWatch: attestations make scores; a contradiction takes a monitor's voice for a month, also after a restart; when
// the monitors stop, nothing is known any more.
func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, 4, 24*time.Hour)
		w := c.open(t, 0, "", nil)
		length := w.length
		defer func() {
			if err := w.Close(); err != nil {
				t.Error(err)
			}
		}()
		attest := func(i int, number uint64, o round.Outcome) p2p.Verdict {
			a := &round.Attestation{Round: number, Epoch: ledger.FirstEpoch, Results: make([]round.Result, 4)}
			for k := range a.Results {
				if k != i {
					a.Results[k] = round.Result{Outcome: round.OK, RTT: 100}
				}
			}
			if i != 3 {
				a.Results[3].Outcome = o
			}
			if err := a.Sign(w.network, c.keys[i]); err != nil {
				t.Fatal(err)
			}
			raw, err := a.Encode()
			if err != nil {
				t.Fatal(err)
			}
			v, decoded := w.validate(t.Context(), "", raw)
			if proof, _ := decoded.(*round.Equivocation); (proof != nil) != (o == round.Slow) {
				t.Errorf("proof %v", proof)
			}
			return v
		}
		var number uint64
		for range 20 {
			time.Sleep(length)
			number = round.Number(w.now(), length)
			for i := range 3 {
				if v := attest(i, number, round.Missing); v != p2p.Accept {
					t.Fatalf("round %d of monitor %d: verdict %d", number, i, v)
				}
			}
			if v := attest(1, number, round.Missing); v != p2p.Ignore {
				t.Errorf("the same again: verdict %d", v)
			}
			if err := w.step(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		s := w.Scores()
		if len(s) != 4 || s[1].Durability != 100 || s[1].Outcome != round.OK || s[3].Durability != 0 || s[3].Outcome != round.Missing ||
			s[3].Level == s[1].Level || s[3].Monitors != 3 {
			t.Errorf("scores %+v", s)
		}
		m, ok := w.Matrix()
		if !ok || len(m.Rows) != 3 || len(m.Nodes) != 4 || m.Rows[0].Seen[3] != round.Missing && m.Rows[0].Monitor != c.genesis.Members[3].Node {
			t.Errorf("matrix %+v", m)
		}
		if v := attest(2, number, round.Slow); v != p2p.Accept {
			t.Errorf("a contradiction: verdict %d", v)
		}
		for _, info := range w.Monitors() {
			if silenced := !info.Silenced.IsZero(); silenced != (info.Monitor == c.genesis.Members[2].Node) {
				t.Errorf("%+v", info)
			}
		}
		if v := attest(2, number+1, round.Missing); v != p2p.Ignore {
			t.Errorf("a silenced monitor: verdict %d", v)
		}
		hours, err := w.Hours(c.genesis.Members[3].Node, w.now().Add(-6*time.Hour), w.now().Add(time.Hour))
		if err != nil || len(hours) < 1 || hours[0].Outcomes.Missing != hours[0].Rounds || hours[0].Rounds < 15 || hours[0].Worst() != round.Missing {
			t.Errorf("hours %+v, %v", hours, err)
		}
		if _, err := w.Hours(c.genesis.Members[3].Node, w.now().Add(-2*MaxSpan), w.now()); err == nil {
			t.Error("two years were read at once")
		}
		time.Sleep(12 * length)
		for _, n := range w.Scores() {
			if n.Level.String() != "no data" || n.Durability != Unknown || n.Outcome != round.NotAsked && n.Round+freshRounds > round.Number(w.now(), length) {
				t.Errorf("two hours after the last attestation: %+v", n)
			}
		}
	})
}

// TestSameKey: a Prober attests for the peer of its Watch alone.
func TestSameKey(t *testing.T) {
	c := newCrowd(t, 4, 24*time.Hour)
	w := c.open(t, 0, "", nil)
	if _, err := NewProber(w, ProberConfig{Key: ed25519.PrivateKey(c.keys[1]), Swarm: newFleet(t, c), Logger: quiet}); err == nil {
		t.Error("a prober with another key")
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestUnproven: an observer checks the receipts of an accuser against the root that it attested, and shows who cannot
// prove its round. Evidence convicts all the same.
func TestUnproven(t *testing.T) {
	for _, forged := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			c := newCrowd(t, 7, 24*time.Hour)
			f := newFleet(t, c, honest, lacking, honest, honest, honest, honest, honest)
			w := c.open(t, 0, "", nil)
			_, published := f.play(t, w, 8)
			last := published[len(published)-1]
			observer := c.open(t, 2, "", nil)
			observer.cfg.Ask = func(ctx context.Context, _ peer.ID, number uint64, node peer.ID) ([]byte, error) {
				raw, err := w.Backend().Receipts(ctx, observer.cfg.Self, number, node)
				if err == nil && forged {
					raw[3]++ // the number of the first receipt
				}
				return raw, err
			}
			raw, err := last.Encode()
			if err != nil {
				t.Fatal(err)
			}
			if v, _ := observer.validate(t.Context(), "", raw); v != p2p.Accept {
				t.Fatalf("verdict %d", v)
			}
			observer.collect(t.Context())
			if list, err := observer.Evidence(c.genesis.Members[1].Node, 10); err != nil || len(list) == 0 {
				t.Errorf("forged %v: evidence %+v, %v", forged, list, err)
			}
			for _, m := range observer.Monitors() {
				if m.Unproven != (forged && m.Monitor == c.genesis.Members[0].Node) {
					t.Errorf("forged %v: %+v", forged, m)
				}
			}
			if err := errors.Join(w.Close(), observer.Close()); err != nil {
				t.Fatal(err)
			}
		})
	}
}
