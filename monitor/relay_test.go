package monitor

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/monitor/round"
	"walrus/p2p"
	"walrus/probe"
	"walrus/shards"
)

// nobody is a Herald over which no node answers. It counts what it was asked.
type nobody struct{ asked int }

func (m *nobody) Connect(context.Context, peer.ID) error { return nil }

func (m *nobody) Probe(context.Context, peer.ID, probe.Question) (probe.Receipt, error) {
	m.asked++
	return probe.Receipt{}, p2p.ErrUnavailable
}

func (m *nobody) Metadata(context.Context, peer.ID, shards.BlobID, int) ([]byte, error) {
	m.asked++
	return nil, p2p.ErrUnavailable
}

func (m *nobody) Certificates(context.Context, peer.ID, shards.BlobID, int) ([][]byte, bool, error) {
	m.asked++
	return nil, false, p2p.ErrUnavailable
}

func (m *nobody) Relay(context.Context, peer.ID, uint64, peer.ID) error {
	m.asked++
	return p2p.ErrUnavailable
}

// TestRelayRefuses: a member probes nobody for a request that no rebuttal can come of.
func TestRelayRefuses(t *testing.T) {
	c := newCrowd(t, 5, time.Hour)
	w := c.open(t, 0, "", nil)
	defer w.Close()
	h := new(nobody)
	r, err := NewRebutter(w, RebutterConfig{Key: c.keys[0], Herald: h, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	now := round.Number(w.now(), w.length)
	ids := make([]peer.ID, len(c.keys))
	for i := range ids {
		ids[i] = c.genesis.Members[i].Node
	}
	attest := func(monitor int, number uint64, void bool) {
		a := &round.Attestation{Round: number, Epoch: 1, Monitor: round.Key(c.keys[monitor][32:]), Void: void, Results: []round.Result{
			{Outcome: round.Unreachable}, {Outcome: round.Timeout}, {Outcome: round.OK}, {Outcome: round.Missing}, {Outcome: round.OK},
		}}
		w.recentOf(number).attested[a.Monitor] = a
	}
	attest(4, now-1, false)
	attest(4, now-round.RebuttalRounds-1, false)
	attest(4, now, false)
	attest(2, now-1, true)
	stranger := round.Key{1}.Peer()
	for name, tt := range map[string]struct {
		from    peer.ID
		round   uint64
		accuser peer.ID
		want    error
	}{
		"from a stranger":                {stranger, now - 1, ids[4], p2p.ErrBadRequest},
		"from this member":               {ids[0], now - 1, ids[4], p2p.ErrBadRequest},
		"against this member":            {ids[1], now - 1, ids[0], p2p.ErrBadRequest},
		"against a monitor of no weight": {ids[1], now - 1, stranger, p2p.ErrBadRequest},
		"of this round":                  {ids[1], now, ids[4], p2p.ErrBadRequest},
		"of a round long over":           {ids[1], now - round.RebuttalRounds - 1, ids[4], p2p.ErrBadRequest},
		"of a node that answered":        {ids[2], now - 1, ids[4], p2p.ErrBadRequest},
		"of a node that lost slivers":    {ids[3], now - 1, ids[4], p2p.ErrBadRequest},
		"against a void round":           {ids[1], now - 1, ids[2], p2p.ErrBadRequest},
		"against nothing known":          {ids[1], now - 1, ids[3], p2p.ErrUnavailable},
	} {
		if err := w.Backend().Relay(t.Context(), tt.from, tt.round, tt.accuser); !errors.Is(err, tt.want) || h.asked != 0 {
			t.Errorf("%s: %v, want %v; %d questions", name, err, tt.want, h.asked)
		}
	}
	// A node that does not answer is asked, and may come again.
	for i := range 2 {
		if err := w.Backend().Relay(t.Context(), ids[1], now-1, ids[4]); !errors.Is(err, p2p.ErrUnavailable) || h.asked != i+1 {
			t.Errorf("of a silent node: %v, %d questions", err, h.asked)
		}
	}
	// One rebuttal for a node by this member: the same one again is fine, another is not.
	node, other := round.Key(c.keys[1][32:]), round.Key(c.keys[3][32:])
	for _, tt := range []struct {
		by    round.Key
		known bool
		busy  bool
	}{{round.Key(c.keys[4][32:]), false, false}, {round.Key(c.keys[4][32:]), true, false}, {other, false, true}} {
		if known, err := r.claim(now-1, node, tt.by); known != tt.known || errors.Is(err, p2p.ErrBusy) != tt.busy {
			t.Errorf("claim against %s: %t, %v", tt.by, known, err)
		}
	}
	for range relaysAtOnce {
		r.slots <- struct{}{}
	}
	delete(r.relayed, now-1)
	if err := w.Backend().Relay(t.Context(), ids[1], now-1, ids[4]); !errors.Is(err, p2p.ErrBusy) {
		t.Errorf("beyond what is relayed at once: %v", err)
	}
}

// TestOutsiderRelaysNothing: only members rebut.
func TestOutsiderRelaysNothing(t *testing.T) {
	c := newCrowd(t, 5, time.Hour)
	w := c.open(t, 0, "", nil)
	defer w.Close()
	if err := w.Backend().Relay(t.Context(), c.genesis.Members[1].Node, 1, c.genesis.Members[2].Node); !errors.Is(err, p2p.ErrNotOwner) {
		t.Errorf("a process without a Rebutter: %v", err)
	}
	if _, err := NewRebutter(w, RebutterConfig{Key: c.keys[1], Herald: new(nobody), Logger: quiet}); err == nil {
		t.Error("a Rebutter has another key than its Watch")
	}
}
