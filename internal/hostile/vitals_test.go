package hostile

import (
	"context"
	"fmt"
	"testing"
	"time"

	"walrus/internal/pause"
)

// vitals of the nodes over some time.
type vitals struct {
	heap, rss float64   // bytes; greatest of all nodes
	age       float64   // seconds since the newest block; greatest
	owed      float64   // slivers; greatest of the sums over all nodes
	cpu       float64   // cores of all nodes together, on average
	cpuOf     []float64 // cores of each node, on average
}

func (v *vitals) raise(w vitals) {
	v.heap, v.rss, v.age, v.owed = max(v.heap, w.heap), max(v.rss, w.rss), max(v.age, w.age), max(v.owed, w.owed)
}

// watch reads the nodes' metrics for a while.
func (r *referee) watch(t *testing.T, d time.Duration) vitals {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	return r.watchUntil(ctx)
}

// watchUntil reads the nodes' metrics until ctx ends. Nodes that do not answer now are left out: they may restart.
func (r *referee) watchUntil(ctx context.Context) (v vitals) {
	type reading struct {
		cpu float64
		at  time.Time
	}
	first, last := map[int]reading{}, map[int]reading{}
	look := func() {
		var owed float64
		for i := range r.fleet.nodes {
			m, err := r.fleet.read(context.WithoutCancel(ctx), i)
			if err != nil {
				continue
			}
			owed += m["walrus_node_slivers_owed"]
			v.raise(vitals{heap: m["go_memstats_heap_inuse_bytes"], rss: m["process_resident_memory_bytes"],
				age: m["walrus_ledger_block_age_seconds"]})
			now := reading{m["process_cpu_seconds_total"], time.Now()}
			if was, known := first[i]; !known || now.cpu < was.cpu { // restarted
				first[i] = now
			}
			last[i] = now
		}
		v.owed = max(v.owed, owed)
	}
	look()
	for pause.For(ctx, time.Second) {
		look()
	}
	look()
	v.cpuOf = make([]float64, len(r.fleet.nodes))
	for i, was := range first {
		if d := last[i].at.Sub(was.at).Seconds(); d > 0 {
			v.cpuOf[i] = (last[i].cpu - was.cpu) / d
			v.cpu += v.cpuOf[i]
		}
	}
	return v
}

// height returns the greatest height of a node.
func (r *referee) height(t *testing.T) (height float64) {
	t.Helper()
	for i := range r.fleet.nodes {
		if m, err := r.fleet.read(t.Context(), i); err == nil {
			height = max(height, m["walrus_ledger_height"])
		}
	}
	return height
}

// owed returns the slivers owed by all nodes.
func (r *referee) owed(t *testing.T) (sum float64) {
	t.Helper()
	for i := range r.fleet.nodes {
		m, err := r.fleet.read(t.Context(), i)
		if err != nil {
			t.Fatal(err)
		}
		sum += m["walrus_node_slivers_owed"]
	}
	return sum
}

// disks returns the space that each node's store takes.
func (r *referee) disks() (all []float64) {
	for i := range r.fleet.nodes {
		all = append(all, r.fleet.disk(i))
	}
	return all
}

// grown returns how much the store grew that grew most.
func (r *referee) grown(before []float64) (most float64) {
	for i, now := range r.disks() {
		most = max(most, now-before[i])
	}
	return most
}

// await waits until a node's metrics are as wanted.
func (r *referee) await(ctx context.Context, i int, what string, good func(map[string]float64) bool) error {
	ctx, cancel := context.WithTimeout(ctx, patience/3)
	defer cancel()
	for {
		m, err := r.fleet.read(ctx, i)
		if err == nil && good(m) {
			return nil
		}
		if !pause.For(ctx, 100*time.Millisecond) {
			return fmt.Errorf("node %d: %s is not so: %w", i, what, err)
		}
	}
}

// awaitPeers waits until a node follows the ledger and has met the other members.
func (r *referee) awaitPeers(ctx context.Context, i int) error {
	if err := r.await(ctx, i, "caught up with the ledger", func(m map[string]float64) bool {
		return m["walrus_ledger_caught_up"] == 1 && m[`walrus_current_node_status{status="serving"}`] == 1
	}); err != nil {
		return err
	}
	begun := 0.0
	return r.await(ctx, i, "blocks go on", func(m map[string]float64) bool {
		if begun == 0 {
			begun = m["walrus_ledger_height"]
		}
		return m["walrus_ledger_height"] >= begun+2
	})
}

// awaitServing waits until a node serves.
func (r *referee) awaitServing(t *testing.T, i int) {
	t.Helper()
	if err := r.awaitPeers(t.Context(), i); err != nil {
		t.Fatal(err)
	}
}
