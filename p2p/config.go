package p2p

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"regexp"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-multiaddr"
)

// Role of a process in the network.
type Role int

const (
	// Client uses the network and runs no service for other peers. If it listens, peers behind routers can punch holes to
	// it.
	Client Role = iota
	// StorageNode is publicly reachable. It also tells other peers whether they are, and relays signalling for peers
	// that are not. Slivers never go through a relay.
	StorageNode
	// Home serves other peers from behind any router, like a pin or a monitor: it asks the router for a port, and
	// storage nodes to relay signals.
	Home
)

// Config of a Host.
type Config struct {
	// Network names the network: 1 to 32 of a-z, 0-9 and '-'. Every protocol ID and topic contains it, so networks
	// never mix. Required.
	Network string
	// Key determines the peer ID. Required.
	Key ed25519.PrivateKey
	// Listen lists multiaddrs of this machine, such as /ip4/0.0.0.0/tcp/4001 and /ip4/0.0.0.0/udp/4001/quic-v1. Use the
	// same port number for both; every port must be free. Port 0 in all of them means one free port for all. Default
	// none: a client that only dials.
	Listen []string
	// Announce lists multiaddrs to tell others beside the ones found out, names such as /dns4/node.example.org/tcp/4001
	// among them. Default none.
	Announce []string
	// AnnounceOnly tells others the addresses of Announce and no others, and leaves the router alone. Default false.
	AnnounceOnly bool
	// Public says that the network is on the Internet. Private addresses are then not told to others, and dialled only
	// within the networks of this machine's own interfaces. Default false: they are like all others.
	Public bool
	// Allow makes the network private: of all others than protected peers, only those for which it returns true are
	// dialled or get a connection. It must not block. Default nil: everybody.
	Allow func(peer.ID) bool
	// UserAgent is told to peers. Default "walrus".
	UserAgent string
	// Role chooses the services run for other peers. Default Client.
	Role Role
	// Protocols lists other stream protocols on this host, such as the ledger's. Their streams get the limits of ours
	// instead of libp2p's defaults. Default none.
	Protocols []protocol.ID
	// Limits bound what peers can use here. The zero value means DefaultLimits.
	Limits Limits
	// Punched is told of every attempt to get a direct connection instead of a relayed one. It must not block. Default
	// none.
	Punched func(Punch)
	// Libp2p adds options, for tests. A resource manager, connection manager, muxer or security among them replaces
	// ours.
	Libp2p []libp2p.Option
	// TestTransport makes a Host run in virtual time. It replaces our transports by the ones in Libp2p (in memory, or
	// QUIC over a simulated network), and leaves out everything that needs a real network.
	TestTransport bool
	// Logger receives panics and unexpected errors of a Backend, which have no caller to return to. Required.
	Logger *slog.Logger
}

var networkName = regexp.MustCompile(`^[a-z0-9-]{1,32}$`)

// Validate returns the first mistake in the configuration.
func (c *Config) Validate() error {
	if !networkName.MatchString(c.Network) {
		return fmt.Errorf("network name %q: want 1 to 32 of a-z, 0-9 and '-'", c.Network)
	}
	if len(c.Key) != ed25519.PrivateKeySize {
		return fmt.Errorf("identity key of %d bytes: want an Ed25519 private key of %d", len(c.Key), ed25519.PrivateKeySize)
	}
	if c.Role != Client && c.Role != StorageNode && c.Role != Home {
		return fmt.Errorf("unknown role %d: want Client, StorageNode or Home", c.Role)
	}
	if c.AnnounceOnly && len(c.Announce) == 0 {
		return errors.New("announce only, but no address to announce")
	}
	if c.Logger == nil {
		return errors.New("no logger: set Logger")
	}
	if _, err := multiaddrs(c.Listen); err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	if _, err := multiaddrs(c.Announce); err != nil {
		return fmt.Errorf("announce: %w", err)
	}
	if c.Limits != (Limits{}) {
		return c.Limits.Validate()
	}
	return nil
}

func multiaddrs(list []string) ([]multiaddr.Multiaddr, error) {
	addrs := make([]multiaddr.Multiaddr, len(list))
	for i, s := range list {
		a, err := multiaddr.NewMultiaddr(s)
		if err != nil {
			return nil, fmt.Errorf("address %q: %w: want one like /ip4/0.0.0.0/tcp/4001", s, err)
		}
		addrs[i] = a
	}
	return addrs, nil
}
