package engine

import (
	"errors"

	"github.com/cometbft/cometbft/p2p"
)

// Peers implements p2p.Switcher.
func (s *sw) Peers() p2p.IPeerSet { return s }

// Has implements p2p.IPeerSet.
func (s *sw) Has(key p2p.ID) bool { return s.Get(key) != nil }

// Get implements p2p.IPeerSet.
func (s *sw) Get(key p2p.ID) p2p.Peer {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if r := s.peers[key]; r != nil {
		return r
	}
	return nil
}

// Copy implements p2p.IPeerSet.
func (s *sw) Copy() []p2p.Peer {
	var peers []p2p.Peer
	for _, r := range s.all() {
		peers = append(peers, r)
	}
	return peers
}

// Size implements p2p.IPeerSet.
func (s *sw) Size() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.peers)
}

// ForEach implements p2p.IPeerSet.
func (s *sw) ForEach(f func(p2p.Peer)) {
	for _, r := range s.all() {
		f(r)
	}
}

// Random implements p2p.IPeerSet.
func (s *sw) Random() p2p.Peer {
	for _, r := range s.all() { // a map has no order
		return r
	}
	return nil
}

// NumPeers implements p2p.Switcher.
func (s *sw) NumPeers() (outbound, inbound, dialing int) {
	for _, r := range s.all() {
		if r.outbound {
			outbound++
		} else {
			inbound++
		}
	}
	return outbound, inbound, 0
}

// The rest of p2p.Switcher, an interface of CometBFT, concerns addresses and peers of its own network, which does not
// run.

func (s *sw) MaxNumOutboundPeers() int                        { return len(s.links) }
func (s *sw) AddReactor(string, p2p.Reactor) p2p.Reactor      { return nil }
func (s *sw) RemoveReactor(string, p2p.Reactor)               {}
func (s *sw) AddPersistentPeers([]string) error               { return errNoAddresses }
func (s *sw) AddPrivatePeerIDs([]string) error                { return errNoAddresses }
func (s *sw) AddUnconditionalPeerIDs([]string) error          { return errNoAddresses }
func (s *sw) DialPeerWithAddress(*p2p.NetAddress) error       { return errNoAddresses }
func (s *sw) DialPeersAsync([]string) error                   { return errNoAddresses }
func (s *sw) IsDialingOrExistingAddress(*p2p.NetAddress) bool { return false }
func (s *sw) IsPeerPersistent(*p2p.NetAddress) bool           { return true }
func (s *sw) IsPeerUnconditional(p2p.ID) bool                 { return true }
func (s *sw) MarkPeerAsGood(p2p.Peer)                         {}

var errNoAddresses = errors.New("peers are committee members, found by peer ID: addresses are not used")
