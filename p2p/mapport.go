package p2p

import (
	"context"
	"net/netip"

	"github.com/libp2p/go-libp2p/p2p/net/nat"
)

// PortMap is a router's answer to a request for forwarded ports.
type PortMap struct {
	Found    bool       // a router answers such requests
	External netip.Addr // the router's outer address; may be private, or invalid if it tells none
	TCP, UDP uint16     // the outer ports; 0 for none
}

// MapPorts asks the router to forward two ports to this computer, by UPnP. 0 for a port asks for none. The
// mappings end with release, which must be called.
func MapPorts(ctx context.Context, tcp, udp uint16) (m PortMap, release func() error) {
	router, err := nat.DiscoverNAT(ctx)
	if err != nil {
		return m, func() error { return nil } // none answers, or none in time
	}
	m.Found = true
	for proto, port := range map[string]uint16{"tcp": tcp, "udp": udp} {
		if port == 0 || router.AddMapping(ctx, proto, int(port)) != nil {
			continue
		}
		outer, ok := router.GetMapping(proto, int(port))
		if !ok {
			continue
		}
		m.External = outer.Addr().Unmap()
		if proto == "tcp" {
			m.TCP = outer.Port()
		} else {
			m.UDP = outer.Port()
		}
	}
	return m, router.Close
}
