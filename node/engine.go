package node

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/ledger"
	"walrus/ledger/engine"
)

// Engine returns an opener of the ledger that the network's nodes keep together. It sets Host and Connect of cfg.
func Engine(cfg engine.Config) OpenLedger {
	return func(h host.Host, connect func(context.Context, peer.ID) error) (Ledger, error) {
		cfg.Host, cfg.Connect = h, connect
		e, err := engine.New(cfg)
		if err != nil {
			return nil, err
		}
		return &replica{e}, nil
	}
}

// replica adapts an engine to Ledger.
type replica struct{ *engine.Node }

// State returns the newest state here and its height.
func (r *replica) State() (ledger.Reader, uint64) {
	v := r.View()
	return v, v.Height
}

// Follow calls fn with each block's events: the block's own, then the events of its receipts.
func (r *replica) Follow(ctx context.Context, from uint64,
	fn func(height uint64, events []ledger.Event) error) (kept bool, err error) {
	err = r.Node.Follow(ctx, from, func(b engine.Block) error {
		events := slices.Clone(b.Events)
		for i := range b.Receipts {
			events = append(events, b.Receipts[i].Events...)
		}
		return fn(b.Height, events)
	})
	return !errors.Is(err, engine.ErrPruned), err
}

// Room implements roomy.
func (r *replica) Room() engine.Room { return r.Status().Room }

// Kept implements roomy.
func (r *replica) Kept() (height uint64, at time.Time) {
	s := r.Status()
	return s.Kept, s.KeptSince
}

// Health returns the newest block here, its time, and the reason if the ledger stalls.
func (r *replica) Health() (height uint64, at time.Time, trouble string) {
	s := r.Status()
	return s.Height, s.Time, s.Stalled
}
