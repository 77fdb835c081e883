package dht

import (
	"fmt"
	"strings"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/discovery/mdns"
)

// startMDNS answers and asks on the local network. The returned function stops both and waits.
func (d *DHT) startMDNS() (stop func(), err error) {
	service := mdns.NewMdnsService(d.host, serviceName(d.cfg.Network), notifee{d})
	if err := service.Start(); err != nil {
		return nil, fmt.Errorf("start multicast discovery: %w", err)
	}
	return func() {
		if err := service.Close(); err != nil {
			d.log.Debug("stop multicast discovery", "err", err)
		}
	}, nil
}

// serviceName is a DNS label of at most 63 bytes without dots. Two networks may share one by accident: their peers
// then meet, find no common protocol, and part.
func serviceName(network string) string {
	label := "_walrus-" + strings.NewReplacer(".", "-", "_", "-").Replace(strings.ToLower(network))
	return label[:min(len(label), 63)] + "._udp"
}

// notifee passes what multicast sees to Run, or drops it: it will be seen again.
type notifee struct{ dht *DHT }

// HandlePeerFound is called by the library on its own goroutine and must not block.
func (n notifee) HandlePeerFound(p peer.AddrInfo) {
	select {
	case n.dht.found <- p:
	default:
	}
}
