package doctor

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"walrus/internal/ipgroup"
	"walrus/p2p"
)

// probe measures one path with a host of its own, whose only socket is of that transport.
type probe struct {
	path Path
	host *p2p.Host
	port uint16
}

// openProbes opens a host for each transport and IP version that this computer has.
func (x *examination) openProbes() (list []*probe, err error) {
	defer func() {
		if err != nil {
			for _, p := range list {
				_ = p.host.Close() // the first error says more
			}
			list = nil
		}
	}()
	versions := []bool{false}
	if slices.ContainsFunc(x.facts.Own, func(a netip.Addr) bool {
		reach, _ := ipgroup.Of(a)
		return a.Is6() && reach == ipgroup.Internet
	}) {
		versions = append(versions, true)
	}
	for _, six := range versions {
		for _, t := range []Transport{TCP, QUIC} {
			key, err := x.cfg.key()
			if err != nil {
				return list, err
			}
			p := &probe{path: Path{Transport: t, IPv6: six}}
			if p.host, err = p2p.New(x.hostConfig(key, x.listen(t, six))); err != nil {
				return list, fmt.Errorf("examine %s: %w", p.path.name(), err)
			}
			list = append(list, p)
			for _, a := range p.host.Libp2p().Network().ListenAddresses() {
				if _, at, ok := endpoint(a); ok {
					p.port = at.Port()
				}
			}
		}
	}
	return list, nil
}

// listen returns the configured address for a path, or one with any port.
func (x *examination) listen(t Transport, six bool) string {
	for _, text := range x.cfg.Listen {
		a, err := multiaddr.NewMultiaddr(text)
		if err != nil {
			continue
		}
		if u, at, ok := endpoint(a); ok && u == t && at.Addr().Is6() == six {
			return text
		}
	}
	any := netip.IPv4Unspecified()
	if six {
		any = netip.IPv6Unspecified()
	}
	return multi(t, netip.AddrPortFrom(any, 0)).String()
}

// mapPorts asks the router to forward the ports of the IPv4 probes, until release.
func (x *examination) mapPorts(ctx context.Context, probes []*probe) (m p2p.PortMap, release func() error) {
	ports := map[Transport]uint16{}
	for _, p := range probes {
		if !p.path.IPv6 {
			ports[p.path.Transport] = p.port
		}
	}
	ctx, cancel := context.WithTimeout(ctx, mapTime)
	defer cancel()
	return p2p.MapPorts(ctx, ports[TCP], ports[QUIC])
}

// probe fills in the paths and the mapping.
func (x *examination) probe(ctx context.Context, probes []*probe, members []peer.AddrInfo, mapped <-chan p2p.PortMap) {
	var seeing, dialling sync.WaitGroup
	for _, p := range probes {
		seeing.Go(func() { p.see(ctx, members) })
	}
	seeing.Wait()
	back := make([][]Back, 3*len(probes))
	for i, p := range probes {
		if len(p.path.Seen) == 0 {
			continue
		}
		dialling.Go(func() { back[3*i] = p.back(ctx, Back{Addr: p.path.Seen[0]}) })
		dialling.Go(func() {
			for _, at := range x.announced(p) {
				back[3*i+1] = append(back[3*i+1], p.back(ctx, Back{Addr: at, Announced: true})...)
			}
		})
	}
	m := <-mapped
	x.facts.Mapping = Mapping{Found: m.Found, By: m.By, External: m.External, TCP: m.TCP, UDP: m.UDP}
	for i, p := range probes {
		outer := m.TCP
		if p.path.Transport == QUIC {
			outer = m.UDP
		}
		if outer == 0 || p.path.IPv6 || len(p.path.Seen) == 0 {
			continue
		}
		dialling.Go(func() {
			// The router may not know its address, or a private one; members know where we come from.
			back[3*i+2] = p.back(ctx, Back{Addr: netip.AddrPortFrom(p.path.Seen[0].Addr(), outer), Mapped: true})
		})
	}
	dialling.Wait()
	for i, p := range probes {
		p.path.Back = slices.Concat(back[3*i : 3*i+3]...)
		x.facts.Paths = append(x.facts.Paths, p.path)
	}
}

// see asks members, each at another IP address, for the address from which they see the probe.
func (p *probe) see(ctx context.Context, members []peer.AddrInfo) {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	var mu sync.Mutex
	var asking sync.WaitGroup
	used := map[netip.Addr]bool{}
	for _, m := range members {
		var addr multiaddr.Multiaddr
		for _, a := range m.Addrs {
			if t, at, ok := endpoint(a); ok && t == p.path.Transport && at.Addr().Is6() == p.path.IPv6 && !used[at.Addr()] {
				addr = a
				used[at.Addr()] = true
				break
			}
		}
		if addr == nil {
			continue
		}
		p.path.Asked++
		asking.Go(func() {
			if p.host.Connect(ctx, peer.AddrInfo{ID: m.ID, Addrs: []multiaddr.Multiaddr{addr}}) != nil {
				return
			}
			seen, err := p.host.Outside().Whoami(ctx, m.ID)
			if err != nil {
				return
			}
			if t, at, ok := endpoint(seen); ok && t == p.path.Transport {
				mu.Lock()
				defer mu.Unlock()
				p.path.Seen = append(p.path.Seen, at)
			}
		})
		if p.path.Asked == observers {
			break
		}
	}
	asking.Wait()
}

// maxAnnounced bounds the announced addresses that are dialled for one path: each takes up to backTime.
const maxAnnounced = 1

// announced returns the configured addresses that lead to a probe at the configured port. A running node has that port,
// and judges by itself.
func (x *examination) announced(p *probe) (list []netip.AddrPort) {
	if x.cfg.Running != "" {
		return nil
	}
	for _, text := range x.cfg.Announce {
		a, err := multiaddr.NewMultiaddr(text)
		if err != nil {
			continue
		}
		if t, at, ok := endpoint(a); ok && t == p.path.Transport && at.Addr().Is6() == p.path.IPv6 && len(list) < maxAnnounced {
			list = append(list, at)
		}
	}
	return list
}

// back lets members dial an address of the probe through members that it asked before. If all refuse to, it returns
// nothing.
func (p *probe) back(ctx context.Context, b Back) []Back {
	ctx, cancel := context.WithTimeout(ctx, backTime)
	defer cancel()
	addr := multi(p.path.Transport, b.Addr)
	asked := p.host.Libp2p().Network().Peers()
	var mu sync.Mutex
	var asking sync.WaitGroup
	through, refused := false, 0
	asked = asked[:min(len(asked), 2)] // one may be busy, or lie
	for _, via := range asked {
		asking.Go(func() {
			d, err := p.host.Outside().DialBack(ctx, via, addr, true)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil && d.OK:
				through = true
				cancel() // one is enough
			case err == nil && d.Refused:
				refused++
			}
		})
	}
	asking.Wait()
	if !through && refused == len(asked) {
		return nil
	}
	b.OK = through
	return []Back{b}
}
