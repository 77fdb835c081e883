package engine

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/libp2p/go-libp2p/core/peer"
)

// ErrOtherGenesis is returned by Run, with ErrHalted, when the network's genesis differs from this node's.
var ErrOtherGenesis = errors.New("this node's genesis differs from its network's")

// compareChains ends this node if most of the others run another chain, because waiting does not cure that. It is
// called whenever a member reports another chain.
//
// Only members of our own genesis count, and streams prove who they are, so an outsider's word is worth nothing.
// Members with more than half of all shards must name the same other chain. Less than a third of the shards lie, so
// liars cannot end a node, not even with as many honest members who have a wrong file by mistake. If some members
// have a wrong file, they end; the majority with the right one goes on.
func (s *sw) compareChains(what string) {
	var shares int64
	members := 0
	for _, l := range s.links {
		if said := l.foreign.Load(); said != nil && *said == what {
			shares += l.shares
			members++
		}
	}
	if 2*shares <= s.total || s.fail == nil {
		return
	}
	s.fail(fmt.Errorf("%w: %w: this node has %s (network %q), but %d other members with %d of %d shards have %s: "+
		"get the network's genesis file from one of them; a node that the file does not name cannot join as a storage node",
		ErrHalted, ErrOtherGenesis, genesisName(s.network), s.networkName(), members, shares, s.total, what))
}

// other names the other chain that a member reported; empty if none.
func (s *sw) other(id peer.ID) string {
	if l := s.links[id]; l != nil {
		if said := l.foreign.Load(); said != nil {
			return *said
		}
	}
	return ""
}

// networkName extracts the network's name from the protocol's ID.
func (s *sw) networkName() string {
	if parts := strings.Split(string(s.protocol), "/"); len(parts) > 2 {
		return parts[2]
	}
	return ""
}

var protocolVersion = regexp.MustCompile(`^walrus/([a-z0-9-]{1,32})/1$`)

// p2pNetwork extracts the network's name from a peer's protocol version; empty if there is none.
func p2pNetwork(version string) string {
	if m := protocolVersion.FindStringSubmatch(version); m != nil {
		return m[1]
	}
	return ""
}
