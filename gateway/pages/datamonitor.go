package pages

import (
	"context"
	"time"
)

// Monitor reads what the monitors of the network saw: see Data. Peers are named by their peer IDs.
type Monitor interface {
	// Overview returns the round, the scores of the committee's nodes, in its order, and the monitors, the heaviest first.
	Overview(ctx context.Context) (*MonitorOverview, error)
	// Hours returns the hours of some nodes from a time on, in the order of nodes, the oldest hour first. Hours without
	// any record are left out. A node that was never monitored has no hours.
	Hours(ctx context.Context, nodes []string, from time.Time) ([]NodeHours, error)
	// Matrix returns what each monitor saw of each node in the last round, the heaviest monitors first.
	Matrix(ctx context.Context) (*MonitorMatrix, error)
	// Risk returns how many slivers sampled blobs have.
	Risk(ctx context.Context) (*BlobRisks, error)
	// Evidence lists the evidence against a node of the last month, the newest first.
	Evidence(ctx context.Context, node string) ([]Evidence, error)
	// EvidenceFile returns one piece of evidence as JSON that walrus monitor verify judges. ErrNotFound: it is not here.
	EvidenceFile(ctx context.Context, id string) ([]byte, error)
}

// Outcome of a round for a node.
type Outcome string

// The outcomes; empty if nobody asked.
const (
	OutcomeOK          Outcome = "ok"          // every answer was right and quick
	OutcomeSlow        Outcome = "slow"        // every answer was right
	OutcomeTimeout     Outcome = "timeout"     // connected, but an answer did not come
	OutcomeUnreachable Outcome = "unreachable" // no connection
	OutcomeMissing     Outcome = "missing"     // it signed that it lacks a sliver that it owes
	OutcomeWrong       Outcome = "wrong"       // it signed something else than the blob has
)

// outcomes lists them, the best first.
var outcomes = []Outcome{OutcomeOK, OutcomeSlow, OutcomeTimeout, OutcomeUnreachable, OutcomeMissing, OutcomeWrong}

// Levels of a node.
const (
	LevelNoData = "no data" // no monitor with weight said anything in the last rounds
	LevelGood   = "good"
	LevelWarn   = "warn" // slow, or with a low score
	LevelBad    = "bad"  // by weighted median it lacks slivers, gives wrong bytes, or does not answer
)

// MonitorRound tells which round it is.
type MonitorRound struct {
	Number uint64        `json:"number"`
	Start  time.Time     `json:"startTime"`
	Length time.Duration `json:"lengthNanos"`
	Epoch  uint32        `json:"epoch"`
}

// MonitorOverview tells how the nodes fare by the word of the monitors.
type MonitorOverview struct {
	Time     time.Time     `json:"time"`
	Round    MonitorRound  `json:"round"`
	Nodes    []NodeScore   `json:"nodes" nullable:"false" doc:"In the order of the committee."`
	Monitors []MonitorInfo `json:"monitors" nullable:"false" doc:"The heaviest first."`
}

// NodeScore is a node with its scores.
type NodeScore struct {
	Peer         string        `json:"peer" doc:"The node's peer ID."`
	Name         string        `json:"name"`
	Shards       int           `json:"shards"`
	Level        string        `json:"level" enum:"no data,bad,warn,good"`
	Durability   float64       `json:"durability" doc:"Whether it has what it owes: 0 to 100, or -1 if nobody knows."`
	Reachability float64       `json:"reachability" doc:"Whether it answers: 0 to 100, or -1 if nobody knows."`
	Speed        float64       `json:"speed" doc:"Whether it answers quickly: 0 to 100, or -1 if nobody knows."`
	Round        uint64        `json:"lastRound" doc:"The last round in which a monitor with weight spoke of it; 0 if none did lately."`
	At           time.Time     `json:"lastRoundTime,omitzero"`
	Outcome      Outcome       `json:"outcome" doc:"Of that round, by weighted median: ok, slow, timeout, unreachable, missing, wrong, or empty."`
	RTT          time.Duration `json:"rttNanos" doc:"Time from a question to the first byte of the answer; 0 if unknown."`
	Rate         uint64        `json:"bytesPerSecond" doc:"0 if unknown."`
	Monitors     int           `json:"monitors" doc:"Monitors with weight that asked in that round."`
}

// Counts has a number for each outcome.
type Counts struct {
	OK          int `json:"ok"`
	Slow        int `json:"slow"`
	Timeout     int `json:"timeout"`
	Unreachable int `json:"unreachable"`
	Missing     int `json:"missing"`
	Wrong       int `json:"wrong"`
}

// of returns the count of an outcome.
func (c *Counts) of(o Outcome) int {
	switch o {
	case OutcomeOK:
		return c.OK
	case OutcomeSlow:
		return c.Slow
	case OutcomeTimeout:
		return c.Timeout
	case OutcomeUnreachable:
		return c.Unreachable
	case OutcomeMissing:
		return c.Missing
	case OutcomeWrong:
		return c.Wrong
	}
	return 0
}

func (c *Counts) add(d *Counts) {
	c.OK, c.Slow, c.Timeout = c.OK+d.OK, c.Slow+d.Slow, c.Timeout+d.Timeout
	c.Unreachable, c.Missing, c.Wrong = c.Unreachable+d.Unreachable, c.Missing+d.Missing, c.Wrong+d.Wrong
}

// Sum returns the number of rounds or nodes counted.
func (c *Counts) Sum() int {
	return c.OK + c.Slow + c.Timeout + c.Unreachable + c.Missing + c.Wrong
}

// worst returns the worst outcome counted; empty for none.
func (c *Counts) worst() (w Outcome) {
	for _, o := range outcomes {
		if c.of(o) > 0 {
			w = o
		}
	}
	return w
}

// NodeHours has the hours of a node.
type NodeHours struct {
	Peer  string `json:"peer"`
	Hours []Hour `json:"hours" nullable:"false" doc:"The oldest first; hours without any record are left out."`
}

// Hour sums up an hour of a node.
type Hour struct {
	Start        time.Time     `json:"startTime"`
	Counts       Counts        `json:"rounds" doc:"Rounds with a verdict, by outcome."`
	Durability   float64       `json:"durability" doc:"At the end of the hour: 0 to 100, or -1 if nobody knows."`
	Reachability float64       `json:"reachability"`
	Speed        float64       `json:"speed"`
	RTT          time.Duration `json:"rttNanos" doc:"0 if unknown."`
	Rate         uint64        `json:"bytesPerSecond" doc:"0 if unknown."`
}

// Kinds of monitors.
const (
	MonitorMember   = "member"   // of the committee: weighs by its shards
	MonitorBonded   = "bonded"   // weighs by its bond
	MonitorUnbonded = "unbonded" // weighs nothing
)

// MonitorInfo tells of a monitor.
type MonitorInfo struct {
	Peer     string    `json:"peer"`
	Name     string    `json:"name,omitempty" doc:"Of a member of the committee."`
	Kind     string    `json:"kind" enum:"member,bonded,unbonded"`
	Weight   float64   `json:"weight" doc:"Its part of the whole weight, 0 to 1."`
	Round    uint64    `json:"lastRound" doc:"Of its last attestation; 0 if none is known."`
	At       time.Time `json:"lastRoundTime,omitzero"`
	Fresh    bool      `json:"fresh" doc:"That round is one of the last ones. If not, there is no data from this monitor now."`
	Void     bool      `json:"void" doc:"It reached fewer than half of the nodes that it asked, so its round does not count."`
	Counts   Counts    `json:"nodes" doc:"Nodes that it asked in that round, by outcome."`
	Silenced time.Time `json:"silencedUntilTime,omitzero" doc:"It signed two different attestations for one round, and does not count until then."`
}

// MonitorMatrix has what each monitor saw of each node in one round.
type MonitorMatrix struct {
	Round uint64       `json:"round"`
	Start time.Time    `json:"startTime"`
	Nodes []string     `json:"nodes" nullable:"false" doc:"Peer IDs, in the order of the committee."`
	Rows  []MonitorRow `json:"rows" nullable:"false" doc:"The heaviest monitors first."`
}

// MonitorRow is one monitor's part of a MonitorMatrix.
type MonitorRow struct {
	MonitorInfo
	Seen []Outcome `json:"seen" nullable:"false" doc:"By node; empty for a node that it did not ask."`
}

// BlobRisks tells how many slivers sampled blobs have.
type BlobRisks struct {
	Sampling  bool       `json:"sampling" doc:"This gateway's node takes samples. If not, there are none."`
	Sampled   int        `json:"sampled" doc:"Blobs sampled in the last month."`
	Shards    int        `json:"shards" doc:"Rows that a blob should have."`
	Least     int        `json:"needed" doc:"Rows that rebuild a blob."`
	Lost      int        `json:"lost" doc:"Sampled blobs of which fewer rows than needed answered rightly."`
	Histogram []int      `json:"histogram" nullable:"false" doc:"The other sampled blobs: entry i counts those with at least i tenths of the rows beyond the needed ones; the last, entry 10, those with all."`
	Nearest   []BlobRisk `json:"nearest" nullable:"false" doc:"Blobs that can lose the fewest rows, the nearest to their end first."`
}

// BlobRisk is the last sample of a blob.
type BlobRisk struct {
	Blob   string    `json:"blobId"`
	Size   uint64    `json:"size"`
	At     time.Time `json:"time"`
	Rows   int       `json:"rows" doc:"Rows that answered rightly, each from its own shard."`
	Shards int       `json:"shards" doc:"Rows that should."`
	Least  int       `json:"needed" doc:"Rows that rebuild the blob."`
	Margin int       `json:"margin" doc:"So many more rows may be lost. Negative: the blob cannot be rebuilt from rows alone now."`
}

// Evidence convicts a node.
type Evidence struct {
	ID      string    `json:"id"`
	Node    string    `json:"node"`
	Monitor string    `json:"monitor" doc:"From which it came."`
	Round   uint64    `json:"round"`
	At      time.Time `json:"roundTime"`
	Blob    string    `json:"blobId"`
	Verdict string    `json:"verdict" enum:"missing,wrong"`
	Axis    string    `json:"axis" doc:"primary for a row, secondary for a column."`
	Sliver  int       `json:"sliver"`
	Symbol  int       `json:"symbol" doc:"In the sliver's expansion; -1 if the whole sliver is meant."`
	Size    int       `json:"size" doc:"Bytes of its binary form."`
}

// NodeDetail is a node with its month.
type NodeDetail struct {
	NodeScore
	Hours    []Hour     `json:"hours" nullable:"false" doc:"Of the last 30 days, the oldest first; hours without any record are left out."`
	Evidence []Evidence `json:"evidence" nullable:"false" doc:"Of the last 30 days, the newest first."`
}

// Month is the time that pages and NodeDetail show.
const Month = 30 * 24 * time.Hour

// Named returns the score of a node, by peer ID or name; nil if the committee has no such node. IDs come before names,
// or a node named like another's peer ID could pose as it.
func (o *MonitorOverview) Named(key string) *NodeScore {
	for _, named := range []bool{false, true} {
		for i := range o.Nodes {
			if n := &o.Nodes[i]; !named && n.Peer == key || named && n.Name == key {
				return n
			}
		}
	}
	return nil
}

// Since returns the start of the hours of the last span, at the full hour.
func (o *MonitorOverview) Since(span time.Duration) time.Time {
	return o.Time.UTC().Truncate(time.Hour).Add(time.Hour - span)
}
