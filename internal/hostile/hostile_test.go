package hostile

import (
	"context"
	"crypto/ed25519"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/client"
	"walrus/internal/pause"
	"walrus/p2p"
)

type peerID = peer.ID

var (
	fullRun   = flag.Bool("hostile.full", false, "run all attacks against processes; latency counts, too")
	walrusBin = flag.String("hostile.walrus", "", "`path` of the walrus binary whose nodes are attacked")
	nodes     = flag.Int("hostile.nodes", 7, "number of nodes")
	only      = flag.String("hostile.rows", "", "`regexp` of the rows to run; all others are left out")
	longer    = flag.Float64("hostile.longer", 1, "multiply the length of each attack")
)

// row is an attack and the judgement of it.
type row struct {
	name   string
	attack string
	// open and openLatency say what is not built yet, for a row whose figure, or whose honest client beside it, is not
	// as it should be. Such a row is shown and fails nothing.
	open, openLatency string
	short             bool // part of the short form
	run               func(*testing.T, *referee) outcome
}

// rows list the attacks that a public node must withstand. The last one may leave debts that nobody can pay.
var rows = []row{
	{"garbage", "a stranger uploads wrong pairs of a blob that another has paid for", "", "", true, refereeGarbage},
	{"payer", "who has paid for a blob uploads wrong pairs of it, as twelve peers", "", "", true, refereePayer},
	{"again", "who has paid for a blob uploads again what the nodes have", "", "", false, refereeAgain},
	{"symbols", "four strangers ask for symbols without end", "", "", false, refereeSymbols},
	{"silence", "four payers hold all memory for uploads and say nothing", "", "", false, refereeSilence},
	{"slots", "1,000 identities from 20 networks connect and idle", "", "", false, refereeSlots},
	{"junk", "512 liars answer with 200 junk addresses of each member", "", "", true, refereeJunk},
	{"providers", "ten identities announce 10,000 providers each", "", "", true, refereeProviders},
	{"status", "strangers ask 1,000 times a second for the status", "", "", false, refereeStatus},
	{"gossip", "four strangers gossip bad certificates and replays", "", "", true, refereeGossip},
	{"crowd", "1,000 identities do all of this at once", "", "blocks come half as often", false, refereeCrowd},
	{"replay", "an old certificate for a blob registered anew", "", "", true, refereeReplay},
}

// referee judges attacks on a network.
type referee struct {
	full   bool
	fleet  *fleet
	nodes  []peer.AddrInfo
	honest *honest

	quiet []sample // of the honest client while nobody attacks
	peak  vitals   // of the whole run
}

// outcome is the judgement of one row.
type outcome struct {
	phase
	figure                string
	before, during, after string
	holds                 bool
	why                   string // it does not hold
}

// phase is an attack as seen from the nodes and from the honest client.
type phase struct {
	before, during vitals
	score          score
	cores          float64 // of the attackers, on average
	samples        []sample
	failed         error // of the attacker itself: nothing is proven then
}

// verdict of a row.
type verdict struct {
	row
	outcome
	text   string
	broken bool
}

// TestHostile lets hostile peers loose on a network of real hosts. Rows that hold must go on holding.
func TestHostile(t *testing.T) {
	count := 4
	if *fullRun {
		if *walrusBin == "" {
			t.Fatal("-hostile.full attacks processes: name the binary with -hostile.walrus")
		}
		count = *nodes
	}
	wanted, err := regexp.Compile("^(" + *only + ")$")
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	r := &referee{full: *fullRun}
	path := ""
	if r.full {
		path = *walrusBin
	}
	r.fleet = newFleet(t, path, count)
	for _, text := range r.fleet.net.Addresses {
		info, err := peer.AddrInfoFromString(text)
		if err != nil {
			t.Fatal(err)
		}
		r.nodes = append(r.nodes, *info)
	}
	r.honest = newHonest(t, r.fleet)
	ctx, stop := context.WithCancel(t.Context())
	var load sync.WaitGroup
	load.Go(func() { r.honest.run(ctx) })
	defer load.Wait()
	defer stop()
	if r.full {
		r.rest(t, 8*time.Second)
	}
	var table []verdict
	for _, row := range rows {
		if *only != "" && !wanted.MatchString(row.name) || *only == "" && !r.full && !row.short {
			continue
		}
		began := time.Now()
		v, slow := r.judge(row, row.run(t, r))
		if slow && v.broken {
			t.Logf("%s: %s; once more: a busy machine is slow by itself", row.name, v.text)
			v, _ = r.judge(row, row.run(t, r))
		}
		t.Logf("%s: %s (%s)", row.name, v.text, time.Since(began).Round(time.Second))
		table = append(table, v)
	}
	table = append(table, r.overall(table))
	t.Logf("took %s\n%s", time.Since(begin).Round(time.Second), r.print(table))
	for _, v := range table {
		if v.broken {
			t.Errorf("%s: %s", v.name, v.text)
		}
	}
}

const (
	// slower is the factor by which the honest client may be slower beside an attacker.
	slower = 3
	// noise is the delay that a busy machine causes by itself.
	noise = 50 * time.Millisecond
	// maxBlockAge: the network makes a block at each heartbeat, or at once when there is something to do.
	maxBlockAge = 10
	// maxHeap of a node, whatever strangers do.
	maxHeap = 512 << 20
)

// judge makes the verdict on a row. slow: nothing is wrong but what is open, and that the honest client was slow.
func (r *referee) judge(row row, o outcome) (v verdict, slow bool) {
	v = verdict{row: row, outcome: o}
	late, failed := r.beside(o.samples)
	var parts []string
	part := func(good bool, open, why string) {
		switch {
		case good:
		case open != "":
			parts = append(parts, "open ("+open+"): "+why)
		default:
			v.broken = true
			parts = append(parts, "BROKEN: "+why)
		}
	}
	if o.failed != nil {
		o.holds, o.why = false, fmt.Sprintf("the attacker failed: %v", o.failed)
	}
	part(o.holds, row.open, o.why)
	part(failed == "", row.open, failed)
	part(late == "", row.openLatency, late)
	if v.text = strings.Join(parts, "; "); v.text == "" {
		v.text = "holds"
	}
	if o.holds && failed == "" && row.open != "" {
		v.text += " (the figure is as it should be: take the row off the open ones)"
	}
	return v, late != "" && (row.open != "" || o.holds && failed == "")
}

// beside says how the honest client fared beside an attack: whether it was slow, and whether it failed.
func (r *referee) beside(samples []sample) (late, failed string) {
	for _, store := range []bool{false, true} {
		word := map[bool]string{false: "read", true: "store"}[store]
		quiet, _, _ := p99(r.quiet, store)
		took, n, errs := p99(samples, store)
		if len(errs) > 0 {
			failed += fmt.Sprintf("%d of %d honest %ss fail: %s. ", len(errs), n, word, errs[0])
		}
		if r.full && took > slower*quiet+noise {
			late += fmt.Sprintf("honest %ss take %s, quiet %s. ", word, round(took), round(quiet))
		}
	}
	return strings.TrimSpace(late), strings.TrimSpace(failed)
}

// overall judges the whole run. While a row is open, its attack may be to blame.
func (r *referee) overall(table []verdict) verdict {
	v := verdict{row: row{name: "all", attack: "all of them, one after the other"}, outcome: outcome{
		figure: "greatest heap and resident memory of a node; greatest age of the newest block",
		during: fmt.Sprintf("%s, %s; %.1f s", mib(r.peak.heap), mib(r.peak.rss), r.peak.age),
	}, text: "holds"}
	if r.full && (r.peak.heap > maxHeap || r.peak.age > maxBlockAge) {
		v.text = fmt.Sprintf("heap at most %s, block age at most %d s", mib(maxHeap), maxBlockAge)
		v.broken = !slices.ContainsFunc(table, func(v verdict) bool { return strings.HasPrefix(v.text, "open") })
		v.text = map[bool]string{true: "BROKEN: ", false: "open (with the rows above): "}[v.broken] + v.text
	}
	return v
}

// print makes the table.
func (r *referee) print(table []verdict) string {
	var b strings.Builder
	quietRead, reads, _ := p99(r.quiet, false)
	quietStore, stores, _ := p99(r.quiet, true)
	fmt.Fprintf(&b, "honest client, quiet: p99 of %d reads %s, of %d stores %s\n\n", reads, round(quietRead), stores, round(quietStore))
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ROW\tATTACK\tREAD p99\tSTORE p99\tCORES\tBEFORE\tDURING\tAFTER\tVERDICT")
	for _, v := range table {
		read, _, _ := p99(v.samples, false)
		store, _, _ := p99(v.samples, true)
		short := "holds"
		switch {
		case v.broken:
			short = "BROKEN"
		case strings.HasPrefix(v.text, "open"):
			short = "open"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n",
			v.name, v.attack, times(read, quietRead), times(store, quietStore), v.taken(), v.before, v.during, v.after, short)
	}
	_ = w.Flush()
	for _, v := range table {
		fmt.Fprintf(&b, "\n%s: %s\n  %s", v.name, v.figure, v.text)
	}
	return b.String()
}

// taken tells the cores that the nodes took before and during an attack, and the attackers.
func (p phase) taken() string {
	if p.during.cpu == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f, %.1f + %.1f", p.before.cpu, p.during.cpu, p.cores)
}

// times shows a latency, and how many times as long it is as on a quiet network.
func times(d, quiet time.Duration) string {
	if d == 0 || quiet == 0 {
		return round(d)
	}
	return fmt.Sprintf("%s (%.1f x)", round(d), d.Seconds()/quiet.Seconds())
}

func round(d time.Duration) string {
	if d == 0 {
		return "-"
	}
	return d.Round(time.Millisecond).String()
}

func mib(bytes float64) string { return fmt.Sprintf("%.0f MiB", bytes/(1<<20)) }

// long returns the length of an attack.
func (r *referee) long(d time.Duration) time.Duration {
	if !r.full {
		d /= 3
	}
	return time.Duration(float64(d) * *longer)
}

// rest lets the network be for a while, and measures the honest client, beside a process that takes as much CPU as
// attackers do and asks nobody anything.
func (r *referee) rest(t *testing.T, d time.Duration) vitals {
	t.Helper()
	end, err := launch(t.Context(), "nothing", &arena{}, r.full, slotTime)
	if err != nil {
		t.Fatal(err)
	}
	mark := r.honest.mark()
	v := r.watch(t, d)
	r.quiet = append(r.quiet, r.honest.since(mark)...)
	if _, err := end(); err != nil {
		t.Fatal(err)
	}
	return v
}

// arena completes the description of the network.
func (r *referee) arena(a *arena) *arena {
	a.Network, a.NetworkID, a.Shards, a.Nodes = r.fleet.genesis.Network, r.fleet.genesis.NetworkID(), r.fleet.net.Shards, r.nodes
	return a
}

// under rests, and attacks for d beside the honest client. Then, still under attack, it calls during.
func (r *referee) under(t *testing.T, name string, a *arena, d time.Duration, during func(context.Context)) (p phase) {
	t.Helper()
	p.before = r.rest(t, r.long(3*time.Second))
	mark := r.honest.mark()
	var watched sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	watched.Go(func() { p.during = r.watchUntil(ctx) })
	began := time.Now()
	end, err := launch(t.Context(), name, r.arena(a), r.full, slotTime)
	if err == nil {
		pause.For(t.Context(), d)
		p.samples = r.honest.since(mark)
		if during != nil {
			during(t.Context())
		}
		p.score, err = end()
		p.cores = p.score[cpuScore] / time.Since(began).Seconds()
	}
	cancel()
	watched.Wait()
	p.failed = err
	r.peak.raise(p.during)
	return p
}

// store stores a blob for an attack.
func (r *referee) store(t *testing.T, size int, opt client.StoreOptions) deposit {
	t.Helper()
	return r.honest.mustPut(t, size, opt)
}

// visit joins as a new client and reads a blob.
func (r *referee) visit(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, operation)
	defer cancel()
	n, err := r.fleet.join(ctx, name, nil)
	if err != nil {
		return err
	}
	h := honest{Node: n}
	return errors.Join(h.get(ctx, r.honest.blobs[0]), n.Close())
}

// reachAll opens a peer that knows one node, and lets it look for each member.
func (r *referee) reachAll(t *testing.T) (found int, slowest time.Duration) {
	t.Helper()
	_, d := r.peer(t)
	for _, n := range r.nodes {
		begin := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 2*reachTime)
		err := d.Connect(ctx, n.ID)
		cancel()
		if err == nil {
			found++
		} else {
			t.Logf("a new peer looks for %s: %v", n.ID, err)
		}
		slowest = max(slowest, time.Since(begin))
	}
	return found, slowest
}

// newHonestHost opens the host of a process that anybody can reach.
func newHonestHost(network string) (*p2p.Host, error) {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, err
	}
	return p2p.New(p2p.Config{Network: network, Key: key, Listen: []string{"/ip4/127.0.0.1/tcp/0"}, Logger: slog.New(slog.DiscardHandler)})
}
