package natbench

import (
	"fmt"
	"strings"
	"time"
)

// examined is the output of walrus doctor.
type examined struct {
	Verdict  string `json:"verdict"`
	OK       bool   `json:"ok"`
	Findings []struct {
		Check   string `json:"check"`
		Verdict string `json:"verdict"`
		State   string `json:"state"`
		What    string `json:"what"`
		Why     string `json:"why"`
		Do      string `json:"do"`
	} `json:"findings"`
}

// patients lists set-ups, and what walrus doctor must say in each: the verdicts by transport, and words in its
// findings.
var patients = []struct {
	name     string
	kind     kind // "" for a public address
	tcp, udp string
	words    string
	code     int
}{
	{"public", "", "reachable", "reachable", "", 0},
	{"cone", cone, "punchable", "punchable", "same moment", 0},
	{"full cone", fullCone, "mapped", "mapped", "", 0},
	{"symmetric", symmetric, "relayed only", "relayed only", "another outer port", 1},
	{"UDP blocked", noUDP, "punchable", "blocked", "QUIC (UDP) is blocked", 0},
	{"CGNAT", nested, "punchable", "punchable", "CGNAT", 0},
	{"UPnP", upnp, "mapped", "mapped", "gave one by UPnP", 0},
	{"NAT-PMP", natPMP, "mapped", "mapped", "gave one by NAT-PMP", 0},
	{"all blocked", shut, "blocked", "blocked", "offline", 1},
}

// examine runs walrus doctor in each set-up.
func (b *bench) examine() [][]string {
	t := b.t
	table := [][]string{{"DOCTOR IN", "TCP", "QUIC", "EXIT", "TOOK", "SAYS"}}
	rows := make([][]string, len(patients))
	var hosts []*host
	for i, p := range patients {
		if name := fmt.Sprintf("d%d", i); p.kind == "" {
			hosts = append(hosts, b.public(name))
		} else {
			hosts = append(hosts, b.home(name, p.kind))
		}
	}
	all(len(patients), func(i int) {
		p := patients[i]
		var x examined
		code, took, err := b.ask(hosts[i], patience, &x, "doctor")
		rows[i] = []string{p.name, "-", "-", fmt.Sprint(code), fmt.Sprintf("%.1f s", took.Seconds()), ""}
		if err != nil {
			t.Errorf("doctor in %s: %v", p.name, err)
			return
		}
		var tcp, udp, text string
		for _, f := range x.Findings {
			switch f.Check {
			case "TCP over IPv4":
				tcp = f.Verdict
			case "QUIC (UDP) over IPv4":
				udp = f.Verdict
			}
			text += f.What + " " + f.Why + " " + f.Do + "\n"
		}
		rows[i][1], rows[i][2] = tcp, udp
		if tcp != p.tcp || udp != p.udp || !strings.Contains(text, p.words) || code != p.code {
			t.Errorf("doctor in %s: TCP %s, QUIC %s, exit code %d: want %s, %s and %d, and a finding about %q; it said:\n%s",
				p.name, tcp, udp, code, p.tcp, p.udp, p.code, p.words, text)
		}
		if took > doctorTime {
			t.Errorf("doctor in %s took %s: want at most %s", p.name, took.Round(time.Millisecond), doctorTime)
		}
	})
	return append(append(table, rows...), nil)
}
