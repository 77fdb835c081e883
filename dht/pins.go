package dht

import (
	"slices"
	"sync"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/multiformats/go-multiaddr"
)

// pins keeps the addresses of members in the peerstore for good.
type pins struct {
	store  peerstore.Peerstore // constant, as the next
	member func(peer.ID) bool

	mu    sync.Mutex
	addrs map[peer.ID][]multiaddr.Multiaddr // guarded by mu
}

// set pins the addresses of a member, and unpins the ones pinned before. It also unpins peers that are no longer
// members.
func (p *pins) set(id peer.ID, addrs []multiaddr.Multiaddr) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.member(id) {
		p.replaceLocked(id, addrs[:min(len(addrs), maxClaimed)])
	}
	for id := range p.addrs {
		if !p.member(id) {
			p.replaceLocked(id, nil)
		}
	}
}

// replaceLocked pins addrs of a peer and no others.
func (p *pins) replaceLocked(id peer.ID, addrs []multiaddr.Multiaddr) {
	old := slices.DeleteFunc(p.addrs[id], func(a multiaddr.Multiaddr) bool { return slices.ContainsFunc(addrs, a.Equal) })
	p.store.SetAddrs(id, old, peerstore.TempAddrTTL)
	if len(addrs) == 0 {
		delete(p.addrs, id)
		return
	}
	p.store.AddAddrs(id, addrs, peerstore.PermanentAddrTTL)
	p.addrs[id] = slices.Clone(addrs)
}

// setAll pins the members of a list.
func (p *pins) setAll(list []peer.AddrInfo) {
	for _, info := range list {
		if p.member(info.ID) {
			p.set(info.ID, info.Addrs)
		}
	}
}

// Relays lists nodes that may relay for this peer: the members and the bootstrap peers that were reached, each with its
// proven addresses.
func (d *DHT) Relays() []peer.AddrInfo {
	out := d.book.members()
	for _, p := range d.bootstrap.peers {
		if known := d.known(p.ID); d.connected(p.ID) && !slices.ContainsFunc(out, func(o peer.AddrInfo) bool { return o.ID == p.ID }) {
			out = append(out, peer.AddrInfo{ID: p.ID, Addrs: mergeAddrs(dialled(d.host, p.ID), known.Addrs)})
		}
	}
	return out
}
