package monitor

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/certs"
	"walrus/ledger"
	"walrus/monitor/round"
	"walrus/probe"
	"walrus/shards"
)

// TestStrangersForgotten: monitors without weight, with ever new keys, neither grow what is written after each round
// nor keep a member's last round from being known.
func TestStrangersForgotten(t *testing.T) {
	c := newCrowd(t, 4, 24*time.Hour)
	w := c.open(t, 0, "", nil)
	defer func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	}()
	member, err := round.KeyOf(c.genesis.Members[1].Node)
	if err != nil {
		t.Fatal(err)
	}
	rounds := uint64(maxLast/round.MaxStrangers + 2)
	for number := uint64(1); number <= rounds; number++ {
		w.mu.Lock()
		r := w.recentOf(number)
		for i := range round.MaxStrangers {
			k := round.Key{1, byte(i), byte(number), byte(number >> 8)}
			r.attested[k] = &round.Attestation{Round: number, Epoch: 1, Monitor: k, Results: make([]round.Result, 4)}
		}
		if number == rounds {
			r.attested[member] = &round.Attestation{Round: number, Epoch: 1, Monitor: member, Results: make([]round.Result, 4)}
		}
		w.mu.Unlock()
		w.foldOne(number)
	}
	raw, err := json.Marshal(w.state.Last)
	if err != nil {
		t.Fatal(err)
	}
	if most := maxLastStrangers + len(c.genesis.Members); len(w.state.Last) > most {
		t.Errorf("%d monitors are remembered, in %d bytes after each round: want at most %d", len(w.state.Last), len(raw), most)
	}
	if w.state.Last[member.Peer().String()].Round != rounds {
		t.Error("the last round of a member is not known")
	}
}

// TestKeyOfZeros: the key of zeros, which stands for members without an Ed25519 key, has no weight: anybody can sign
// for it.
func TestKeyOfZeros(t *testing.T) {
	c := newCrowd(t, 4, 24*time.Hour)
	members := slices.Clone(c.genesis.Members)
	members[2].Node = peer.ID("\x12\x20" + strings.Repeat("k", 32)) // of another kind of key
	sk, err := certs.NewSecretKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	members[2].Key, members[2].Proof = sk.Public(), sk.ProvePossession("test", members[2].Node)
	members[2].Reward = ledger.Address{1}
	g, err := ledger.NewGenesis("test", len(members), members)
	if err != nil {
		t.Fatal(err)
	}
	all, err := g.Committees()
	if err != nil {
		t.Fatal(err)
	}
	v, err := newView(1, all, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if v.weights[round.Key{}] != 0 || len(v.monitors) != 3 {
		t.Errorf("it weighs %d; %d monitors", v.weights[round.Key{}], len(v.monitors))
	}
}

// TestMuteStrangers: monitors that accuse and do not answer for it hold up the folding of rounds by half a round at
// most.
func TestMuteStrangers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, 4, 24*time.Hour)
		w := c.open(t, 0, "", nil)
		var asked atomic.Int64
		w.cfg.Ask = func(ctx context.Context, _ peer.ID, _ uint64, _ peer.ID) ([]byte, error) {
			asked.Add(1)
			<-ctx.Done()
			return nil, ctx.Err()
		}
		number := round.Number(w.now(), w.length)
		for i := range fetchesPerStep {
			k := round.Key{1, byte(i)}
			w.recentOf(number).attested[k] = &round.Attestation{Round: number, Epoch: 1, Monitor: k,
				Results: []round.Result{{}, {Outcome: round.Missing, RTT: 1}, {}, {}}}
		}
		began := time.Now()
		w.collect(t.Context())
		if took := time.Since(began); asked.Load() != fetchesPerStep || took > w.length/2 {
			t.Errorf("%d questions held up a step for %v, a round is %v", asked.Load(), took, w.length)
		}
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
}

// dumb is a fleet of which one member accepts questions for metadata and certificates, and answers none.
type dumb struct{ *fleet }

func (d dumb) Metadata(ctx context.Context, to peer.ID, id shards.BlobID, most int) ([]byte, error) {
	if d.member(to) == 1 {
		<-ctx.Done()
		return nil, fmt.Errorf("metadata: %w", ctx.Err())
	}
	return d.fleet.Metadata(ctx, to, id, most)
}

func (d dumb) Certificates(ctx context.Context, to peer.ID, after shards.BlobID, limit int) ([][]byte, bool, error) {
	if d.member(to) == 1 {
		<-ctx.Done()
		return nil, false, ctx.Err()
	}
	return d.fleet.Certificates(ctx, to, after, limit)
}

// TestDumbMember: a member that answers no question for blobs does not keep a monitor of a short round from its probes.
func TestDumbMember(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, 4, 12*time.Minute) // rounds of 5 s
		f := newFleet(t, c, honest, honest, honest, honest)
		w := c.open(t, 0, "", nil)
		const rounds = 40
		f.swarm = dumb{f}
		p, published := f.play(t, w, rounds)
		asked := 0
		for _, a := range published {
			if !a.Void {
				asked++
			}
		}
		if asked < rounds/2 {
			t.Errorf("%d of %d rounds count; trouble: %s", asked, rounds, p.Status().Trouble)
		}
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestFullDay: when a day's room for evidence is used up, the node still learns what convicts it.
func TestFullDay(t *testing.T) {
	c := newCrowd(t, 4, 24*time.Hour)
	f := newFleet(t, c, lacking, honest, honest, honest)
	var told []Event
	w := c.open(t, 0, "", func(e Event) { told = append(told, e) })
	day := dayOf(w.start(round.Number(w.now(), w.length)))
	w.state.Written[string(keyEvidence)] = spent{Day: day, Bytes: evidencePerDay}
	q, ok := probe.Draw([32]byte{1}, f.params, probe.Blob{ID: f.meta.ID(), Length: f.meta.Length}, []int{0})
	if !ok {
		t.Fatal("no cell")
	}
	q.Network, q.Nonce, q.Height = w.network, probe.Nonce{1}, 100
	r, err := f.Probe(t.Context(), w.cfg.Self, q)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := (&probe.Evidence{Receipts: []probe.Receipt{r}}).Marshal()
	if err == nil {
		err = w.Backend().PutFault(t.Context(), c.genesis.Members[2].Node, raw)
	}
	if err != nil || len(told) != 1 || told[0].Proof == nil {
		t.Fatalf("told %+v, %v", told, err)
	}
	if v, err := probe.Judge(told[0].Proof); err != nil || v.Node != w.cfg.Self {
		t.Errorf("%+v, %v", v, err)
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
}

// TestEvidenceShares: evidence against one node takes an eighth of a day's room, so that there is room for that against
// others. What is kept is listed the newest first, and found by its ID.
func TestEvidenceShares(t *testing.T) {
	c := newCrowd(t, 4, 24*time.Hour)
	f := newFleet(t, c, lacking, honest, honest, honest)
	w := c.open(t, 0, "", nil)
	number := round.Number(w.now(), w.length)
	day := dayOf(w.start(number))
	keep := func(symbol int) EvidenceInfo {
		t.Helper()
		q, ok := probe.Draw([32]byte{byte(symbol)}, f.params, probe.Blob{ID: f.meta.ID(), Length: f.meta.Length}, []int{0})
		if !ok {
			t.Fatal("no cell")
		}
		q.Network, q.Nonce, q.Height = w.network, probe.Nonce{byte(symbol)}, 100
		r, err := f.Probe(t.Context(), w.cfg.Self, q)
		if err != nil {
			t.Fatal(err)
		}
		info, fresh, err := w.keepEvidence(&probe.Evidence{Receipts: []probe.Receipt{r}}, w.cfg.Self, number+uint64(symbol))
		if err != nil || !fresh {
			t.Fatalf("fresh %v, %v", fresh, err)
		}
		clear(w.faults)
		return info
	}
	first, second := keep(1), keep(2)
	list, err := w.Evidence("", 10)
	if err != nil || len(list) != 2 || list[0].ID != second.ID || list[1].ID != first.ID {
		t.Fatalf("listed %+v, %v", list, err)
	}
	if list, err = w.Evidence("", 1); err != nil || len(list) != 1 || list[0].ID != second.ID {
		t.Errorf("the newest: %+v, %v", list, err)
	}
	for _, info := range list {
		if e, err := w.EvidenceFile(info.ID); err != nil || len(e.Receipts) != 1 {
			t.Errorf("%+v, %v", e, err)
		}
	}
	w.state.Written[string(keyEvidence)+first.Node.String()] = spent{Day: day, Bytes: evidencePerNode}
	third := keep(3)
	if _, err := w.EvidenceFile(third.ID); !errors.Is(err, ErrNoEvidence) {
		t.Errorf("beyond the share of a node: %v", err)
	}
	if used := w.state.Written[string(keyEvidence)].Bytes; used != int64(first.Size+second.Size) {
		t.Errorf("%d bytes of the day are used, want %d", used, first.Size+second.Size)
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
}
