package p2p

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
)

// TestReachTraces replays events and compares the conclusions with the ones written beside them. A line is an event, or
// "= verdict; addresses" to compare with; "# " begins a trace.
func TestReachTraces(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join("testdata", "reach.txt"))
	if err != nil {
		t.Fatal(err)
	}
	s, name, compared := newReachState(), "", 0
	for n, line := range strings.Split(string(raw), "\n") {
		switch fields := strings.Fields(line); {
		case strings.HasPrefix(line, "# "):
			s, name = newReachState(), line[2:]
		case len(fields) == 0:
		case fields[0] == "=":
			compared++
			if got, want := describeReach(s.reach()), strings.TrimSpace(line[1:]); got != want {
				t.Errorf("line %d, %s:\ngot  %s\nwant %s", n+1, name, got, want)
			}
		default:
			s.step(parseReachEvent(t, fields))
		}
	}
	if compared < 10 {
		t.Errorf("only %d conclusions were compared", compared)
	}
}

func describeReach(r Reach) string {
	var list []string
	for _, a := range r.Addrs {
		list = append(list, fmt.Sprintf("%s %s", a.Addr, a.Verdict))
	}
	to := map[network.Reachability]string{network.ReachabilityPublic: "public", network.ReachabilityPrivate: "private", network.ReachabilityUnknown: "as before"}
	return strings.TrimSpace(fmt.Sprintf("%s, %s, %d relays, dialled by %d; %s", r.Verdict, to[r.reachability()], len(r.Relays), r.DialledBy, strings.Join(list, ", ")))
}

// parseReachEvent reads one event. Peers are numbers.
func parseReachEvent(t *testing.T, f []string) any {
	t.Helper()
	addrs := func(list []string) (out []multiaddr.Multiaddr) {
		for _, s := range list {
			out = append(out, multiaddr.StringCast(s))
		}
		return out
	}
	switch f[0] {
	case "addrs": // own IP addresses, |, addresses
		i := slices.Index(f, "|")
		e := addrsChanged{addrs: addrs(f[i+1:])}
		for _, ip := range f[1:i] {
			e.own = append(e.own, netip.MustParseAddr(ip))
		}
		return e
	case "judged": // reachable, |, unreachable
		i := slices.Index(f, "|")
		return confirmed{addrs(f[1:i]), addrs(f[i+1:])}
	case "dial":
		return dialledBack{multiaddr.StringCast(f[1]), peer.ID(f[2]), f[3] == "ok", strings.Join(f[4:], " ")}
	case "nat":
		return natFound{f[1] == "udp", map[string]NAT{"cone": NATCone, "symmetric": NATSymmetric, "unknown": NATUnknown}[f[2]]}
	case "relays":
		return relaysChanged{addrs(f[1:])}
	}
	t.Fatalf("unknown event %q", f[0])
	return nil
}

// TestReachSummary: one line says the best of all and of each transport.
func TestReachSummary(t *testing.T) {
	s := newReachState()
	s.step(addrsChanged{addrs: []multiaddr.Multiaddr{multiaddr.StringCast("/ip4/44.1.0.1/tcp/1"), multiaddr.StringCast("/ip4/44.1.0.1/udp/1/quic-v1")}})
	s.step(confirmed{reachable: s.addrs[:1], unreachable: s.addrs[1:]})
	if got, want := s.reach().Summary(), "mapped, tcp mapped, quic blocked"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
