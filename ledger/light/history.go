package light

import (
	"context"
	"fmt"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/ledger"
)

// History is a page of a subject's transactions, newest first: of an account, all that it sent, or that gave or paid it
// something; of a blob or an object, all that did something with it. Each is proven. Nonces prove that no transaction
// that the account sent is missing; a node can withhold others.
type History struct {
	Entries []Entry
	// Next is the cursor of the next page; nil after the last.
	Next *Cursor
	// Oldest is set on the last page if the node does not keep older blocks: everything from this height on is here.
	Oldest uint64
}

// Entry is a committed transaction.
type Entry struct {
	Receipt ledger.Receipt
	Tx      *ledger.Tx
}

// String returns the cursor as text for ParseCursor; empty for the newest.
func (c Cursor) String() string {
	if c == (Cursor{}) {
		return ""
	}
	return fmt.Sprintf("%d.%d.%d", c.before.Height, c.before.Index, c.nonce)
}

// ParseCursor reads a cursor. A made-up cursor does no harm: at worst a correct page is rejected as a lie.
func ParseCursor(s string) (c Cursor, err error) {
	if s == "" {
		return c, nil
	}
	if n, err := fmt.Sscanf(s, "%d.%d.%d", &c.before.Height, &c.before.Index, &c.nonce); err != nil ||
		n != 3 || c.String() != s {
		return Cursor{}, fmt.Errorf("%w: cursor %.40q: must be three numbers", ErrRequest, s)
	}
	return c, nil
}

// Before returns a cursor into the zero address's history, starting before a position.
func Before(p Position) Cursor { return Cursor{before: p} }

// Cursor is a place in an account's history. The zero Cursor is the newest.
type Cursor struct {
	before Position
	nonce  uint64 // least nonce so far of the account's own transactions, unless before is zero
}

// History reads a page of at most limit transactions, 1 to MaxHistory, from a cursor on. The zero address, which
// nobody owns, lists the transactions of all accounts: each is proven, but a node can withhold some, and a node that
// did not keep that list from the beginning lacks older ones. If the ledger is stalled, the first page comes with a
// *Stall.
func (c *Client) History(ctx context.Context, account ledger.Address, from Cursor, limit int) (*History, error) {
	return c.About(ctx, ledger.AboutAccount(account), from, limit)
}

// About is History of any subject.
func (c *Client) About(ctx context.Context, about ledger.Subject, from Cursor, limit int) (*History, error) {
	limit = max(1, min(limit, MaxHistory))
	h, err := first(ctx, c, func(ctx context.Context, id peer.ID) (*History, error) {
		return (&historian{c, id, about}).page(ctx, from, limit)
	})
	if h == nil {
		return nil, fmt.Errorf("read history of %s: %w", about, err)
	}
	return h, err
}

// historian reads a subject's history from one node.
type historian struct {
	client *Client
	node   peer.ID
	about  ledger.Subject
}

// account returns the account whose history it is, with nonces to count; ok is false for other subjects.
func (h *historian) account() (a ledger.Address, ok bool) {
	return h.about.ID, h.about.Kind == ledger.SubjectAccount && h.about.ID != [32]byte{}
}

// ask fetches a page, of accounts in the older form that all nodes know.
func (h *historian) ask(ctx context.Context, before Position, limit int) (page historyAnswer, err error) {
	calls := h.client.calls
	if h.about.Kind == ledger.SubjectAccount {
		err = calls.ask(ctx, h.node, historyProtocol, &historyRequest{h.about.ID, before, uint32(limit)}, &page)
	} else {
		err = calls.ask(ctx, h.node, aboutProtocol, &aboutRequest{h.about, before, uint32(limit)}, &page)
	}
	return page, err
}

func (h *historian) page(ctx context.Context, from Cursor, limit int) (*History, error) {
	c, id := h.client, h.node
	account, counted := h.account()
	var stall error
	newest := from.before == Position{}
	if newest && counted {
		v, err := c.readFrom(ctx, id, At{Height: c.lowest()}, [][]byte{ledger.KeyAccount(account)})
		if v == nil {
			return nil, err
		}
		a, err2 := ledger.ReadAccount(v, account)
		if err2 != nil {
			return nil, err2
		}
		stall, from.nonce = err, a.Nonce
	}
	page, err := h.ask(ctx, from.before, limit)
	if err != nil {
		return nil, err
	}
	found := &History{Entries: make([]Entry, 0, len(page.Inclusions))}
	for i := range page.Inclusions {
		e, err := h.entry(ctx, from, &page.Inclusions[i])
		if err != nil {
			return nil, err
		}
		if _, free := e.Tx.Free(); counted && e.Tx.Sender.Address() == account && !free { // a free one used no nonce
			// Transactions committed after the account was read may come before those that its nonce counts.
			if next := e.Tx.Nonce == from.nonce-1; !next && (!newest || e.Tx.Nonce < from.nonce) {
				return nil, wrong("it withholds transactions of %s between nonces %d and %d", account, e.Tx.Nonce, from.nonce)
			}
			from.nonce, newest = e.Tx.Nonce, false
		}
		from.before = Position{e.Receipt.Height, e.Receipt.Index}
		found.Entries = append(found.Entries, e)
	}
	switch {
	case page.More && len(found.Entries) == 0:
		return nil, wrong("it claims to have more of the history of %s, but gives none", h.about)
	case page.More:
		found.Next = &from
	case from.nonce > 0 && page.Oldest <= 1:
		return nil, wrong("it withholds the first %d transactions of %s, but claims to keep all", from.nonce, account)
	case page.Oldest > 1:
		found.Oldest = page.Oldest
	}
	return found, stall
}

// entry verifies the next transaction that the node names in the history.
func (h *historian) entry(ctx context.Context, from Cursor, i *Inclusion) (Entry, error) {
	if err := h.client.prove(ctx, h.node, i); err != nil {
		return Entry{}, err
	}
	r := &i.Receipt
	if b := from.before; b != (Position{}) && (r.Height > b.Height || r.Height == b.Height && r.Index >= b.Index) {
		return Entry{}, wrong("transactions of %s are not in order", h.about)
	}
	tx, err := ledger.UnmarshalTx(i.Tx)
	if err != nil || !r.Effective() {
		return Entry{}, wrong("transaction %s had no effect, so it belongs to no history", r.ID)
	}
	if !r.Subjects(tx.Sender.Address())[h.about] {
		return Entry{}, wrong("transaction %s does not concern %s", r.ID, h.about)
	}
	return Entry{*r, tx}, nil
}
