package monitor

import (
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/monitor/round"
	"walrus/monitor/score"
	"walrus/probe"
	"walrus/shards"
)

// RoundInfo tells which round it is.
type RoundInfo struct {
	Number uint64        `json:"number"`
	Start  time.Time     `json:"start"`
	Length time.Duration `json:"lengthNanos"`
	Epoch  uint32        `json:"epoch"`
}

// NodeScore tells how a node fares. A score of −1 is unknown.
type NodeScore struct {
	Node   peer.ID `json:"node"`
	Name   string  `json:"name"`
	Shards int     `json:"shards"`
	// Level is the lowest of the three lines', and bad while the last verdict is bad. No data is never a good sign.
	Level        score.Level `json:"level"`
	Durability   float64     `json:"durability"` // 0 to 100, as the next two
	Reachability float64     `json:"reachability"`
	Speed        float64     `json:"speed"`
	// Round is the last one with a verdict: more than a third of the weight said something. 0 if no late one has. The rest
	// is of it. The newest rounds' verdicts may still change, by rebuttals.
	Round    uint64        `json:"round"`
	At       time.Time     `json:"at,omitzero"`
	Outcome  round.Outcome `json:"outcome"` // with the most weight
	RTT      time.Duration `json:"rttNanos"`
	Rate     uint64        `json:"bytesPerSecond"`
	Monitors int           `json:"monitors"` // with weight, that asked
}

// Summary tells in one line for people what monitors said of the node lately.
func (n *NodeScore) Summary() string {
	if n.Monitors == 0 {
		return "no data: monitors have not spoken lately"
	}
	text := fmt.Sprintf("%s, by %d monitors", n.Outcome, n.Monitors)
	for _, line := range []struct {
		name  string
		value float64
	}{{"durability", n.Durability}, {"reachability", n.Reachability}, {"speed", n.Speed}} {
		if line.value < 0 {
			text += fmt.Sprintf(", %s no data", line.name)
		} else {
			text += fmt.Sprintf(", %s %.0f", line.name, line.value)
		}
	}
	return text
}

// Hour sums up an hour of one node. A score of −1 is unknown.
type Hour struct {
	Start        time.Time     `json:"start"`
	Rounds       int           `json:"rounds"`   // with a verdict
	Outcomes     Counts        `json:"outcomes"` // of these rounds
	Durability   float64       `json:"durability"`
	Reachability float64       `json:"reachability"`
	Speed        float64       `json:"speed"`
	RTT          time.Duration `json:"rttNanos"` // of the last round with a verdict
	Rate         uint64        `json:"bytesPerSecond"`
}

// Worst returns the worst outcome of the hour; round.NotAsked if it has no verdicts.
func (h *Hour) Worst() round.Outcome { return h.Outcomes.worst() }

// NodeHours has the hours of one node, the oldest first. Hours without any record are left out.
type NodeHours struct {
	Node  peer.ID `json:"node"`
	Name  string  `json:"name"`
	Hours []Hour  `json:"hours"`
}

// Kind of a monitor.
type Kind string

// The kinds.
const (
	Member   Kind = "member"   // of the committee: weighs by its shards
	Bonded   Kind = "bonded"   // weighs by its bond
	Unbonded Kind = "unbonded" // weighs nothing
)

// MonitorInfo tells of a monitor.
type MonitorInfo struct {
	Monitor peer.ID   `json:"monitor"`
	Name    string    `json:"name,omitempty"` // of a member
	Kind    Kind      `json:"kind"`
	Weight  float64   `json:"weight"` // its part of the whole weight, 0 to 1
	Round   uint64    `json:"round"`  // of its last attestation
	At      time.Time `json:"at,omitzero"`
	Void    bool      `json:"void"` // it reached fewer than half of the nodes that it asked
	Counts  Counts    `json:"outcomes"`
	// Silenced is the end of its silence: it signed two different attestations for one round.
	Silenced time.Time `json:"silencedUntil,omitzero"`
	// Unproven: in a late round it showed receipts that do not lead to the root that it attested.
	Unproven bool `json:"unproven,omitempty"`
}

// Matrix has what each monitor saw of each node in one round.
type Matrix struct {
	Round uint64      `json:"round"`
	Start time.Time   `json:"start"`
	Nodes []peer.ID   `json:"nodes"`
	Rows  []MatrixRow `json:"rows"` // by weight, the greatest first
}

// MatrixRow is one monitor's part of a Matrix.
type MatrixRow struct {
	MonitorInfo
	Seen []round.Outcome `json:"seen"` // by node
}

// Counts has a number for each outcome.
type Counts struct {
	OK          int `json:"ok"`
	Slow        int `json:"slow"`
	Missing     int `json:"missing"`
	Wrong       int `json:"wrong"`
	Timeout     int `json:"timeout"`
	Unreachable int `json:"unreachable"`
}

func (c *Counts) of(o round.Outcome) *int {
	switch o {
	case round.OK:
		return &c.OK
	case round.Slow:
		return &c.Slow
	case round.Missing:
		return &c.Missing
	case round.Wrong:
		return &c.Wrong
	case round.Timeout:
		return &c.Timeout
	case round.Unreachable:
		return &c.Unreachable
	}
	return nil
}

func (c *Counts) add(o round.Outcome) {
	if n := c.of(o); n != nil {
		*n++
	}
}

// badness lists outcomes, the worst first.
var badness = []round.Outcome{round.Wrong, round.Missing, round.Unreachable, round.Timeout, round.Slow, round.OK}

func (c *Counts) worst() round.Outcome {
	for _, o := range badness {
		if *c.of(o) > 0 {
			return o
		}
	}
	return round.NotAsked
}

// Risk tells of how many slivers blobs have, by samples that this process took. Only a process with a Prober takes any.
type Risk struct {
	Sampled int `json:"sampled"` // blobs, of the last month
	Shards  int `json:"shards"`  // of the network
	Least   int `json:"least"`   // rows that make a blob
	// Lost counts blobs with fewer than Least right rows. Histogram[i] counts those with at least i tenths of the others.
	Lost      int        `json:"lost"`
	Histogram [11]int    `json:"histogram"`
	Nearest   []BlobRisk `json:"nearest"` // the least margin first, at most MaxNearest
}

// MaxNearest bounds the blobs that Risk names.
const MaxNearest = 50

// BlobRisk is the last sample of a blob.
type BlobRisk struct {
	Blob   shards.BlobID `json:"blobId"`
	Bytes  uint64        `json:"bytes"`
	At     time.Time     `json:"at"`
	Rows   int           `json:"rows"`   // that answered rightly, each from its own shard
	Shards int           `json:"shards"` // of the network
	Least  int           `json:"least"`  // rows that rebuild the blob
	// Margin is Rows − Least: so many more may be lost.
	Margin int `json:"margin"`
}

// EvidenceInfo describes evidence that convicts a node.
type EvidenceInfo struct {
	ID      string        `json:"id"` // hexadecimal BLAKE2b-256 of its binary form
	Node    peer.ID       `json:"node"`
	Monitor peer.ID       `json:"monitor"` // from which it came
	Round   uint64        `json:"round"`
	At      time.Time     `json:"at"` // start of that round
	Blob    shards.BlobID `json:"blobId"`
	Verdict string        `json:"verdict"` // missing or wrong
	Axis    string        `json:"axis"`
	Sliver  int           `json:"sliver"`
	Symbol  int           `json:"symbol"` // in the sliver's expansion; −1 if the whole sliver is meant
	Size    int           `json:"size"`   // bytes
	Height  uint64        `json:"height"` // of the ledger when the node signed
}

// Event concerns this process's own node.
type Event struct {
	Round uint64
	Start time.Time // of the round
	// Monitor is the one whose attestation or evidence it is; empty for a verdict of all.
	Monitor peer.ID
	Weight  float64 // of Monitor, its part of the whole weight
	// Outcome of this node by Monitor, or by all if Monitor is empty; NotAsked if nobody with weight said anything.
	Outcome round.Outcome
	// Evidence was put here by Monitor and convicts this node; Proof is it. It is kept if there is room. nil without any.
	Evidence *EvidenceInfo
	Proof    *probe.Evidence
}
