package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"walrus/client"
	"walrus/gateway/pages"
	"walrus/ledger"
	"walrus/p2p"
	"walrus/shards"
)

// annals is a Chronicle of some blocks, without those below kept.
type annals struct {
	head, kept uint64
	asked      int
	fail       error
}

func (a *annals) Head(context.Context) (uint64, error) { return a.head, a.fail }

func (a *annals) Block(_ context.Context, height uint64) (*pages.Block, error) {
	if height < a.kept {
		return nil, fmt.Errorf("block %d: %w", height, pages.ErrNotFound)
	}
	return &pages.Block{Height: height, Empty: height%2 == 1}, nil
}

func (a *annals) History(_ context.Context, about ledger.Subject, before string,
	limit int) (*pages.TransactionList, error) {
	list := &pages.TransactionList{Transactions: []pages.Transaction{}, Next: before + "x"}
	account := ledger.Address(about.ID)
	switch {
	case about.Kind == ledger.SubjectBlob:
		list.Transactions = append(list.Transactions, pages.Transaction{Events: []ledger.Event{{Blob: about.ID}}})
	case account == ledger.Address{} || account == ledger.Address{1}:
		list.Transactions = append(list.Transactions, pages.Transaction{Sender: account})
	}
	return list, nil
}

func (a *annals) In(_ context.Context, height uint64, limit int) ([]pages.Transaction, bool, error) {
	a.asked++
	return []pages.Transaction{{Height: height}}, true, nil
}

func (a *annals) Transaction(_ context.Context, id ledger.TxID) (*pages.Transaction, error) {
	return &pages.Transaction{ID: id}, nil
}

func (a *annals) Account(_ context.Context, of ledger.Address) (*pages.Owner, error) {
	return &pages.Owner{Address: of}, nil
}

func TestExplorerBlocks(t *testing.T) {
	a := &annals{head: 50, kept: 8}
	e := NewExplorer(ExploreConfig{Chronicle: a}, newSaying(t))
	var heights []uint64
	next := uint64(0)
	for range 5 {
		list, err := e.Blocks(t.Context(), next)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range list.Blocks {
			heights = append(heights, b.Height)
		}
		if next = list.Next; next == 0 {
			break
		}
	}
	if len(heights) != 43 || heights[0] != 50 || heights[42] != 8 || next != 0 {
		t.Errorf("%d blocks: %v, then before %d", len(heights), heights, next)
	}
	if list, err := e.Blocks(t.Context(), 1<<63); err != nil || list.Blocks[0].Height != 50 {
		t.Errorf("before a height that is not there yet: %+v, %v", list, err)
	}
	if d, err := e.Block(t.Context(), 50); err != nil || d.Head != 50 || len(d.Transactions) != 1 || !d.More {
		t.Errorf("block 50: %+v, %v", d, err)
	}
	if d, err := e.Block(t.Context(), 49); err != nil || !d.Empty || a.asked != 1 {
		t.Errorf("an empty block: %+v, %v, asked %d times", d, err, a.asked)
	}
	for _, height := range []uint64{0, 3, 51} {
		if d, err := e.Block(t.Context(), height); !errors.Is(err, pages.ErrNotFound) {
			t.Errorf("block %d: %+v, %v", height, d, err)
		}
	}
	for i := range uint64(3 * exploreHeaders) { // the cache is bounded
		a.head = 100 + i
		if _, err := e.Block(t.Context(), a.head); err != nil {
			t.Fatal(err)
		}
	}
	if len(e.headers) > exploreHeaders {
		t.Errorf("%d headers are kept", len(e.headers))
	}
	a.fail = client.ErrStalled
	if _, err := e.Blocks(t.Context(), 0); !errors.Is(err, client.ErrStalled) {
		t.Errorf("without an answer: %v", err)
	}
	if _, err := NewExplorer(ExploreConfig{}, newSaying(t)).Blocks(t.Context(), 0); !errors.Is(err, errNoChronicle) {
		t.Errorf("without a ledger: %v", err)
	}
}

func TestExplorerOwner(t *testing.T) {
	e := NewExplorer(ExploreConfig{Chronicle: &annals{head: 1}}, newSaying(t))
	o, err := e.Owner(t.Context(), ledger.Address{1}, "p")
	if err != nil || o.Epoch != 3 || len(o.Transactions) != 1 || o.Next != "px" || o.Address != (ledger.Address{1}) {
		t.Errorf("%+v, %v", o, err)
	}
	for _, a := range []ledger.Address{{}, {2}} { // the zero address is no account; the other was never used
		if o, err := e.Owner(t.Context(), a, ""); !errors.Is(err, pages.ErrNotFound) {
			t.Errorf("owner %s: %+v, %v", a, o, err)
		}
	}
	if l, err := e.Transactions(t.Context(), ""); err != nil || len(l.Transactions) != 1 ||
		l.Transactions[0].Sender != (ledger.Address{}) {
		t.Errorf("transactions of everybody: %+v, %v", l, err)
	}
	if x, err := e.Transaction(t.Context(), ledger.TxID{7}); err != nil || x.ID != (ledger.TxID{7}) {
		t.Errorf("transaction: %+v, %v", x, err)
	}
}

// TestExplorerHistory shows a node's history, and its last known history when it no longer answers.
func TestExplorerHistory(t *testing.T) {
	s := newSaying(t)
	synctest.Test(t, func(t *testing.T) {
		e := NewExplorer(ExploreConfig{}, s)
		if n, err := e.Node(t.Context(), "node-0"); err != nil || n.History != nil {
			t.Errorf("of an old version: %+v, %v", n.History, err)
		}
		start := time.Now()
		for i := range 4 * 24 { // four days by the hour; the node was down for one of them
			if i < 24 || i >= 48 {
				s.history = append(s.history, p2p.HistoryPoint{End: start.Add(time.Duration(i+1) * time.Hour), Length: time.Hour,
					Up: time.Hour, Received: 1, Sent: 2, Repaired: 3, Disk: 4})
			}
		}
		time.Sleep(exploreFresh)
		n, err := e.Node(t.Context(), "node-0")
		if err != nil || n.History == nil || len(n.History.Points) != 72 {
			t.Fatalf("%+v, %v", n, err)
		}
		day, month := n.History.Day, n.History.Month
		if want := (pages.HistorySum{Span: 24 * time.Hour, Up: 24 * time.Hour, Received: 24, Sent: 48,
			Repaired: 72}); day != want {
			t.Errorf("the day: %+v, want %+v", day, want)
		}
		if want := (pages.HistorySum{Span: 96 * time.Hour, Up: 72 * time.Hour, Received: 72, Sent: 144,
			Repaired: 216}); month != want || month.Percent() != "75.00 %" {
			t.Errorf("the month: %+v, want %+v", month, want)
		}
		if !n.Seen.IsZero() {
			t.Errorf("it answers, and was last seen %v", n.Seen)
		}
		answered := time.Now()
		time.Sleep(2 * exploreStale)
		s.health.Nodes[0] = client.NodeHealth{Node: s.health.Nodes[0].Node, Name: "node-0", Why: "it is not running"}
		if n, err = e.Node(t.Context(), "node-0"); err != nil || n.History == nil || !n.Seen.Equal(answered) ||
			!n.History.Told.Equal(answered) {
			t.Errorf("dead: %+v, %v; want what it told at %v", n, err, answered)
		}
		if n, err := e.Node(t.Context(), "node-3"); err != nil || n.History != nil || !n.Seen.IsZero() {
			t.Errorf("never seen: %+v, %v", n, err)
		}
	})
	now := time.Now()
	down := []p2p.HistoryPoint{{End: now.Add(-30 * time.Hour), Length: time.Hour, Up: time.Hour},
		{End: now, Length: 6 * time.Hour, Up: 6 * time.Hour}}
	if s := sumHistory(down, 24*time.Hour); s.Span != 24*time.Hour || s.Percent() != "25.00 %" {
		t.Errorf("up for 6 hours after a day of silence: %+v", s)
	}
	if s := sumHistory(nil, time.Hour); s.Known() {
		t.Errorf("nothing is known: %+v", s)
	}
}

// TestInspectQuilt detects a quilt by asking, and asks only if the blob may be one.
func TestInspectQuilt(t *testing.T) {
	for _, tt := range []struct {
		head, attribute string
		err             error
		files, asked    int
	}{{"\x01rest", "", nil, 2, 1}, {"\x01rest", "", io.ErrUnexpectedEOF, 0, 1}, {"\x02rest", "", nil, 0, 0},
		{"text", "", nil, 0, 0}, {"\x01rest", "application/x-own", nil, 0, 0}} {
		asked := 0
		e := NewExplorer(ExploreConfig{
			Head: func(context.Context, shards.BlobID, int) ([]byte, error) { return []byte(tt.head), nil },
			Quilt: func(context.Context, shards.BlobID) ([]pages.QuiltFile, error) {
				asked++
				return make([]pages.QuiltFile, 2), tt.err
			},
		}, newSaying(t))
		b := &pages.Blob{}
		if tt.attribute != "" {
			b.Ledger.Records = []pages.Record{{Attributes: []ledger.Attribute{{Key: "content-type", Value: tt.attribute}}}}
		}
		if tt.err != nil {
			e.cfg.Quilt = func(context.Context, shards.BlobID) ([]pages.QuiltFile, error) { asked++; return nil, tt.err }
		}
		e.inspect(t.Context(), b)
		if len(b.Quilt) != tt.files || asked != tt.asked {
			t.Errorf("%q, %q: %d files after %d questions", tt.head, tt.attribute, len(b.Quilt), asked)
		}
	}
}

// The history of a blob is the ledger's, of the blob alone.
func TestExplorerBlobHistory(t *testing.T) {
	e := NewExplorer(ExploreConfig{Chronicle: &annals{head: 50}}, newSaying(t))
	id := shards.BlobID{5}
	list, err := e.History(t.Context(), id, "p")
	if err != nil || len(list.Transactions) != 1 || list.Transactions[0].Events[0].Blob != id || list.Next != "px" {
		t.Errorf("%+v, %v", list, err)
	}
}
