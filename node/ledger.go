package node

import (
	"context"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/node/keeper"
)

// Ledger is a node's own copy of the ledger on which the network has agreed.
type Ledger interface {
	keeper.Ledger
	// Run keeps the copy up to date until ctx ends. It returns an error only if the node must stop, because the
	// network's agreement or the copy is broken. A ledger that stalls is no error.
	Run(ctx context.Context) error
	// Close releases the ledger's resources, after Run has returned or instead of Run.
	Close() error
}

// OpenLedger opens the ledger of a node over the node's host. connect finds a peer's addresses and dials it.
type OpenLedger func(h host.Host, connect func(context.Context, peer.ID) error) (Ledger, error)
