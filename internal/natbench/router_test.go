package natbench

import (
	"fmt"
	"strings"
)

// kind of router, by how it treats outgoing connections and unasked packets.
type kind string

const (
	cone      kind = "cone"        // one outer port for all destinations; answers only
	fullCone  kind = "full cone"   // the same; lets everybody in
	symmetric kind = "symmetric"   // another outer port for each destination
	noUDP     kind = "no UDP"      // a cone that drops UDP
	nested    kind = "CGNAT"       // a cone behind a provider's cone
	upnp      kind = "UPnP"        // a cone that forwards ports at request
	natPMP    kind = "NAT-PMP"     // the same, in another protocol
	shut      kind = "all blocked" // lets nothing out
)

// home makes a router and a computer behind it.
func (l *lab) home(name string, k kind) *host {
	r := l.public(name + "-r")
	n := l.next
	if k == nested { // the provider's router is the public one
		provider := r
		r = l.host(name + "-i")
		l.cable(provider, "lan", "100.64.0.1/10", r, "wan", "100.64.0.2/10")
		provider.route(cone, "100.64.0.2")
		r.must("ip", "route", "add", "default", "via", "100.64.0.1")
	}
	h := l.host(name)
	h.addr = fmt.Sprintf("192.168.%d.2", n)
	l.cable(r, "lan", fmt.Sprintf("192.168.%d.1/24", n), h, "eth0", h.addr+"/24")
	h.must("ip", "route", "add", "default", "via", fmt.Sprintf("192.168.%d.1", n))
	r.route(k, h.addr)
	if k == upnp || k == natPMP {
		l.serveMapping(r, n, k)
	}
	return h
}

// cable connects two hosts.
func (l *lab) cable(a *host, aName, aAddr string, b *host, bName, bAddr string) {
	must(l.t, "ip", "link", "add", "name", aName, "netns", a.name, "type", "veth", "peer", "name", bName, "netns", b.name)
	a.must("ip", "addr", "add", aAddr, "dev", aName)
	b.must("ip", "addr", "add", bAddr, "dev", bName)
	a.must("ip", "link", "set", aName, "up")
	b.must("ip", "link", "set", bName, "up")
}

// route makes h a router of a kind; inner is the computer behind it.
func (h *host) route(k kind, inner string) {
	snat, dnat, forward := "masquerade", "", "iifname lan accept"
	switch k {
	case fullCone:
		dnat = "iifname wan dnat to " + inner
		forward += "; iifname wan accept"
	case symmetric:
		snat = "masquerade fully-random"
	case noUDP:
		forward = "meta l4proto udp drop; " + forward
	case shut:
		forward = "drop"
	case upnp, natPMP:
		// miniupnpd marks what it forwards by translating it.
		forward += "; ct status dnat accept"
	}
	// A router that answers an unasked packet would note a connection, which shifts the outer port of the next one that
	// really goes out. So it drops them.
	rules := fmt.Sprintf(`
table ip home {
  chain post { type nat hook postrouting priority srcnat; oifname wan %s; }
  chain pre { type nat hook prerouting priority dstnat; %s; }
  chain through { type filter hook forward priority filter; policy drop; ct state established,related accept; %s; }
  chain mine { type filter hook input priority filter; policy accept; iifname wan ct state new drop; }
}`, snat, dnat, forward)
	if k == noUDP || k == shut { // what is blocked has no answers to let in either
		rules = strings.Replace(rules, "ct state established,related accept; "+forward, forward+"; ct state established,related accept", 1)
	}
	h.must("sysctl", "-qw", "net.ipv4.ip_forward=1")
	cmd := h.command(h.lab.t.Context(), "nft", "-f", "-")
	cmd.Stdin = strings.NewReader(rules)
	if out, err := cmd.CombinedOutput(); err != nil {
		h.lab.t.Fatalf("rules of %s: %v\n%s%s", h.name, err, out, rules)
	}
}
