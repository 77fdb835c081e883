package p2p

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"regexp"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-multiaddr"
)

// Role of a process in the network.
type Role int

const (
	// Client uses the network and runs no service for other peers.
	Client Role = iota
	// StorageNode is publicly reachable; it also helps others to find out whether they are, and relays their
	// signalling when they are not. Slivers never go through a relay.
	StorageNode
)

// Config of a Host.
type Config struct {
	// Network is the name of the network: 1 to 32 of a-z, 0-9 and '-'. It is part of every protocol ID and topic, so
	// that networks never mix. Required.
	Network string
	// Key is the identity: it fixes the peer ID. Required.
	Key ed25519.PrivateKey
	// Listen are multiaddrs, such as /ip4/0.0.0.0/tcp/4001 and /ip4/0.0.0.0/udp/4001/quic-v1: use one port number for
	// both. All of them must be free, and addresses of this machine. Default none: a client that only dials.
	Listen []string
	// Announce are the multiaddrs told to others in place of those found out: needed behind port forwarding.
	// Default none.
	Announce []string
	// UserAgent is told to peers. Default "walrus".
	UserAgent string
	// Role chooses the services run for other peers. Default Client.
	Role Role
	// Protocols are those of others that share the host, such as the ledger's: their streams have the limits of ours
	// instead of libp2p's defaults. Default none.
	Protocols []protocol.ID
	// Limits bound what peers can use here. The zero value means DefaultLimits.
	Limits Limits
	// Libp2p are further options, for tests. A resource manager, connection manager, muxer or security among them
	// replaces ours.
	Libp2p []libp2p.Option
	// TestTransport leaves out our transports in favour of those in Libp2p (an in-memory one, or QUIC over a
	// simulated network) and whatever needs a real network, so that a Host runs in virtual time.
	TestTransport bool
	// Logger gets what has no caller to be returned to: panics and unexpected errors of a Backend. Required.
	Logger *slog.Logger
}

var networkName = regexp.MustCompile(`^[a-z0-9-]{1,32}$`)

// Validate says what is wrong with the configuration.
func (c *Config) Validate() error {
	if !networkName.MatchString(c.Network) {
		return fmt.Errorf("network name %q: want 1 to 32 of a-z, 0-9 and '-'", c.Network)
	}
	if len(c.Key) != ed25519.PrivateKeySize {
		return fmt.Errorf("identity key of %d bytes: want an Ed25519 private key of %d", len(c.Key), ed25519.PrivateKeySize)
	}
	if c.Role != Client && c.Role != StorageNode {
		return fmt.Errorf("unknown role %d", c.Role)
	}
	if c.Logger == nil {
		return errors.New("a logger is required")
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
