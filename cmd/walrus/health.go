package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"walrus/client"
	"walrus/p2p"
)

func healthCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "health",
		Short: "show the health of every storage node",
		Long: `Ask every storage node for its state, and for what it has heard from monitors of the others. The exit code is 0 only if every
node serves and holds all slivers that it owes, and monitors saw none fail in their last round. Otherwise it is 1, and the
last column gives the problem. "seen" is what monitors saw: the outcome of the last round (ok, slow, missing, wrong, timeout
or unreachable) and the scores for durability, reachability and speed, 0 to 100. What a node says of itself does not count
there. "-" means that nodes with f+1 shards have heard nothing of it lately: without monitors the nodes' own words decide.
"owed" counts the slivers that a node still has to repair. "invalid" counts the blobs that a node learned to be encoded
wrongly by their writers since its start: it keeps nothing of them, and that is no fault of the node.

  walrus health
  until walrus health; do sleep 1; done

--json prints {"ok","nodes":[{"nodeId","nodeName","ok","why","reachable","shards","state","epoch","ledgerHeight",
"ledger","version","blobs","slivers","owed","corrupt","invalid","repairedPerHour","repairSecondsLeft",
"diskBytes","diskLimit","diskFree","diskReserve","refuses","uptimeSeconds","peers","reach","clockAheadSeconds","incidents",
"seen":{"outcome","durability","reachability","speed","monitors"}}],"monitored"}. A score of -1 is unknown. "seen" is left out for a
node of which nothing is known, and "monitored" is false if nothing is known of any.`,
		Args: args(cobra.NoArgs, "no arguments"),
		RunE: func(c *cobra.Command, _ []string) error { return health(c.Context(), a) },
	}
}

// errUnhealthy is returned by health if a node does not serve or lacks slivers.
var errUnhealthy = errors.New("not all nodes are healthy")

// health prints the health of every node.
func health(ctx context.Context, a *app) (err error) {
	ctx, s, err := a.open(ctx, askTimeout)
	if err != nil {
		return err
	}
	defer s.close(&err)
	h, err := s.Health(ctx)
	if err != nil {
		return err
	}
	well := 0
	report := healthReport{OK: h.OK, Monitored: h.Monitored, Nodes: make([]nodeReport, 0, len(h.Nodes))}
	for i := range h.Nodes {
		r := newNodeReport(&h.Nodes[i])
		if r.OK {
			well++
		}
		report.Nodes = append(report.Nodes, r)
	}
	if a.global.json {
		err = a.printJSON(report)
	} else {
		err = a.printHealth(report, well)
	}
	if err == nil && !h.OK {
		return fmt.Errorf("%w: %d of %d are", errUnhealthy, well, len(h.Nodes))
	}
	return err
}

// healthReport is the JSON output of health.
type healthReport struct {
	OK    bool         `json:"ok"`
	Nodes []nodeReport `json:"nodes"`
	// Monitored: something is known of what monitors saw.
	Monitored bool `json:"monitored"`
}

// nodeReport is one node in the output of health and node status.
type nodeReport struct {
	NodeID    string `json:"nodeId"`
	NodeName  string `json:"nodeName"`
	OK        bool   `json:"ok"`
	Why       string `json:"why,omitempty"`
	Reachable bool   `json:"reachable"`
	Shards    []int  `json:"shards"`
	nodeState
	Seen *seenReport `json:"seen,omitempty"`
}

// seenReport tells what monitors saw of a node. A score of -1 is unknown.
type seenReport struct {
	Outcome      string `json:"outcome"`
	Durability   int    `json:"durability"`
	Reachability int    `json:"reachability"`
	Speed        int    `json:"speed"`
	Monitors     int    `json:"monitors"`
}

// cell formats what was seen for a table.
func (s *seenReport) cell() string {
	if s == nil {
		return "-"
	}
	text := s.Outcome
	for i, v := range []int{s.Durability, s.Reachability, s.Speed} {
		score := "?"
		if v >= 0 {
			score = fmt.Sprint(v)
		}
		text += []string{" ", "/", "/"}[i] + score
	}
	return text
}

// nodeState is a node's report about itself.
type nodeState struct {
	State        string `json:"state,omitempty"`
	Epoch        uint32 `json:"epoch"`
	LedgerHeight uint64 `json:"ledgerHeight"`
	Ledger       string `json:"ledger,omitempty"`
	Version      string `json:"version,omitempty"`
	Blobs        uint64 `json:"blobs"`
	Slivers      uint64 `json:"slivers"`
	Owed         uint64 `json:"owed"`
	Corrupt      uint64 `json:"corrupt"`
	repairProgress
	Invalid       uint64 `json:"invalid"`
	DiskBytes     uint64 `json:"diskBytes"`
	DiskLimit     uint64 `json:"diskLimit,omitempty"`
	DiskFree      uint64 `json:"diskFree"`
	DiskReserve   uint64 `json:"diskReserve"`
	Refuses       string `json:"refuses,omitempty"`
	UptimeSeconds int64  `json:"uptimeSeconds"`
	nodePresence
	// ClockAhead is the node's own estimate, in seconds, of how far its clock is ahead of the others'.
	ClockAhead float64  `json:"clockAheadSeconds,omitempty"`
	Incidents  []string `json:"incidents,omitempty"`
}

// nodePresence tells who is connected to a node, and how others reach it.
type nodePresence struct {
	Peers int    `json:"peers"`
	Reach string `json:"reach,omitempty"`
}

// repairProgress tells how fast a node rebuilds slivers.
type repairProgress struct {
	RepairPerHour uint64 `json:"repairedPerHour,omitempty"`
	RepairLeft    int64  `json:"repairSecondsLeft,omitempty"`
}

func newNodeReport(n *client.NodeHealth) nodeReport {
	r := nodeReport{
		NodeID: n.Node.String(), NodeName: n.Name, OK: n.OK, Why: oneLine(n.Why), Reachable: n.Reachable, Shards: n.Shards,
		nodeState: newNodeState(&n.Status),
	}
	if s := &n.Seen; s.Known {
		r.Seen = &seenReport{s.Outcome, s.Durability, s.Reachability, s.Speed, s.Monitors}
	}
	return r
}

func newNodeState(s *p2p.NodeStatus) nodeState {
	return nodeState{
		State: s.State, Epoch: s.Epoch, LedgerHeight: s.Height, Ledger: s.Ledger, Version: s.Version, Blobs: s.Blobs,
		Slivers: s.Slivers, Owed: s.Owed,
		Corrupt: s.Corrupt, Invalid: s.Invalid,
		repairProgress: repairProgress{s.RepairRate, int64(s.RepairLeft / time.Second)}, DiskBytes: s.DiskBytes,
		DiskLimit: s.DiskLimit,
		DiskFree:  s.DiskFree, DiskReserve: s.DiskReserve, Refuses: oneLine(s.Refuses),
		UptimeSeconds: int64(s.Uptime / time.Second), ClockAhead: s.ClockAhead.Seconds(),
		nodePresence: nodePresence{s.Peers, oneLine(s.Reach)},
		Incidents:    s.Incidents,
	}
}

// sliversText formats the slivers, and how far their repair is.
func (s *nodeState) sliversText() string {
	text := fmt.Sprintf("%d stored, %d owed, %d corrupt", s.Slivers, s.Owed, s.Corrupt)
	if s.Owed > 0 && s.RepairLeft > 0 {
		text += fmt.Sprintf("; %d rebuilt per hour, about %v left", s.RepairPerHour, time.Duration(s.RepairLeft)*time.Second)
	}
	return text
}

// diskText formats the store's size and limit, and the free and reserved space of the disk.
func (s *nodeState) diskText() string {
	text := byteSize(s.DiskBytes) + " used"
	if s.DiskLimit > 0 {
		text += " of at most " + byteSize(s.DiskLimit)
	}
	if s.DiskReserve > 0 { // older nodes do not report it
		text += fmt.Sprintf("; %s free, %s of it reserved", byteSize(s.DiskFree), byteSize(s.DiskReserve))
	}
	return text
}

// diskCell is diskText for a table.
func (s *nodeState) diskCell() string {
	if s.DiskLimit > 0 {
		return byteSize(s.DiskBytes) + "/" + byteSize(s.DiskLimit)
	}
	return byteSize(s.DiskBytes)
}

func (a *terminal) printHealth(r healthReport, well int) error {
	rows := [][]string{{"node", "reachable", "state", "shards", "blobs", "slivers", "owed", "corrupt", "disk",
		"version", "seen", "problem"}}
	for _, n := range r.Nodes {
		row := []string{n.NodeName, yesNo(n.Reachable), "-", fmt.Sprint(len(n.Shards)), "-", "-", "-", "-", "-", "-", n.Seen.cell(), n.Why}
		if n.Reachable {
			row = []string{
				n.NodeName, "yes", n.State, fmt.Sprint(len(n.Shards)), fmt.Sprint(n.Blobs), fmt.Sprint(n.Slivers),
				fmt.Sprint(n.Owed), fmt.Sprint(n.Corrupt), n.diskCell(), n.Version, n.Seen.cell(), n.Why,
			}
		}
		rows = append(rows, row)
	}
	if err := table(a.stdout, "", rows); err != nil {
		return err
	}
	are := "are"
	if len(r.Nodes) == 1 {
		are = "is"
	}
	monitors := ""
	if !r.Monitored {
		monitors = "; no monitor was heard: this is what the nodes say of themselves"
	}
	_, err := fmt.Fprintf(a.stdout, "%d of %s %s healthy%s\n", well, plural(len(r.Nodes), "node"), are, monitors)
	return err
}
