package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/spf13/cobra"

	"walrus/compose"
	"walrus/config"
	"walrus/doctor"
	"walrus/p2p"
)

func doctorCommand(a *app) *cobra.Command {
	var home, friend string
	var stay bool
	c := &cobra.Command{
		Use:   "doctor [--home FOLDER]",
		Short: "find out how others reach this computer, and what to do about it",
		Long: `Examine this computer: how others reach it through its router, its clock, and with --home the disk and the keys of a storage
node. Each finding says what was found, why, and what to do. It takes up to 15 seconds. The exit code is 1 if something needs
doing. Members of the network are asked from which address they see this computer, and to dial it; the router is asked to
forward a port for as long as the examination lasts.

For each transport there is one verdict, best first:
  reachable     everybody connects to this computer's own address
  mapped        everybody connects to a port that the router forwards
  punchable     most others connect, after a member has introduced them
  relayed only  only small requests arrive, through a member
  unknown       all members that answered run on this computer
  blocked       nothing gets out

In a private network, set identity in client.yaml and list its peer ID on the nodes: they answer nobody else.

To test the way between two homes, run --stay in one, and in the other --peer with the peer ID that it prints.

  walrus doctor
  walrus doctor --home /var/lib/walrus
  walrus doctor --stay
  walrus doctor --peer 12D3KooW…

--json prints {"ok","verdict","findings":[{"check","verdict","state","what","why","do"}]}. "state" is ok, note or act. With --stay
it prints a line {"peerId","addresses","verdict"} at each change, and {"punched","ok","seconds","rttSeconds","addresses","why"} for
each attempt to connect directly. With --peer it prints {"peerId","class","transport","address","relayedSeconds","directSeconds",
"attempts"}, where "class" is direct or relayed, and "attempts" has the same form as those lines.`,
		Args: args(cobra.NoArgs, "no arguments"),
		RunE: func(c *cobra.Command, _ []string) error {
			switch {
			case stay && friend != "":
				return usagef("%s: --stay and --peer: use one of them", c.CommandPath())
			case home != "" && (stay || friend != ""):
				return usagef("%s: --home: a storage node is not tested from here; leave it out", c.CommandPath())
			case stay:
				return doctorStay(c.Context(), a)
			case friend != "":
				return doctorVisit(c.Context(), a, friend)
			}
			return runDoctor(c.Context(), a, home)
		},
	}
	c.Flags().StringVar(&home, "home", "", "home `FOLDER` of the storage node to examine (default: this computer as a client)")
	c.Flags().BoolVar(&stay, "stay", false, "stay in the network until interrupted, so that another computer can test the way here")
	c.Flags().StringVar(&friend, "peer", "",
		"test the way to the computer with this peer `ID`, or at this address, which runs walrus doctor --stay")
	return c
}

// errNeedsDoing is returned by doctor if a finding says what to do.
var errNeedsDoing = errors.New("something needs doing")

// doctorTimeout is more than an examination lasts.
const doctorTimeout = 30 * time.Second

func runDoctor(ctx context.Context, a *app, home string) error {
	ctx, cancel := a.withTimeout(ctx, doctorTimeout)
	defer cancel()
	cfg, err := doctorConfig(ctx, a, home)
	if err != nil {
		return err
	}
	facts, err := doctor.Examine(ctx, cfg)
	if err != nil {
		return err
	}
	r := doctor.Judge(facts)
	if a.global.json {
		err = a.printJSON(newDoctorReport(&r))
	} else {
		err = printDoctor(a.stdout, &r)
	}
	if err == nil && r.Act() {
		return errNeedsDoing
	}
	return err
}

func doctorConfig(ctx context.Context, a *app, home string) (doctor.Config, error) {
	if home == "" {
		conf, err := a.loadClient()
		if err != nil {
			return doctor.Config{}, err
		}
		log, err := a.logger(conf.Log)
		if err != nil {
			return doctor.Config{}, err
		}
		return compose.DoctorClient(conf, version, log)
	}
	conf, err := config.LoadNode(home)
	if err != nil {
		return doctor.Config{}, err
	}
	level := conf.Log
	level.Level = "" // a command's, not a node's
	log, err := a.logger(level)
	if err != nil {
		return doctor.Config{}, err
	}
	return compose.DoctorNode(ctx, conf, version, log)
}

// doctorReport is the JSON output of doctor.
type doctorReport struct {
	OK       bool            `json:"ok"`
	Verdict  string          `json:"verdict"`
	Findings []doctorFinding `json:"findings"`
}

type doctorFinding struct {
	Check   string `json:"check"`
	Verdict string `json:"verdict,omitempty"`
	State   string `json:"state"`
	What    string `json:"what"`
	Why     string `json:"why,omitempty"`
	Do      string `json:"do,omitempty"`
}

func newDoctorReport(r *doctor.Report) doctorReport {
	out := doctorReport{OK: !r.Act(), Verdict: string(r.Verdict), Findings: []doctorFinding{}}
	for _, f := range r.Findings {
		out.Findings = append(out.Findings, doctorFinding{
			Check: f.Check, Verdict: string(f.Verdict), State: string(f.State), What: oneLine(f.What), Why: oneLine(f.Why), Do: f.Do,
		})
	}
	return out
}

func printDoctor(w io.Writer, r *doctor.Report) error {
	for _, f := range r.Findings {
		what := f.What
		if f.Verdict != "" {
			what = string(f.Verdict) + ": " + what
		}
		text := fmt.Sprintf("%-4s  %s: %s\n", f.State, f.Check, visible(oneLine(what)))
		if f.Why != "" {
			text += "      " + visible(oneLine(f.Why)) + "\n"
		}
		if f.Do != "" {
			text += "      To do: " + visible(f.Do) + "\n"
		}
		if _, err := fmt.Fprint(w, text); err != nil {
			return err
		}
	}
	return nil
}

func doctorStay(ctx context.Context, a *app) error {
	cfg, err := doctorConfig(ctx, a, "")
	if err != nil {
		return err
	}
	var mu sync.Mutex // of standard output
	return doctor.Stay(ctx, cfg, func(o doctor.Online) error {
		mu.Lock()
		defer mu.Unlock()
		return a.ready(struct {
			PeerID    string   `json:"peerId"`
			Addresses []string `json:"addresses"`
			Verdict   string   `json:"verdict"`
		}{o.PeerID.String(), o.Addresses, o.Verdict},
			"%s: on the other computer, run walrus doctor --peer %s\n", online(o.Verdict), o.PeerID)
	}, func(p p2p.Punch) {
		mu.Lock()
		defer mu.Unlock()
		result := "connected directly"
		if !p.OK {
			result = "no direct connection: " + visible(oneLine(p.Why))
		}
		// The next line of the same output reports a failure to write.
		_ = a.ready(newDoctorPunch(&p), "%s: %s, after %s\n", p.Peer, result, seconds(p.Took))
	})
}

// online describes a verdict of doctor.Stay for people: at first nobody has dialled this computer, and later perhaps
// not over each transport.
func online(verdict string) string {
	best, rest, _ := strings.Cut(verdict, ", ")
	if best == p2p.Unknown.String() {
		return "others have not tried yet to reach this computer"
	}
	for part := range strings.SplitSeq(rest, ", ") {
		if part != "" && !strings.HasSuffix(part, " "+p2p.Unknown.String()) {
			best += ", " + part
		}
	}
	return best
}

// doctorPunch is an attempt to connect directly, in the JSON output of doctor.
type doctorPunch struct {
	Punched   string   `json:"punched"`
	OK        bool     `json:"ok"`
	Seconds   float64  `json:"seconds"`
	RTT       float64  `json:"rttSeconds,omitempty"`
	Addresses []string `json:"addresses,omitempty"`
	Why       string   `json:"why,omitempty"`
}

func newDoctorPunch(p *p2p.Punch) doctorPunch {
	return doctorPunch{p.Peer.String(), p.OK, p.Took.Seconds(), p.RTT.Seconds(), p.Addrs, oneLine(p.Why)}
}

func doctorVisit(ctx context.Context, a *app, friend string) error {
	var to peer.AddrInfo
	var err error
	if strings.HasPrefix(friend, "/") {
		var info *peer.AddrInfo
		if info, err = peer.AddrInfoFromString(friend); err == nil {
			to = *info
		}
	} else {
		to.ID, err = peer.Decode(friend)
	}
	if err != nil {
		return usagef("--peer %q: want a peer ID or an address, as walrus doctor --stay prints them", friend)
	}
	ctx, cancel := a.withTimeout(ctx, time.Minute)
	defer cancel()
	cfg, err := doctorConfig(ctx, a, "")
	if err != nil {
		return err
	}
	w, err := doctor.Visit(ctx, cfg, to)
	if err != nil {
		return err
	}
	attempts := make([]doctorPunch, 0, len(w.Attempts))
	for _, p := range w.Attempts {
		attempts = append(attempts, newDoctorPunch(&p))
	}
	class, text := "relayed", "only through a relay: data cannot flow between these two computers"
	if w.Direct {
		class, text = "direct", fmt.Sprintf("directly over %s, after %s", w.Transport, seconds(w.Connected))
	}
	return a.result(struct {
		PeerID    string        `json:"peerId"`
		Class     string        `json:"class"`
		Transport string        `json:"transport,omitempty"`
		Address   string        `json:"address"`
		Relayed   float64       `json:"relayedSeconds,omitempty"`
		Direct    float64       `json:"directSeconds,omitempty"`
		Attempts  []doctorPunch `json:"attempts"`
	}{w.Self.String(), class, w.Transport, w.Address, w.Relayed.Seconds(), w.Connected.Seconds(), attempts}, "connected to %s %s\n", to.ID, text)
}
