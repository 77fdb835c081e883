package main

import (
	"strings"
	"testing"
	"time"

	"walrus/p2p"
)

// TestDiskText: health shows a node's disk use, and why it accepts no new data.
func TestDiskText(t *testing.T) {
	s := newNodeState(&p2p.NodeStatus{DiskBytes: 3 << 29, DiskLimit: 2 << 30, DiskFree: 5 << 30, DiskReserve: 256 << 20,
		Refuses: "disk is\nfull"})
	if got := s.diskText(); got != "1.50 GiB used of at most 2.00 GiB; 5.00 GiB free, 256.00 MiB of it reserved" ||
		s.Refuses != "disk is full" {
		t.Errorf("disk %q, refuses %q", got, s.Refuses)
	}
	var b strings.Builder
	a := &terminal{stdout: newOutput(t.Context(), &b)}
	if err := a.printHealth(healthReport{Nodes: []nodeReport{{NodeName: "n", Reachable: true, nodeState: s}}},
		0); err != nil || !strings.Contains(b.String(), "1.50 GiB/2.00 GiB") ||
		!strings.HasSuffix(b.String(), "\n0 of 1 node is healthy; no monitor was heard: this is what the nodes say of themselves\n") {
		t.Errorf("%v: %s", err, b.String())
	}
	older := newNodeState(&p2p.NodeStatus{DiskBytes: 1})
	if got := older.diskText(); got != "1 B used" {
		t.Errorf("disk of a node that tells no more %q", got)
	}
}

// TestSliversText tells how far a repair is, if that is known.
func TestSliversText(t *testing.T) {
	for want, st := range map[string]p2p.NodeStatus{
		"3 stored, 0 owed, 0 corrupt": {Slivers: 3,
			RepairState: p2p.RepairState{RepairRate: 9}},
		"3 stored, 4 owed, 1 corrupt": {Slivers: 3,
			RepairState: p2p.RepairState{Owed: 4, Corrupt: 1}},
		"3 stored, 4 owed, 1 corrupt; 120 rebuilt per hour, about 2m0s left": {Slivers: 3,
			RepairState: p2p.RepairState{Owed: 4, Corrupt: 1, RepairRate: 120, RepairLeft: 2 * time.Minute}},
	} {
		s := newNodeState(&st)
		if got := s.sliversText(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
