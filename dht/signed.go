package dht

import (
	"slices"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	libp2precord "github.com/libp2p/go-libp2p/core/record"
	"github.com/multiformats/go-multiaddr"

	"walrus/internal/ipgroup"
)

// proven lists the addresses of a peer that has just been identified: those that we dialled, and then those that it
// has signed. A peer that signs none is taken at its word, because the connection proves who speaks. Nothing that
// others say about it is among them. (Kademlia's messages carry no signed records, so what they say remains a claim.)
func (d *DHT) proven(met event.EvtPeerIdentificationCompleted) []multiaddr.Multiaddr {
	stated := met.ListenAddrs
	if met.SignedPeerRecord != nil {
		if err := keepSigned(d.host.Peerstore(), met.SignedPeerRecord); err != nil {
			d.log.Debug("refuse a signed record", "peer", met.Peer, "err", err)
		}
		stated = d.signed(met.Peer)
	}
	return mergeAddrs(dialled(d.host, met.Peer), mayState(d, met.Peer, stated))
}

// keepSigned puts the record that a peer has sent us into the certified address book: identify does not. An older one
// does not replace a newer one.
func keepSigned(store peerstore.Peerstore, signed *libp2precord.Envelope) error {
	certified, ok := peerstore.GetCertifiedAddrBook(store)
	if !ok {
		return nil
	}
	_, err := certified.ConsumePeerRecord(signed, peerstore.RecentlyConnectedAddrTTL)
	return err
}

// signed returns the addresses in the newest record that the peer has signed and sent us.
func (d *DHT) signed(id peer.ID) []multiaddr.Multiaddr {
	certified, ok := peerstore.GetCertifiedAddrBook(d.host.Peerstore())
	if !ok {
		return nil
	}
	envelope := certified.GetPeerRecord(id)
	if envelope == nil {
		return nil
	}
	record, err := envelope.Record()
	if r, ok := record.(*peer.PeerRecord); err == nil && ok {
		return mayState(d, id, r.Addrs)
	}
	return nil
}

// dialled lists the addresses at which we have dialled a connected peer.
func dialled(h host.Host, id peer.ID) (addrs []multiaddr.Multiaddr) {
	for _, c := range h.Network().ConnsToPeer(id) {
		if c.Stat().Direction == network.DirOutbound {
			addrs = append(addrs, c.RemoteMultiaddr())
		}
	}
	return addrs
}

// mayState drops the addresses that a peer may not state about itself. A stranger may not make us dial what no other
// stranger may name. A node that we trust may also state names, and private addresses if it comes from such a one.
func mayState(d *DHT, id peer.ID, addrs []multiaddr.Multiaddr) []multiaddr.Multiaddr {
	scope, trusted := d.scope(), d.trusts(id)
	if trusted {
		for _, c := range d.host.Network().ConnsToPeer(id) {
			scope = min(scope, ipgroup.ReachOf(c.RemoteMultiaddr()))
		}
	}
	return slices.DeleteFunc(slices.Clone(addrs), func(a multiaddr.Multiaddr) bool {
		if a == nil || trusted && !ipgroup.IP(a).IsValid() {
			return a == nil
		}
		return !allowed(a, scope)
	})
}
