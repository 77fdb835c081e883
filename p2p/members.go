package p2p

import (
	"net/netip"
	"slices"
	"sync"

	"github.com/libp2p/go-libp2p/core/peer"
)

// Tags for Protect and SetProtected.
const (
	// TagCommittee marks the members of the committee.
	TagCommittee = "committee"
	// TagRegistered marks nodes that the ledger knows and that hold no shards.
	TagRegistered = "registered"
)

// maxMemberIPs bounds the addresses remembered of one protected peer. The newest stay: a dual-stack host has two, and
// a move doubles them.
const maxMemberIPs = 4

// members knows the protected peers, and the IP addresses from which they proved their identity. Everybody else is a
// stranger.
type members struct {
	learned func(id peer.ID, ip netip.Addr, known bool) // a peer's address came or went; constant, may be nil

	mu   sync.RWMutex
	tags map[peer.ID][]string     // guarded by mu; no empty lists
	ips  map[peer.ID][]netip.Addr // guarded by mu; only protected peers, newest last
	at   map[netip.Addr]int       // protected peers at each address; guarded by mu
}

func newMembers() *members {
	return &members{tags: map[peer.ID][]string{}, ips: map[peer.ID][]netip.Addr{}, at: map[netip.Addr]int{}}
}

func (m *members) has(id peer.ID) bool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return len(m.tags[id]) > 0
}

// any reports whether there are protected peers. Clients have none.
func (m *members) any() bool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return len(m.tags) > 0
}

// hasIP reports whether a protected peer has proved its identity from ip.
func (m *members) hasIP(ip netip.Addr) bool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.at[ip] > 0
}

// tagged returns the peers with a tag.
func (m *members) tagged(tag string) (ids []peer.ID) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	for id, tags := range m.tags {
		if slices.Contains(tags, tag) {
			ids = append(ids, id)
		}
	}
	return ids
}

func (m *members) add(id peer.ID, tag string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !slices.Contains(m.tags[id], tag) {
		m.tags[id] = append(m.tags[id], tag)
	}
}

func (m *members) remove(id peer.ID, tag string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	rest := slices.DeleteFunc(slices.Clone(m.tags[id]), func(t string) bool { return t == tag })
	if len(rest) > 0 {
		m.tags[id] = rest
		return
	}
	delete(m.tags, id)
	for _, ip := range m.ips[id] {
		m.forget(id, ip)
	}
	delete(m.ips, id)
}

// learn remembers an address from which a protected peer has proved its identity.
func (m *members) learn(id peer.ID, ip netip.Addr) {
	m.mu.Lock()
	defer m.mu.Unlock()
	ips := m.ips[id]
	if len(m.tags[id]) == 0 || !ip.IsValid() || slices.Contains(ips, ip) {
		return
	}
	if len(ips) == maxMemberIPs {
		m.forget(id, ips[0])
		ips = ips[1:]
	}
	m.ips[id] = append(ips, ip)
	m.at[ip]++
	if m.learned != nil {
		m.learned(id, ip, true)
	}
}

// forget drops the address of a peer from at. m.mu is held.
func (m *members) forget(id peer.ID, ip netip.Addr) {
	if m.at[ip]--; m.at[ip] == 0 {
		delete(m.at, ip)
	}
	if m.learned != nil {
		m.learned(id, ip, false)
	}
}
