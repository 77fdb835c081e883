package p2p

import (
	"context"
	"net/netip"
	"time"

	"github.com/jackpal/go-nat-pmp"
	"github.com/libp2p/go-libp2p/p2p/net/nat"
	"github.com/libp2p/go-netroute"
)

// PortMap is a router's answer to a request for forwarded ports.
type PortMap struct {
	Found    bool       // a router answers such requests
	By       string     // the protocol in which it does: NAT-PMP or UPnP
	External netip.Addr // the router's outer address; may be private, or invalid if it tells none
	TCP, UDP uint16     // the outer ports; 0 for none
}

const (
	// natPMPTime bounds one NAT-PMP request: the router is the next machine.
	natPMPTime = time.Second
	// mapLife bounds the life of a mapping whose process was killed, in seconds.
	mapLife = 60
)

// MapPorts asks the router to forward two ports to this computer: by NAT-PMP, whose answer comes at once, else by UPnP.
// 0 for a port asks for none. The mappings end with release, which must be called. libp2p, which maps the ports of a
// running host, speaks the same two protocols.
func MapPorts(ctx context.Context, tcp, udp uint16) (m PortMap, release func() error) {
	ports := map[string]uint16{"tcp": tcp, "udp": udp}
	if m, release := mapNATPMP(ports); m.Found {
		return m, release
	}
	router, err := nat.DiscoverNAT(ctx)
	if err != nil {
		return m, func() error { return nil } // none answers, or none in time
	}
	m.Found, m.By = true, "UPnP" // NAT-PMP was silent
	for proto, port := range ports {
		if port == 0 || router.AddMapping(ctx, proto, int(port)) != nil {
			continue
		}
		outer, ok := router.GetMapping(proto, int(port))
		if !ok {
			continue
		}
		m.External = outer.Addr().Unmap()
		m.add(proto, outer.Port())
	}
	return m, router.Close
}

func (m *PortMap) add(proto string, outer uint16) {
	if proto == "tcp" {
		m.TCP = outer
	} else {
		m.UDP = outer
	}
}

// mapNATPMP asks the next router by NAT-PMP (RFC 6886).
func mapNATPMP(ports map[string]uint16) (m PortMap, release func() error) {
	release = func() error { return nil }
	table, err := netroute.New()
	if err != nil {
		return m, release
	}
	_, gateway, _, err := table.Route(netip.MustParseAddr("1.1.1.1").AsSlice()) // any on the Internet
	if err != nil || gateway == nil {
		return m, release
	}
	router := natpmp.NewClientWithTimeout(gateway, natPMPTime)
	outer, err := router.GetExternalAddress()
	if err != nil {
		return m, release // it does not speak NAT-PMP
	}
	m.Found, m.By, m.External = true, "NAT-PMP", netip.AddrFrom4(outer.ExternalIPAddress)
	for proto, port := range ports {
		if port == 0 {
			continue
		}
		if got, err := router.AddPortMapping(proto, int(port), int(port), mapLife); err == nil {
			m.add(proto, got.MappedExternalPort)
		}
	}
	return m, func() error {
		for proto, port := range ports {
			if port != 0 {
				_, _ = router.AddPortMapping(proto, int(port), 0, 0) // else it ends after mapLife
			}
		}
		return nil
	}
}
