package dht

import (
	"fmt"
	"strings"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/discovery/mdns"
)

// startMDNS announces this peer on the local network and looks for others. The returned function stops both and
// waits.
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

// serviceName returns a DNS label of at most 63 bytes without dots. Two networks may get the same one by accident:
// their peers then connect, find no common protocol, and part.
func serviceName(network string) string {
	label := "_walrus-" + strings.NewReplacer(".", "-", "_", "-").Replace(strings.ToLower(network))
	return label[:min(len(label), 63)] + "._udp"
}

// notifee passes peers found by multicast to Run. If Run is busy it drops them: they will be found again.
type notifee struct{ dht *DHT }

// HandlePeerFound is called by the library on its own goroutine and must not block.
func (n notifee) HandlePeerFound(p peer.AddrInfo) {
	select {
	case n.dht.found <- p:
	default:
	}
}
