package p2p

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"
)

// roundBook is a RoundBackend that remembers what it was asked.
type roundBook struct {
	from     peer.ID
	round    uint64
	node     peer.ID
	evidence []byte
	answer   []byte
	scores   Scores
	err      error
}

func (b *roundBook) Receipts(_ context.Context, from peer.ID, round uint64, node peer.ID) ([]byte, error) {
	b.from, b.round, b.node = from, round, node
	return b.answer, b.err
}

func (b *roundBook) PutFault(_ context.Context, from peer.ID, evidence []byte) error {
	b.from, b.evidence = from, evidence
	return b.err
}

func (b *roundBook) Relay(_ context.Context, from peer.ID, round uint64, accuser peer.ID) error {
	b.from, b.round, b.node = from, round, accuser
	return b.err
}

func (b *roundBook) Scores(context.Context) (Scores, error) { return b.scores, b.err }

// TestScores: scores arrive as they were sent; what no peer of ours sends is refused.
func TestScores(t *testing.T) {
	client, server := serving(t, newMemory(), nil, nil)
	b := &roundBook{scores: Scores{Epoch: 7, Members: []Score{{1, 3, 100, 99, UnknownScore, 31}, {}, {6, 1, 0, 0, 0, 255}}}}
	if err := RoundsOf(server).Serve(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	got, err := RoundsOf(client).Scores(t.Context(), server.ID())
	if err != nil || !reflect.DeepEqual(got, b.scores) {
		t.Errorf("%+v, %v", got, err)
	}
	for _, bad := range []Score{{Outcome: 7}, {Level: 4}, {Durability: 101}, {Reachability: 254}, {Speed: 200}} {
		b.scores = Scores{Members: []Score{{}, bad}}
		if _, err := RoundsOf(client).Scores(t.Context(), server.ID()); !errors.Is(err, ErrProtocol) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	for _, raw := range [][]byte{nil, {1, 2, 3}, make([]byte, 4+5), make([]byte, 4+6*70_000)} {
		if _, err := UnmarshalScores(raw); err == nil {
			t.Errorf("%d bytes are taken", len(raw))
		}
	}
	b.err = fmt.Errorf("%w: too early", ErrUnavailable)
	if _, err := RoundsOf(client).Scores(t.Context(), server.ID()); !errors.Is(err, ErrUnavailable) {
		t.Error(err)
	}
}

// TestRounds: the requests about rounds arrive as they were made, errors keep their identity, and what is too long is
// refused on both sides.
func TestRounds(t *testing.T) {
	client, server := serving(t, newMemory(), nil, nil)
	b := &roundBook{answer: bytes.Repeat([]byte{7}, 100_000)}
	if err := RoundsOf(server).Serve(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	ask, to, other := RoundsOf(client), server.ID(), client.ID()
	got, err := ask.Receipts(t.Context(), to, 1<<40, other)
	if err != nil || !bytes.Equal(got, b.answer) || b.from != client.ID() || b.round != 1<<40 || b.node != other {
		t.Errorf("receipts: %d bytes, %v; asked %+v", len(got), err, b.round)
	}
	evidence := bytes.Repeat([]byte{9}, MaxFault)
	if err := ask.PutFault(t.Context(), to, evidence); err != nil || !bytes.Equal(b.evidence, evidence) {
		t.Errorf("evidence: %d bytes arrived, %v", len(b.evidence), err)
	}
	if err := ask.PutFault(t.Context(), to, append(evidence, 1)); !errors.Is(err, ErrBadRequest) {
		t.Errorf("evidence of one byte too many: %v", err)
	}
	if err := ask.Relay(t.Context(), to, 12, other); err != nil || b.round != 12 || b.node != other {
		t.Errorf("relay: %v, asked for round %d and %s", err, b.round, b.node)
	}
	for _, want := range []error{ErrNotFound, ErrBusy, ErrBadRequest, ErrNotOwner, ErrUnavailable} {
		b.err = fmt.Errorf("round: %w", want)
		_, receipts := ask.Receipts(t.Context(), to, 1, other)
		for _, err := range []error{receipts, ask.PutFault(t.Context(), to, nil), ask.Relay(t.Context(), to, 1, other)} {
			if !errors.Is(err, want) {
				t.Errorf("got %v, want %v", err, want)
			}
		}
	}
	b.err, b.answer = nil, make([]byte, MaxReceipts+1)
	if _, err := ask.Receipts(t.Context(), to, 1, other); !errors.Is(err, ErrInternal) {
		t.Errorf("receipts of one byte too many: %v", err)
	}
	if err := ask.Relay(t.Context(), to, 1, "x"); !errors.Is(err, ErrBadRequest) {
		t.Errorf("an accuser that is no peer ID: %v", err)
	}
	if _, err := ask.Receipts(t.Context(), client.ID(), 1, other); err == nil {
		t.Error("a host that serves no rounds answered")
	}
}
