package clientnode

import (
	"context"
	"errors"
	"fmt"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/dht"
)

// Stranger looks at the network from outside: with a fresh identity, an empty table, and no ledger.
type Stranger struct {
	table   *dht.DHT
	release func() error
}

// OpenStranger joins the network as a peer that nobody knows. The caller closes it. It uses only P2P, DHT, Join and
// Logger of cfg.
func OpenStranger(ctx context.Context, cfg Config) (*Stranger, error) {
	cfg.P2P.Key, cfg.P2P.Listen, cfg.P2P.Announce, cfg.DHT.AddressBook = nil, nil, nil, ""
	host, table, err := newNetwork(cfg)
	if err != nil {
		return nil, err
	}
	s := &Stranger{table, run(ctx, host, table)}
	join, cancel := context.WithTimeout(ctx, cfg.Join)
	defer cancel()
	if err := table.Joined(join); err != nil {
		return nil, errors.Join(fmt.Errorf("client: %w", err), s.Close())
	}
	return s, nil
}

// Holders returns up to limit peers that announced key.
func (s *Stranger) Holders(ctx context.Context, key [32]byte, limit int) ([]peer.AddrInfo, error) {
	return s.table.Holders(ctx, key, limit)
}

// Close leaves the network.
func (s *Stranger) Close() error { return s.release() }
