package hostile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"walrus/client"
	"walrus/p2p"
)

// askers is the number of strangers that ask for the status, each some questions at once.
const askers, askedAtOnce = 4, 8

// askStatus asks the first node for its status, Rate times a second together.
func askStatus(ctx context.Context, a *arena, ready func()) (score, error) {
	var hosts []*p2p.Host
	for i := range askers {
		h, err := newStranger(a, i)
		if err != nil {
			return nil, err
		}
		defer h.Close()
		if err := connectAll(ctx, h, &arena{Nodes: a.Nodes[:1]}); err != nil {
			return nil, err
		}
		hosts = append(hosts, h)
	}
	ready()
	var t tally
	begin := time.Now()
	each(askers*askedAtOnce, askers*askedAtOnce, func(i int) {
		tick := time.NewTicker(time.Second * askers * askedAtOnce / time.Duration(a.Rate))
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
			asked := time.Now()
			_, err := hosts[i%askers].NodeStatus(ctx, a.Nodes[0].ID)
			t.outcome(err)
			t.add("wait", time.Since(asked).Seconds())
		}
	})
	s := t.total()
	s["seconds"] = time.Since(begin).Seconds()
	return s, nil
}

// manyEnds is the number of different ends of storage: a store has files of their own for each.
const manyEnds = 20

// statusCost is the CPU that one answer may take, transport and encryption included.
const statusCost = time.Millisecond

// statusNoise is the error of the measurement.
const statusNoise = 100 * time.Microsecond

func refereeStatus(t *testing.T, r *referee) outcome {
	small := r.statusPhase(t, nil)
	// Many more slivers, in many more files, must not make an answer dearer.
	for end := range uint32(manyEnds) {
		r.store(t, 64<<10, client.StoreOptions{Permanent: true, Epochs: 2 + end})
	}
	if err := r.fleet.restart(0, damage); err != nil { // the node finds the damage and reports it
		t.Fatal(err)
	}
	r.awaitServing(t, 0)
	if err := r.await(t.Context(), 0, "everything repaired",
		func(m map[string]float64) bool { return m["walrus_node_slivers_owed"] == 0 }); err != nil {
		t.Log(err)
	}
	seen := r.pathsShown(t)
	ph := r.statusPhase(t, nil)
	cost := func(p phase) time.Duration {
		quiet, busy := p.before.cpuOf[0], p.during.cpuOf[0]
		return time.Duration(max(0, busy-quiet) * float64(time.Second) * p.score["seconds"] / max(1, p.score["accepted"]))
	}
	rate := ph.score["accepted"] / max(1, ph.score["seconds"])
	return outcome{
		phase: ph, figure: "CPU of one answer; answers a second; paths shown to strangers",
		before: fmt.Sprintf("%s (few slivers)", cost(small).Round(10*time.Microsecond)),
		during: fmt.Sprintf("%s (many); %.0f/s; %d", cost(ph).Round(10*time.Microsecond), rate, len(seen)),
		holds:  cost(ph) <= min(statusCost, 2*cost(small)+statusNoise) && len(seen) == 0,
		why: fmt.Sprintf("%s each with many slivers, %s with few, at most %s; paths shown: %q; questions: %v", cost(ph),
			cost(small), statusCost, seen, ph.score),
	}
}

func (r *referee) statusPhase(t *testing.T, during func(context.Context)) phase {
	t.Helper()
	return r.under(t, "status", &arena{Rate: 1000}, r.long(6*time.Second), during)
}

// damage breaks a database of a stopped node's slivers, so that the node has an incident to tell about.
func damage(home string) error {
	var victim string
	err := filepath.WalkDir(filepath.Join(home, "store"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Name() == "MANIFEST" { // the last one in order belongs to a late end
			victim = path
		}
		return err
	})
	if err != nil {
		return err
	}
	if victim == "" {
		return errors.New("the store has no database to damage")
	}
	return os.WriteFile(victim, []byte("damaged"), 0o600)
}

// pathsShown asks node 0 as a stranger and returns the texts that name a folder of its home.
func (r *referee) pathsShown(t *testing.T) (shown []string) {
	t.Helper()
	a := r.arena(&arena{})
	h, err := newStranger(a, 300)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if err := h.Connect(t.Context(), a.Nodes[0]); err != nil {
		t.Fatal(err)
	}
	st, err := h.NodeStatus(t.Context(), a.Nodes[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range append(st.Incidents, st.Refuses, st.Ledger, st.Version) {
		if strings.Contains(text, r.fleet.dir) || strings.Contains(text, "/store/") {
			shown = append(shown, text)
		}
	}
	t.Logf("incidents shown to a stranger: %q", st.Incidents)
	return shown
}
