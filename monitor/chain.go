package monitor

import (
	"context"
	"fmt"
	"time"

	"walrus/certs"
	"walrus/ledger"
	"walrus/ledger/light"
	"walrus/shards"
)

// Chain reads the ledger. Errors are temporary unless said otherwise.
type Chain interface {
	// Committees returns the current epoch and the committees that the ledger knows in it. It costs nothing within an
	// epoch.
	Committees(ctx context.Context) (epoch uint32, all certs.Committees, err error)
	// Bonds returns the bonds of monitors in the current epoch. It costs nothing within an epoch.
	Bonds(ctx context.Context) (ledger.Bonds, error)
	// AppHash returns the state's root in the newest block whose time is before at. Call it some seconds after at.
	AppHash(ctx context.Context, at time.Time) ([32]byte, error)
	// Height returns the ledger's height.
	Height(ctx context.Context) (uint64, error)
	// BlobInfo returns the ledger's summary of a blob; the zero BlobInfo for an unknown one.
	BlobInfo(ctx context.Context, id shards.BlobID) (ledger.BlobInfo, error)
	// Ahead returns by how much this machine's clock is ahead of the network's; 0 if nobody knows.
	Ahead(ctx context.Context) time.Duration
}

// lightChain reads the ledger by a light client.
type lightChain struct{ *light.Client }

// NewChain returns a Chain that asks a light client.
func NewChain(c *light.Client) Chain { return lightChain{c} }

// Bonds implements Chain.
func (c lightChain) Bonds(ctx context.Context) (ledger.Bonds, error) {
	_, bonds, err := c.Client.Bonds(ctx)
	return bonds, err
}

// AppHash implements Chain.
func (c lightChain) AppHash(ctx context.Context, at time.Time) (hash [32]byte, err error) {
	h, err := c.HeaderBefore(ctx, at)
	if err != nil {
		return hash, err
	}
	return h.AppHash, nil
}

// Height implements Chain.
func (c lightChain) Height(ctx context.Context) (uint64, error) {
	head, err := c.Head(ctx)
	if head.Height > 0 {
		return head.Height, nil // of a stalled ledger, too
	}
	return 0, fmt.Errorf("read the height: %w", err)
}

// Ahead implements Chain.
func (c lightChain) Ahead(ctx context.Context) time.Duration {
	ahead, err := c.Clock(ctx)
	if err != nil {
		return 0
	}
	return ahead
}
