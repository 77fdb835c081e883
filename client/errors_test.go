package client

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"walrus/certs"
	"walrus/p2p"
)

// TestReasonKeepsCause: the cause, at the end of an error, is never cut off.
func TestReasonKeepsCause(t *testing.T) {
	const full = "this node takes no new data: disk is full: 120.0 MiB are free and 256.0 MiB must stay so"
	err := fmt.Errorf("put metadata of %s: peer %s: %w: %s", strings.Repeat("b", 43), strings.Repeat("p", 52),
		p2p.ErrUnavailable, full)
	for _, long := range []string{"", strings.Repeat("ü", 500)} {
		got := reason(fmt.Errorf("store%s: %w", long, err))
		if !strings.HasPrefix(got, "store") || !strings.HasSuffix(got, full) || len([]rune(got)) > 250 {
			t.Errorf("reason %q", got)
		}
	}
	if got := reason(errors.New("a\n  b")); got != "a b" {
		t.Errorf("reason %q", got)
	}
}

// TestUnwellFull: a node that accepts no data is not well, and says why.
func TestUnwellFull(t *testing.T) {
	n := &NodeHealth{Status: p2p.NodeStatus{State: "read-only", Refuses: "disk is full"}}
	if got := unwell(new(certs.Committee), n, 0); got != "is read-only, takes no new data: disk is full" {
		t.Errorf("unwell %q", got)
	}
}

// TestUnwellOwes: the node's estimate stands beside what it owes.
func TestUnwellOwes(t *testing.T) {
	n := &NodeHealth{Status: p2p.NodeStatus{State: serving,
		RepairState: p2p.RepairState{Owed: 7, RepairLeft: 90 * time.Second}}}
	if got := unwell(new(certs.Committee), n, 0); got != "owes 7 slivers for about 1m30s" {
		t.Errorf("unwell %q", got)
	}
}
