package doctor

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"walrus/internal/ipgroup"
)

// Verdict tells how peers reach this computer over one path.
type Verdict string

// The verdicts, best first.
const (
	Reachable   Verdict = "reachable"    // peers dial this computer's own address
	Mapped      Verdict = "mapped"       // peers dial a port that the router forwards
	Punchable   Verdict = "punchable"    // most peers connect after an introduction
	RelayedOnly Verdict = "relayed only" // only small requests get through, by way of a member
	Unknown     Verdict = "unknown"      // all members that answered run on this computer
	Blocked     Verdict = "blocked"      // nothing gets out
)

var order = []Verdict{Reachable, Mapped, Punchable, RelayedOnly, Unknown, Blocked}

// Better reports whether v lets more peers in than o.
func (v Verdict) Better(o Verdict) bool { return slices.Index(order, v) < slices.Index(order, o) }

// State tells whether the owner must act.
type State string

// The states of a finding.
const (
	OK   State = "ok"
	Note State = "note" // works, but could be better
	Act  State = "act"  // something needs doing
)

// Finding is one line of the report. Do is empty if nothing can be done.
type Finding struct {
	Check   string // the subject, such as "TCP over IPv4" or "clock"
	Verdict Verdict
	State   State
	What    string
	Why     string
	Do      string
}

// Report holds the findings about a computer.
type Report struct {
	Verdict  Verdict // over the best path
	Findings []Finding
}

// Act reports whether something needs doing.
func (r *Report) Act() bool {
	return slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.State == Act })
}

// Limits from which a finding is more than OK.
const (
	// clockLimit is ledger/light.ClockWarning.
	clockLimit = 5 * time.Second
	// nodeFiles and homeFiles: connections, segments of the store and the ledger's files together.
	nodeFiles, homeFiles = 4096, 1024
	// slowSync: each confirmation waits for a sync, so a disk this slow confirms less than 20 blobs a second.
	slowSync = 50 * time.Millisecond
	// lowDisk is store's reserve: with less free space, a node refuses new data.
	lowDisk = 256 << 20
	// nearlyFull is a warning before that.
	nearlyFull = 5 << 30
)

// Judge turns facts into findings. It does no I/O.
func Judge(f *Facts) Report {
	r := Report{Verdict: Blocked}
	best := map[bool]Verdict{} // by IP version
	for i := range f.Paths {
		v := f.Paths[i].verdict(f)
		if v.Better(r.Verdict) {
			r.Verdict = v
		}
		if b, ok := best[f.Paths[i].IPv6]; !ok || v.Better(b) {
			best[f.Paths[i].IPv6] = v
		}
	}
	for i := range f.Paths {
		r.Findings = append(r.Findings, f.path(&f.Paths[i], r.Verdict, best[f.Paths[i].IPv6]))
	}
	if f.online() {
		r.Findings = append(r.Findings, f.announced()...)
		r.Findings = append(r.Findings, f.router(r.Verdict)...)
		r.Findings = append(r.Findings, f.ipv6()...)
	}
	r.Findings = append(r.Findings, f.clock(), f.files())
	r.Findings = append(r.Findings, f.disk()...)
	return Report{r.Verdict, append(r.Findings, f.identity()...)}
}

func (p *Path) name() string {
	if p.IPv6 {
		return string(p.Transport) + " over IPv6"
	}
	return string(p.Transport) + " over IPv4"
}

// loopback reports whether all members that answered are on this computer.
func (p *Path) loopback() bool {
	return len(p.Seen) > 0 && !slices.ContainsFunc(p.Seen, func(a netip.AddrPort) bool { return !a.Addr().IsLoopback() })
}

// ports returns the number of different outer ports, which tells the kind of router.
func (p *Path) ports() int {
	seen := map[netip.AddrPort]bool{}
	for _, a := range p.Seen {
		seen[a] = true
	}
	return len(seen)
}

// came returns the first address at which a member got through, direct ones before mapped ones.
func (p *Path) came() (Back, bool) {
	var first *Back
	for i := range p.Back {
		if b := &p.Back[i]; b.OK && (first == nil || first.Mapped && !b.Mapped) {
			first = b
		}
	}
	if first == nil {
		return Back{}, false
	}
	return *first, true
}

// firewalled reports whether no router changes our addresses: something else drops what comes in.
func (f *Facts) firewalled(p *Path) bool {
	return len(p.Seen) > 0 && slices.Contains(f.Own, p.Seen[0].Addr())
}

// verdict of a path: what a running node says of its own ports, if that is better than what was measured at others.
func (p *Path) verdict(f *Facts) Verdict {
	v := p.measured(f)
	if v == Unknown {
		return v // whatever dialled the running node is here, too
	}
	if told, ok := f.Running[p.Transport]; ok && told.Better(v) && told.Better(Punchable) {
		return told
	}
	return v
}

func (p *Path) measured(f *Facts) Verdict {
	if p.loopback() {
		return Unknown
	}
	if b, ok := p.came(); ok {
		if slices.Contains(f.Own, b.Addr.Addr()) {
			return Reachable
		}
		return Mapped
	}
	switch {
	case len(p.Seen) == 0:
		return Blocked
	case len(p.Seen) == 1 || p.ports() > 1: // one observer proves nothing about the next port
		return RelayedOnly
	}
	return Punchable
}

// path describes one path. best is the verdict over all, family that over its IP version.
func (f *Facts) path(p *Path, best, family Verdict) Finding {
	out := Finding{Check: p.name(), Verdict: p.verdict(f), State: OK}
	members := count(len(p.Seen), "member")
	if out.Verdict.Better(p.measured(f)) {
		out.What = "everybody can reach the running node"
		out.Why = "The node reports that members have dialled it."
		return out
	}
	switch out.Verdict {
	case Reachable:
		b, _ := p.came()
		out.What = fmt.Sprintf("everybody can reach this computer at %s", b.Addr)
		out.Why = "A member that had not been contacted before connected to this address."
		return out
	case Mapped:
		b, _ := p.came()
		out.What = fmt.Sprintf("everybody can reach this computer at %s", b.Addr)
		out.Why = "The router lets this port through, and a member that had not been contacted before connected to it."
		if b.Mapped {
			out.Why = "The router forwards this port at our request, and a member connected to it."
		}
		return out
	case Punchable:
		out.What = "others can connect once a member has introduced them"
		if f.firewalled(p) {
			out.Why = fmt.Sprintf("%s is this computer's own address, but connections from outside do not arrive: a firewall here or at the "+
				"provider drops them.", p.Seen[0].Addr())
			out.Do = fmt.Sprintf("Open %s in the firewall for incoming %s.", f.portText(), p.Transport)
		} else {
			out.Why = fmt.Sprintf("The router lets in answers only. It uses the outer port %d for every destination (%s saw it), so both sides "+
				"can open a way at the same moment.", p.Seen[0].Port(), members)
			out.Do = f.forward()
		}
	case RelayedOnly:
		out.What = "others reach this computer only through a relay, which carries small requests"
		if p.ports() > 1 {
			out.Why = fmt.Sprintf("The router uses another outer port for every destination (%s), so nobody can know the next one.", portList(p.Seen))
		} else {
			out.Why = "Only one member answered, which does not show how the router behaves."
		}
		out.Do = f.forward()
	case Unknown:
		out.What = "not examined from outside"
		out.Why = "All members that answered run on this computer, so nothing is known about a router."
		return out
	case Blocked:
		f.blocked(p, &out, best, family)
		return out
	}
	switch {
	case f.Role == StorageNode && best.Better(Punchable):
		out.State = Note
	case f.Role == StorageNode, out.Verdict == RelayedOnly && best == RelayedOnly:
		out.State = Act
	case out.Verdict == best:
		out.State, out.Do = OK, ""
	default:
		out.State = Note
	}
	return out
}

// blocked completes the finding for a path over which no member answered.
func (f *Facts) blocked(p *Path, out *Finding, best, family Verdict) {
	asked := fmt.Sprintf("%s asked, none answered", count(p.Asked, "member"))
	switch {
	case best == Blocked:
		out.State = Act
		out.What = "no member of the network answers"
		out.Why = asked + ", over no transport: this computer is offline, or a firewall lets nothing out."
		out.Do = "Check that this computer is online and that its router or firewall lets out TCP and UDP. Check the addresses under " +
			"bootstrap in the configuration."
	case family == Blocked:
		out.State = Note
		out.What = "does not work here"
		out.Why = asked + "; the other IP version works."
		out.Do = "Nothing must be done."
	default:
		out.State = Note
		other := TCP
		if p.Transport == TCP {
			other = QUIC
		}
		out.What = fmt.Sprintf("%s is blocked", p.Transport)
		out.Why = fmt.Sprintf("%s; %s works. A router or firewall drops it, which is common in offices and hotels.", asked, other)
		out.Do = "Nothing must be done: one of the two is enough."
		if p.Transport == TCP {
			out.Do = fmt.Sprintf("Let out TCP in the router or firewall if you can: data over %s costs three times the CPU.", other)
		}
	}
}

func (f *Facts) online() bool {
	return slices.ContainsFunc(f.Paths, func(p Path) bool { return len(p.Seen) > 0 })
}

func (f *Facts) portText() string {
	if f.Port == 0 {
		return "the listening port"
	}
	return fmt.Sprintf("port %d", f.Port)
}

// forward advises how to become reachable.
func (f *Facts) forward() string {
	if f.nested() != "" {
		return "" // the finding about the router has the advice
	}
	if f.Port == 0 {
		return "To be reachable, turn on UPnP in the router."
	}
	inner := "this computer"
	for _, a := range f.Own {
		if reach, _ := ipgroup.Of(a); reach == ipgroup.Site && a.Is4() {
			inner = a.String()
			break
		}
	}
	return fmt.Sprintf("To be reachable, turn on UPnP in the router, or forward port %d (TCP and UDP) to %s there. In the router's pages "+
		"this is called port forwarding, port sharing or virtual server.", f.Port, inner)
}

// announced reports addresses that others are told although they do not lead here.
func (f *Facts) announced() (out []Finding) {
	for i := range f.Paths {
		for _, b := range f.Paths[i].Back {
			if !b.Announced || b.OK {
				continue
			}
			out = append(out, Finding{
				Check: "announced address", State: Act,
				What: fmt.Sprintf("%s over %s does not lead here", b.Addr, f.Paths[i].Transport),
				Why:  "The node tells others this address, but members could not connect to it.",
				Do:   "Correct announce in node.yaml, or forward this port in the router to this computer.",
			})
		}
	}
	return out
}

var carrier = netip.MustParsePrefix("100.64.0.0/10") // RFC 6598: between providers' routers and their customers'

// nested returns the outer address of our router if it is not a public one: a second router stands before it.
func (f *Facts) nested() string {
	outer := f.Mapping.External
	if !outer.IsValid() && len(f.Hops) > 1 && f.Hops[1].IsValid() && f.behindRouter() {
		outer = f.Hops[1] // a neighbour of the router's outer address
	}
	if !outer.IsValid() || slices.Contains(f.Own, outer) {
		return ""
	}
	if reach, _ := ipgroup.Of(outer); reach == ipgroup.Internet {
		return ""
	}
	return outer.String()
}

// behindRouter reports whether an IPv4 address of ours is not the one that members see.
func (f *Facts) behindRouter() bool {
	return slices.ContainsFunc(f.Paths, func(p Path) bool { return !p.IPv6 && len(p.Seen) > 0 && !p.loopback() && !f.firewalled(&p) })
}

// router judges port mapping, and routers behind routers.
func (f *Facts) router(best Verdict) (out []Finding) {
	if !f.behindRouter() {
		return nil
	}
	state := Note
	if best.Better(Punchable) {
		state = OK
	}
	if outer := f.nested(); outer != "" {
		nested := Finding{
			Check: "router", State: state, What: "there are two routers between this computer and the Internet",
			Why: fmt.Sprintf("The outer side of the first one is a private network as well (%s).", outer),
			Do: "Forwarding a port in the first router is not enough. Forward it in both, or switch one of them to bridge mode. If the " +
				"second one is not yours, ask the provider for a public address.",
		}
		if a, err := netip.ParseAddr(outer); err == nil && carrier.Contains(a) {
			nested.What = "the provider shares one public address among many customers (CGNAT)"
			nested.Why = fmt.Sprintf("The outer side of your router is %s, which only providers' own networks use.", outer)
			nested.Do = "Forwarding a port in your router does not help. Ask the provider for a public IPv4 address of your own, often called " +
				"\"dual stack\", or use IPv6."
		}
		if f.Role == StorageNode && state == Note {
			nested.State = Act
		}
		if state == OK {
			nested.Do = ""
		}
		return append(out, nested)
	}
	mapping := Finding{Check: "port mapping", State: state}
	ask := "by UPnP or NAT-PMP"
	if f.Mapping.By != "" {
		ask = "by " + f.Mapping.By
	}
	switch {
	case f.Mapping.TCP != 0 || f.Mapping.UDP != 0:
		mapping.State = OK
		mapping.What = "the router forwards ports at our request"
		mapping.Why = fmt.Sprintf("It gave one %s.", ask)
		if best == Punchable || best == RelayedOnly {
			mapping.State = Note
			mapping.What = "the router promised to forward a port, but nothing arrives there"
			mapping.Do = "Restart the router, or forward the port in its pages. There may be a second router behind it."
		}
	case f.Mapping.Found:
		mapping.What = "the router refuses to forward a port"
		mapping.Why = fmt.Sprintf("It answers requests %s, but gave no port.", ask)
		mapping.Do = "Allow this computer to change port forwarding in the router's pages, often under UPnP."
	default:
		mapping.What = "the router does not forward ports by itself"
		mapping.Why = fmt.Sprintf("It does not answer requests %s.", ask)
		mapping.Do = "Turn on UPnP in the router's pages if there is such a switch."
	}
	if mapping.State == OK {
		mapping.Do = ""
	}
	return append(out, mapping)
}

// ipv6 mentions that there is none, which would help behind IPv4 routers.
func (f *Facts) ipv6() []Finding {
	for _, a := range f.Own {
		if reach, _ := ipgroup.Of(a); reach == ipgroup.Internet && a.Is6() {
			return nil // its paths are judged
		}
	}
	return []Finding{{
		Check: "IPv6", State: OK, What: "this computer has no public IPv6 address",
		Why: "With one, peers that have one, too, could connect more directly.",
	}}
}

func (f *Facts) clock() Finding {
	out := Finding{Check: "clock", State: OK}
	switch {
	case f.Clock == nil:
		out.State = Note
		out.What = "not compared"
		out.Why = "Too few members told their time."
	case max(*f.Clock, -*f.Clock) >= clockLimit:
		out.State = Act
		out.What = fmt.Sprintf("%s %s the network's", f.Clock.Abs().Round(time.Second), ahead(*f.Clock))
		out.Why = "Members told their time, and most agree. With a wrong clock the ledger cannot be verified."
		out.Do = "Turn on automatic time in the system's settings, or run: timedatectl set-ntp true"
	default:
		out.What = fmt.Sprintf("right, to within %s", max(f.Clock.Abs().Round(time.Millisecond), time.Millisecond))
	}
	return out
}

func ahead(d time.Duration) string {
	if d < 0 {
		return "behind"
	}
	return "ahead of"
}

func (f *Facts) files() Finding {
	out := Finding{Check: "open files", State: OK, What: fmt.Sprintf("up to %d", f.Files)}
	need := uint64(homeFiles)
	if f.Role == StorageNode {
		need = nodeFiles
	}
	switch {
	case f.Files == 0:
		out.What = "limit unknown"
	case f.Files < need:
		out.State = Note
		if f.Role == StorageNode {
			out.State = Act
		}
		out.Why = fmt.Sprintf("A %s needs up to %d at once, for connections and data.", f.Role, need)
		out.Do = "Raise the limit: LimitNOFILE=65536 in the systemd unit, or ulimit -n 65536 before the start."
	}
	return out
}

func (f *Facts) disk() []Finding {
	d := f.Disk
	if d == nil {
		return nil
	}
	if d.Err != "" {
		return []Finding{{
			Check: "disk", State: Act, What: fmt.Sprintf("%s cannot be written", d.Dir), Why: d.Err,
			Do: "Check that the disk is mounted and that the user who runs the node owns the folder.",
		}}
	}
	room := Finding{Check: "disk room", State: OK, What: fmt.Sprintf("%s free in %s", bytes(d.Free), d.Dir)}
	switch {
	case d.Free < lowDisk:
		room.State = Act
		room.Why = fmt.Sprintf("With less than %s free, the node refuses new data.", bytes(lowDisk))
		room.Do = "Make room on this disk, or move the store to a larger one."
	case d.Limit > 0 && d.Used >= d.Limit:
		room.State = Act
		room.Why = fmt.Sprintf("The store has reached its limit of %s and refuses new data.", bytes(d.Limit))
		room.Do = "Raise store.limit in node.yaml."
	case d.Free < nearlyFull:
		room.State = Note
		room.Why = "The disk will be full soon."
		room.Do = "Make room on this disk, or move the store to a larger one."
	}
	speed := Finding{Check: "disk speed", State: OK, What: fmt.Sprintf("a small write is safe after %s", d.Sync.Round(10*time.Microsecond))}
	if d.Sync >= slowSync {
		speed.State = Note
		speed.Why = "Every confirmation waits for such a write."
		speed.Do = "Put the home on an SSD, and not on a network drive or an SD card."
	}
	return []Finding{room, speed}
}

// identity judges the program's version, and other processes with our keys.
func (f *Facts) identity() (out []Finding) {
	version := Finding{Check: "version", State: OK, What: f.Version}
	newest := ""
	newer := 0
	for _, v := range f.Versions {
		if compareVersions(v, f.Version) > 0 {
			newer++
			if newest == "" || compareVersions(v, newest) > 0 {
				newest = v
			}
		}
	}
	// One member may claim any version.
	if newer > 1 && 2*newer > len(f.Versions) {
		version.State = Note
		version.Why = fmt.Sprintf("%d of %d members that answered run a newer version, up to %s.", newer, len(f.Versions), newest)
		version.Do = "Update to " + newest + "."
	}
	out = append(out, version)
	if len(f.Twins) > 0 {
		out = append(out, Finding{
			Check: "keys", State: Act, What: "another process uses this node's keys: " + strings.Join(f.Twins, ", "),
			Why: "A member is connected to a node with our keys at an address that is not ours. Two such nodes break each other's connections, and if " +
				"both vote, the stake is slashed.",
			Do: "Stop one of the two now. Each node needs keys of its own: walrus node init.",
		})
	}
	return out
}

// compareVersions compares versions such as v1.2.3. Others, such as a commit, are equal to all.
func compareVersions(a, b string) int {
	x, okA := parseVersion(a)
	y, okB := parseVersion(b)
	if !okA || !okB {
		return 0
	}
	return slices.CompareFunc(x[:], y[:], cmp.Compare[int])
}

func parseVersion(s string) (v [3]int, ok bool) {
	n, err := fmt.Sscanf(s, "v%d.%d.%d", &v[0], &v[1], &v[2])
	return v, err == nil && n == 3
}

func count(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}

// portList names the first few outer ports.
func portList(seen []netip.AddrPort) string {
	var list []string
	for _, a := range seen[:min(len(seen), 4)] {
		list = append(list, fmt.Sprint(a.Port()))
	}
	return strings.Join(list, ", ")
}

func bytes(n uint64) string {
	for _, unit := range []struct {
		size uint64
		name string
	}{{1 << 40, "TiB"}, {1 << 30, "GiB"}, {1 << 20, "MiB"}} {
		if n >= unit.size {
			return fmt.Sprintf("%.4g %s", float64(n)/float64(unit.size), unit.name)
		}
	}
	return fmt.Sprintf("%d B", n)
}
