package doctor

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

// seen returns what n members see: the same port each, or a different one if step is not 0.
func seen(ip string, n int, port, step uint16) (list []netip.AddrPort) {
	for i := range n {
		list = append(list, netip.AddrPortFrom(netip.MustParseAddr(ip), port+uint16(i)*step))
	}
	return list
}

func back(addr string, ok bool) Back { return Back{Addr: netip.MustParseAddrPort(addr), OK: ok} }

func forwarded(addr string, ok bool) Back {
	return Back{Addr: netip.MustParseAddrPort(addr), OK: ok, Mapped: true}
}

func addrs(list ...string) (out []netip.Addr) {
	for _, s := range list {
		if s == "" {
			out = append(out, netip.Addr{})
			continue
		}
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

// facts returns those of a healthy computer, with TCP and QUIC over IPv4 measured alike but for their ports.
func facts(own string, tcp, udp Path) *Facts {
	clock := 3 * time.Millisecond
	tcp.Transport, udp.Transport = TCP, QUIC
	for _, p := range []*Path{&tcp, &udp} {
		p.Asked = 4
	}
	return &Facts{
		Role: HomePeer, Port: 4001, Own: addrs(own), Paths: []Path{tcp, udp}, Clock: &clock, Files: 65536, Version: "v1.2.0",
		Versions: []string{"v1.2.0", "v1.2.0", "v1.1.0"}, Disk: &Disk{Dir: "/data", Free: 1 << 40, Sync: time.Millisecond},
	}
}

func with(f *Facts, change func(*Facts)) *Facts {
	change(f)
	return f
}

const home, outer = "192.168.1.2", "44.1.0.1"

func coneFacts() *Facts {
	p := Path{Seen: seen(outer, 4, 40001, 0), Back: []Back{back("44.1.0.1:40001", false)}}
	return facts(home, p, p)
}

func symmetricFacts() *Facts {
	p := Path{Seen: seen(outer, 4, 40001, 17), Back: []Back{back("44.1.0.1:40001", false)}}
	return facts(home, p, p)
}

func publicFacts() *Facts {
	p := Path{Seen: seen(outer, 4, 4001, 0), Back: []Back{back("44.1.0.1:4001", true)}}
	return facts(outer, p, p)
}

func node(f *Facts) *Facts {
	f.Role = StorageNode
	return f
}

// TestJudge judges set-ups: what each path is, whether something needs doing, and what is said.
func TestJudge(t *testing.T) {
	for _, tt := range []struct {
		name     string
		facts    *Facts
		tcp, udp Verdict
		act      bool
		says     []string // in the findings
		silent   []string // not in them
	}{
		{"public", publicFacts(), Reachable, Reachable, false, []string{"44.1.0.1:4001"}, []string{"outer"}},
		{"public node", node(publicFacts()), Reachable, Reachable, false, nil, []string{"outer"}},
		{"cone", coneFacts(), Punchable, Punchable, false, []string{"40001", "same moment", "4 members"}, []string{"CGNAT", "two routers"}},
		{"node behind a cone", node(coneFacts()), Punchable, Punchable, true, []string{"forward port 4001 (TCP and UDP) to 192.168.1.2"}, nil},
		{"full cone", facts(home, Path{Seen: seen(outer, 4, 40001, 0), Back: []Back{back("44.1.0.1:40001", true)}},
			Path{Seen: seen(outer, 4, 40002, 0), Back: []Back{back("44.1.0.1:40002", true)}}), Mapped, Mapped, false, []string{"44.1.0.1:40002", "lets this port through"}, nil},
		{"symmetric", symmetricFacts(), RelayedOnly, RelayedOnly, true, []string{"another outer port", "40001, 40018, 40035, 40052"}, nil},
		{"symmetric for UDP alone", facts(home, coneFacts().Paths[0], symmetricFacts().Paths[1]), Punchable, RelayedOnly, false, nil, nil},
		{"one observer", facts(home, Path{Seen: seen(outer, 1, 40001, 0)}, Path{Seen: seen(outer, 2, 40001, 0)}),
			RelayedOnly, Punchable, false, []string{"Only one member answered"}, nil},
		{"UDP blocked", facts(home, coneFacts().Paths[0], Path{}), Punchable, Blocked, false,
			[]string{"QUIC (UDP) is blocked", "4 members asked, none answered", "Nothing must be done"}, []string{"offline"}},
		{"TCP blocked", facts(home, Path{}, coneFacts().Paths[1]), Blocked, Punchable, false, []string{"TCP is blocked", "three times the CPU"}, nil},
		{"offline", facts(home, Path{}, Path{}), Blocked, Blocked, true, []string{"offline", "bootstrap"}, []string{"port mapping", "IPv6"}},
		{"CGNAT by hops", with(coneFacts(), func(f *Facts) { f.Hops = addrs("192.168.1.1", "100.64.0.1") }), Punchable, Punchable, false,
			[]string{"CGNAT", "100.64.0.1", "Ask the provider"}, []string{"turn on UPnP"}},
		{"CGNAT by the router's answer", with(coneFacts(), func(f *Facts) { f.Mapping = Mapping{Found: true, External: netip.MustParseAddr("100.70.1.2")} }),
			Punchable, Punchable, false, []string{"CGNAT", "100.70.1.2"}, nil},
		{"double NAT", node(with(coneFacts(), func(f *Facts) { f.Hops = addrs("192.168.1.1", "10.0.0.1") })), Punchable, Punchable, true,
			[]string{"two routers", "10.0.0.1", "bridge mode"}, []string{"CGNAT"}},
		{"silent first hops", with(coneFacts(), func(f *Facts) { f.Hops = addrs("", "") }), Punchable, Punchable, false, nil, []string{"CGNAT", "two routers"}},
		{"public second hop", with(coneFacts(), func(f *Facts) { f.Hops = addrs("192.168.1.1", "44.9.9.9") }), Punchable, Punchable, false, nil, []string{"CGNAT", "two routers"}},
		{"UPnP", with(facts(home, Path{Seen: seen(outer, 4, 40001, 0), Back: []Back{back("44.1.0.1:40001", false), forwarded("44.1.0.1:5555", true)}},
			Path{Seen: seen(outer, 4, 40001, 0), Back: []Back{back("44.1.0.1:40001", false), forwarded("44.1.0.1:5556", true)}}),
			func(f *Facts) {
				f.Mapping = Mapping{Found: true, External: netip.MustParseAddr(outer), TCP: 5555, UDP: 5556}
			}),
			Mapped, Mapped, false, []string{"44.1.0.1:5555", "44.1.0.1:5556", "forwards ports at our request"}, []string{"turn on UPnP"}},
		{"UPnP that forwards nothing", node(with(facts(home, Path{Seen: seen(outer, 4, 40001, 0), Back: []Back{forwarded("44.1.0.1:5555", false)}}, Path{}),
			func(f *Facts) { f.Mapping = Mapping{Found: true, External: netip.MustParseAddr(outer), TCP: 5555} })),
			Punchable, Blocked, true, []string{"nothing arrives there"}, nil},
		{"UPnP refused", node(with(coneFacts(), func(f *Facts) { f.Mapping = Mapping{Found: true, External: netip.MustParseAddr(outer)} })),
			Punchable, Punchable, true, []string{"refuses to forward"}, nil},
		{"NAT-PMP", with(facts(home, Path{Seen: seen(outer, 4, 40001, 0), Back: []Back{forwarded("44.1.0.1:5555", true)}}, Path{}),
			func(f *Facts) {
				f.Mapping = Mapping{Found: true, By: "NAT-PMP", External: netip.MustParseAddr(outer), TCP: 5555}
			}),
			Mapped, Blocked, false, []string{"It gave one by NAT-PMP"}, []string{"UPnP"}},
		{"loopback", node(with(facts(home, Path{Seen: seen("127.0.0.1", 4, 4001, 0), Back: []Back{back("127.0.0.1:4001", true)}},
			Path{Seen: seen("127.0.0.1", 4, 4001, 0)}), func(f *Facts) { f.Running = running("reachable, tcp reachable") })),
			Unknown, Unknown, false, []string{"nothing is known about a router"}, []string{"mapped", "everybody", "port mapping"}},
		{"firewall", node(facts(outer, Path{Seen: seen(outer, 4, 4001, 0), Back: []Back{back("44.1.0.1:4001", false)}},
			Path{Seen: seen(outer, 4, 4001, 0), Back: []Back{back("44.1.0.1:4001", true)}})), Punchable, Reachable, false,
			[]string{"firewall", "Open port 4001"}, []string{"The router"}},
		{"forwarded port of a running node", node(with(coneFacts(), func(f *Facts) { f.Running = running("mapped, tcp mapped, quic blocked") })),
			Mapped, Punchable, false, []string{"everybody can reach the running node"}, nil},
		{"running node that nobody reaches", node(with(coneFacts(), func(f *Facts) { f.Running = running("unknown") })),
			Punchable, Punchable, true, nil, []string{"running node"}},
		{"wrong announce", node(with(publicFacts(), func(f *Facts) {
			f.Paths[0].Back = append(f.Paths[0].Back, Back{Addr: netip.MustParseAddrPort("44.1.0.1:4009"), Announced: true})
		})), Reachable, Reachable, true, []string{"44.1.0.1:4009", "Correct announce"}, nil},
		{"clock ahead", with(publicFacts(), func(f *Facts) { *f.Clock = 10 * time.Minute }), Reachable, Reachable, true, []string{"10m0s ahead of the network's"}, nil},
		{"clock behind", with(publicFacts(), func(f *Facts) { *f.Clock = -5 * time.Second }), Reachable, Reachable, true, []string{"5s behind"}, nil},
		{"clock unknown", with(publicFacts(), func(f *Facts) { f.Clock = nil }), Reachable, Reachable, false, []string{"not compared"}, nil},
		{"few files for a home", with(publicFacts(), func(f *Facts) { f.Files = 256 }), Reachable, Reachable, false, []string{"LimitNOFILE"}, nil},
		{"few files for a node", node(with(publicFacts(), func(f *Facts) { f.Files = 1024 })), Reachable, Reachable, true, []string{"LimitNOFILE"}, nil},
		{"disk full", node(with(publicFacts(), func(f *Facts) { f.Disk.Free = 100 << 20 })), Reachable, Reachable, true, []string{"refuses new data"}, nil},
		{"disk nearly full", node(with(publicFacts(), func(f *Facts) { f.Disk.Free = 1 << 30 })), Reachable, Reachable, false, []string{"will be full soon"}, nil},
		{"store at its limit", node(with(publicFacts(), func(f *Facts) { f.Disk.Limit, f.Disk.Used = 1<<30, 1<<30 })), Reachable, Reachable, true, []string{"store.limit"}, nil},
		{"disk read-only", node(with(publicFacts(), func(f *Facts) { f.Disk.Err = "read-only file system" })), Reachable, Reachable, true, []string{"cannot be written"}, nil},
		{"slow disk", node(with(publicFacts(), func(f *Facts) { f.Disk.Sync = 80 * time.Millisecond })), Reachable, Reachable, false, []string{"SSD"}, nil},
		{"old version", with(publicFacts(), func(f *Facts) { f.Version = "v1.1.0"; f.Versions = []string{"v1.2.0", "v1.2.1", "v1.1.0"} }),
			Reachable, Reachable, false, []string{"Update to v1.2.1"}, nil},
		{"one boasts of a version", with(publicFacts(), func(f *Facts) { f.Versions = []string{"v9.0.0", "v1.2.0", "v1.2.0"} }), Reachable, Reachable, false, nil, []string{"Update"}},
		{"unreleased version", with(publicFacts(), func(f *Facts) { f.Version = "3c4d5e6" }), Reachable, Reachable, false, nil, []string{"Update"}},
		{"twin", node(with(publicFacts(), func(f *Facts) { f.Twins = []string{"/ip4/44.9.0.1/tcp/4001"} })), Reachable, Reachable, true, []string{"/ip4/44.9.0.1/tcp/4001", "Stop one"}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := Judge(tt.facts)
			var text strings.Builder
			for _, f := range r.Findings {
				text.WriteString(f.Check + ": " + f.What + " " + f.Why + " " + f.Do + "\n")
				if f.State == Act && f.Do == "" && !strings.Contains(f.Check, "over IPv") {
					t.Errorf("%s: something needs doing, but the finding does not say what", f.Check)
				}
			}
			if r.Findings[0].Verdict != tt.tcp || r.Findings[1].Verdict != tt.udp || r.Act() != tt.act {
				t.Errorf("TCP %s, QUIC %s, act %v: want %s, %s, %v\n%s", r.Findings[0].Verdict, r.Findings[1].Verdict, r.Act(), tt.tcp, tt.udp, tt.act, text.String())
			}
			best := tt.tcp
			if tt.udp.Better(best) {
				best = tt.udp
			}
			if r.Verdict != best {
				t.Errorf("over all %s: want %s", r.Verdict, best)
			}
			for _, s := range tt.says {
				if !strings.Contains(text.String(), s) {
					t.Errorf("nothing about %q in\n%s", s, text.String())
				}
			}
			for _, s := range tt.silent {
				if strings.Contains(text.String(), s) {
					t.Errorf("speaks of %q:\n%s", s, text.String())
				}
			}
		})
	}
}

// TestIPv6 judges IPv6 apart: it can be open while IPv4 is not, and absent without anything needing to be done.
func TestIPv6(t *testing.T) {
	f := node(coneFacts())
	f.Own = append(f.Own, netip.MustParseAddr("2a00::5"))
	six := Path{Transport: TCP, IPv6: true, Asked: 4, Seen: seen("2a00::5", 4, 4001, 0), Back: []Back{back("[2a00::5]:4001", true)}}
	f.Paths = append(f.Paths, six)
	if r := Judge(f); r.Verdict != Reachable || r.Act() {
		t.Errorf("%s, act %v: want reachable over IPv6, and nothing to do: %+v", r.Verdict, r.Act(), r.Findings)
	}
	f.Paths[2].Seen, f.Paths[2].Back = nil, nil
	r := Judge(f)
	at := slices.IndexFunc(r.Findings, func(f Finding) bool { return f.Check == "TCP over IPv6" })
	if at < 0 || r.Findings[at].State != Note || r.Findings[at].Verdict != Blocked {
		t.Errorf("dead IPv6 beside IPv4: %+v: want a note", r.Findings)
	}
}
