// Package alert tells the operator of a storage node when others see trouble with it: slivers that are missing or
// wrong, and a node that cannot be reached; and when the ledger's disk runs full. Book decides, as a pure step
// function, which facts become an alert: one for one cause in an hour, and one when the trouble is over. Sender
// delivers alerts by webhook, command, mail and log. Evidence keeps the proofs. The package finds no trouble by itself:
// package node tells it the facts.
//
// Nothing that leaves this package holds a path of the machine, the address of a webhook, or text from another peer
// that was not cleaned. Start with Book and Sender.
package alert

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/shards"
)

// Cause names a kind of trouble. Two facts with the same cause are told together.
type Cause string

// The causes, as they appear in JSON, metrics and mail.
const (
	// Missing: the node signed that it does not have a sliver which it owes, or has itself found it gone or corrupt.
	Missing Cause = "missing"
	// Wrong: the node signed bytes that do not belong to the sliver.
	Wrong Cause = "wrong"
	// Unreachable: by the weighted median, monitors could not reach the node for several rounds.
	Unreachable Cause = "unreachable"
	// Disk: the ledger's disk is running full.
	Disk Cause = "disk"
	// Test: the operator asked for it.
	Test Cause = "test"
)

// Causes lists the kinds of trouble that the book follows.
var Causes = []Cause{Missing, Wrong, Unreachable, Disk}

// whole reports that a cause is one trouble, which names no slivers and is over when a fact says so.
func (c Cause) whole() bool { return c == Unreachable || c == Disk }

// State says whether an alert reports trouble or its end.
type State string

// The states of an alert.
const (
	Firing    State = "firing"
	Recovered State = "recovered"
	Testing   State = "test"
)

// NoCell, as the Symbol of a Fact, means that no single cell is known.
const NoCell = -1

// Fact is one observation about this node. The zero Fact of a cause is trouble that names nothing.
type Fact struct {
	Cause Cause
	// Over reports the end: of the sliver named for Missing and Wrong, of the whole trouble for the others.
	Over bool
	// Blob, Axis and Sliver name a sliver; for Missing and Wrong.
	Blob   shards.BlobID
	Axis   shards.Axis
	Sliver int
	// Symbol is the index of the cell in the sliver, or NoCell.
	Symbol int
	// Monitor is the peer that holds the evidence; "" if the node has found the trouble itself, or many monitors have.
	Monitor peer.ID `json:",omitzero"`
	// Evidence is the name of the file that Evidence.Keep returned; "" for none.
	Evidence string
	// Detail adds a sentence for people. It is cleaned and cut to maxDetail bytes.
	Detail string
}

// Alert is one message to the operator. Its JSON form is part of the interface to webhooks and commands.
type Alert struct {
	// ID is the same for trouble and its end, and differs for the next trouble.
	ID    string    `json:"id"`
	State State     `json:"state"`
	Cause Cause     `json:"cause"`
	Time  time.Time `json:"time"`
	// Text is one line for people. Many chat services show a field of this name.
	Text string `json:"text"`
	Node
	Place
	// Further counts facts of the same cause since the last alert that no alert has named.
	Further int `json:"further,omitempty"`
}

// Node names the node that an alert is about.
type Node struct {
	Network string `json:"network"`
	ID      string `json:"nodeId"`
	Name    string `json:"nodeName"`
}

// Place says which bytes an alert is about, and who says so. Empty for trouble that names no sliver.
type Place struct {
	BlobID string `json:"blobId,omitempty"`
	// Axis is primary or secondary; Sliver its index; together they name the sliver.
	Axis   string `json:"axis,omitempty"`
	Sliver *int   `json:"sliver,omitempty"`
	// Row and Column name the cell that was asked for.
	Row    *int `json:"row,omitempty"`
	Column *int `json:"column,omitempty"`
	// Monitor is the peer ID of the monitor that holds the evidence.
	Monitor string `json:"monitor,omitempty"`
	// Evidence is the name of a file in the folder EvidenceFolder of the node's home.
	Evidence string `json:"evidence,omitempty"`
}

// maxDetail bounds Fact.Detail, in bytes.
const maxDetail = 200

// place describes where a fact lies.
func (f *Fact) place() Place {
	p := Place{Evidence: f.Evidence}
	if f.Monitor != "" {
		p.Monitor = f.Monitor.String()
	}
	if f.Cause != Missing && f.Cause != Wrong {
		return p
	}
	p.BlobID, p.Axis, p.Sliver = f.Blob.String(), f.Axis.String(), new(f.Sliver)
	switch {
	case f.Symbol < 0:
	case f.Axis == shards.Primary:
		p.Row, p.Column = new(f.Sliver), new(f.Symbol)
	default:
		p.Row, p.Column = new(f.Symbol), new(f.Sliver)
	}
	return p
}

// text makes the line for people.
func (a *Alert) text(detail string) string {
	var b strings.Builder
	name := clean(a.Name)
	if name == "" {
		name = a.Node.ID
	}
	where := ""
	if a.BlobID != "" {
		where = fmt.Sprintf("%s sliver %d of blob %s", a.Axis, *a.Sliver, a.BlobID)
		if a.Row != nil {
			where += fmt.Sprintf(" (cell in row %d, column %d)", *a.Row, *a.Column)
		}
	}
	by := "the node itself"
	if a.Monitor != "" {
		by = "monitor " + a.Monitor
	}
	switch {
	case a.State == Testing:
		fmt.Fprintf(&b, "walrus node %s: this is a test of its alerts", name)
	case a.State == Recovered && a.Cause == Unreachable:
		fmt.Fprintf(&b, "walrus node %s: monitors reach it again", name)
	case a.State == Recovered && a.Cause == Disk:
		fmt.Fprintf(&b, "walrus node %s: the ledger's disk has room again", name)
	case a.State == Recovered && a.Cause == Wrong:
		fmt.Fprintf(&b, "walrus node %s: no wrong bytes were seen for an hour, and what was named is right again", name)
	case a.State == Recovered:
		fmt.Fprintf(&b, "walrus node %s: all missing slivers that were named are stored again", name)
	case a.Cause == Unreachable:
		fmt.Fprintf(&b, "walrus node %s: monitors cannot reach it", name)
	case a.Cause == Disk:
		fmt.Fprintf(&b, "walrus node %s: its disk is running full", name)
	case a.Cause == Wrong:
		fmt.Fprintf(&b, "walrus node %s: it sent wrong bytes of %s, seen by %s", name, where, by)
	default:
		fmt.Fprintf(&b, "walrus node %s: it lacks %s, seen by %s", name, where, by)
	}
	if a.Further > 0 {
		fmt.Fprintf(&b, ", and %d further cases since the last alert", a.Further)
	}
	if detail != "" {
		b.WriteString("; " + clean(detail))
	}
	if a.Evidence != "" {
		fmt.Fprintf(&b, "; evidence: %s/%s in the node's home", EvidenceFolder, a.Evidence)
	}
	return b.String()
}

// clean makes text of others safe for one line of a terminal, a header or a log: control and invisible characters and
// broken UTF-8 become spaces, and it is cut to maxDetail bytes.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
	for len(s) > maxDetail {
		_, n := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-n]
	}
	return strings.TrimSpace(s)
}

// TestAlert makes the alert of a test at a time.
func TestAlert(n Node, now time.Time) Alert {
	a := Alert{ID: alertID(Test, now), State: Testing, Cause: Test, Time: now.UTC().Truncate(time.Second), Node: n}
	a.Text = a.text("")
	return a
}

func alertID(c Cause, began time.Time) string { return fmt.Sprintf("%s-%d", c, began.Unix()) }
