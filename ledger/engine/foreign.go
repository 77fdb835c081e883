package engine

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/libp2p/go-libp2p/core/peer"
)

// ErrOtherGenesis is returned by Run, with ErrHalted, when the network's genesis is not the one that this node has.
var ErrOtherGenesis = errors.New("the genesis of this node is not that of its network")

// compareChains ends this node when the others run another chain, which waiting does not mend. It is called when a member has
// said that it runs one.
//
// Whom to believe: members are those of our own genesis, and a stream proves who its other side is, so an outsider's word
// counts nothing. By that genesis fewer than a third of the shards lie. So it takes members with more than half of all shards
// who name the same other chain: liars cannot end a node, not even together with as many who have a wrong file by mistake. And
// where some members have a wrong file, they end, and those with the right one, who are more, go on.
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
	s.fail(fmt.Errorf("%w: %w: this node has %s (network %q), and %d other members, with %d of %d shards, have %s: "+
		"get the genesis file of the network from one of them; a node that it does not name cannot join as a storage node",
		ErrHalted, ErrOtherGenesis, genesisName(s.network), s.networkName(), members, shares, s.total, what))
}

// other is which other chain a member said that it runs; empty if none.
func (s *sw) other(id peer.ID) string {
	if l := s.links[id]; l != nil {
		if said := l.foreign.Load(); said != nil {
			return *said
		}
	}
	return ""
}

// networkName is in the protocol's ID.
func (s *sw) networkName() string {
	if parts := strings.Split(string(s.protocol), "/"); len(parts) > 2 {
		return parts[2]
	}
	return ""
}

var protocolVersion = regexp.MustCompile(`^walrus/([a-z0-9-]{1,32})/1$`)

// p2pNetwork is the name of the network in what a peer says that its host is; empty if there is none.
func p2pNetwork(version string) string {
	if m := protocolVersion.FindStringSubmatch(version); m != nil {
		return m[1]
	}
	return ""
}
