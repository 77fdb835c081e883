package pages

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"walrus/ledger"
)

// subject is an item with a page at /explorer/… and the same data as JSON at /explorer/api/….
type subject struct {
	path string
	ask  func(r *http.Request) (any, error)
	page func(s *site, answer any) (name string, v view)
}

// subjects lists the ledger's subjects.
func (s *site) subjects() []subject {
	return []subject{
		{"transactions", s.askTransactions, pageOf(transactionsPage)},
		{"transactions/{id}", func(r *http.Request) (any, error) { return byText(r, "id", s.ledger.Transaction) },
			pageOf(transactionPage)},
		{"blocks", s.askBlocks, pageOf(blocksPage)},
		{"blocks/{height}", s.askBlock, pageOf(blockPage)},
		{"owners/{address}", func(r *http.Request) (any, error) {
			return byText(r, "address", func(ctx context.Context, a ledger.Address) (*Owner, error) {
				return s.ledger.Owner(ctx, a, r.URL.Query().Get("before"))
			})
		}, pageOf(ownerPage)},
		{"records/{id}", func(r *http.Request) (any, error) { return byText(r, "id", s.ledger.Record) },
			pageOf(s.recordPage)},
	}
}

// views lists pages that show transactions in other ways; they have no JSON.
func (s *site) views() []subject {
	return []subject{{"blobs", s.askTransactions, pageOf(blobsPage)}, {"events", s.askTransactions, pageOf(eventsPage)}}
}

func pageOf[T any](page func(v *T) (string, view)) func(*site, any) (string, view) {
	return func(_ *site, answer any) (string, view) {
		v, _ := answer.(*T)
		return page(v)
	}
}

// add serves the page and the JSON of a subject.
func (s *site) add(mux *http.ServeMux, one subject) {
	mux.HandleFunc("GET /explorer/"+one.path, func(w http.ResponseWriter, r *http.Request) {
		answer, err := one.ask(r)
		if err != nil {
			s.fail(w, r, err)
			return
		}
		name, v := one.page(s, answer)
		v.JSON = "/explorer/api" + r.URL.Path[len("/explorer"):]
		s.show(w, r, http.StatusOK, name, v)
	})
}

func (s *site) addJSON(mux *http.ServeMux, one subject) {
	mux.HandleFunc("GET /explorer/api/"+one.path, func(w http.ResponseWriter, r *http.Request) {
		answer, err := one.ask(r)
		s.answer(w, r, answer, err)
	})
}

// byText parses an identifier from the path and calls ask with it.
func byText[K any, P interface {
	*K
	UnmarshalText([]byte) error
}, T any](r *http.Request, name string, ask func(context.Context, K) (T, error)) (any, error) {
	var key K
	if err := P(&key).UnmarshalText([]byte(r.PathValue(name))); err != nil {
		return nil, malformed{err}
	}
	return ask(r.Context(), key)
}

func (s *site) askTransactions(r *http.Request) (any, error) {
	return s.ledger.Transactions(r.Context(), r.URL.Query().Get("before"))
}

func (s *site) askBlocks(r *http.Request) (any, error) {
	text := r.URL.Query().Get("before")
	before, err := strconv.ParseUint("0"+text, 10, 64)
	if err != nil {
		return nil, malformed{fmt.Errorf("before=%.40q: must be a height", text)}
	}
	return s.ledger.Blocks(r.Context(), before)
}

func (s *site) askBlock(r *http.Request) (any, error) {
	height, err := strconv.ParseUint(r.PathValue("height"), 10, 63)
	if err != nil || height == 0 {
		return nil, malformed{fmt.Errorf("block %.40q: must be a height, from 1", r.PathValue("height"))}
	}
	return s.ledger.Block(r.Context(), height)
}

// listView is a page with one table of ledger events.
type listView struct {
	Heading, Lead string
	Table         table
	Next          string // URL of the next page
	Oldest        uint64
	Empty         string // text for an empty list
}

// notComplete tells readers what is not proven about lists of transactions.
const notComplete = "Each transaction is proven to this gateway by the signatures of two thirds of the shards. The list may be incomplete: that none is missing is only the word of the node that was asked."

func (l *TransactionList) next(folder string) string {
	if l.Next == "" {
		return ""
	}
	return "/explorer/" + folder + "?before=" + url.QueryEscape(l.Next)
}

func transactionsPage(l *TransactionList) (string, view) {
	return "list", view{Title: "Transactions", Here: "ledger", Tab: "transactions", Data: listView{
		Heading: "Transactions", Lead: notComplete, Table: transactionsTable(l.Transactions),
		Next: l.next("transactions"), Oldest: l.Oldest,
		Empty: "No transactions are known.",
	}}
}

func transactionsTable(list []Transaction) table {
	t := table{Name: "Transactions, newest first", ID: "transaction-table",
		Cols: cols("Transaction", "Time", "Block#", "Operations", "Sender", "Spent#", "Result")}
	for i := range list {
		x := &list[i]
		result := cell{Text: "done", State: "good"}
		if x.Code != ledger.CodeOK.String() {
			result = cell{Text: "failed: " + x.Code, State: "bad", Note: x.Log, Wide: true}
		}
		t.Rows = append(t.Rows, []cell{
			ident(x.ID.String(), "transactions"), when(x.Time), link(numberText(x.Height), blockLink(x.Height)),
			{Text: operations(x.Operations), Wide: true},
			ident(x.Sender.String(), "owners"), text(x.Spent.String()), result,
		})
	}
	return t
}

func blockLink(height uint64) string { return "/explorer/blocks/" + strconv.FormatUint(height, 10) }

// operations lists operations in words and counts consecutive equal ones.
func operations(list []string) string {
	out := ""
	for i := 0; i < len(list); {
		n := 1
		for i+n < len(list) && list[i+n] == list[i] {
			n++
		}
		if out != "" {
			out += ", "
		}
		out += words(list[i])
		if n > 1 {
			out += fmt.Sprintf(" (%d)", n)
		}
		i += n
	}
	return out
}

// words splits a name like buyStorage into words.
func words(name string) string {
	out := make([]rune, 0, len(name)+4)
	for _, r := range name {
		if r >= 'A' && r <= 'Z' {
			out = append(out, ' ', r+'a'-'A')
		} else {
			out = append(out, r)
		}
	}
	return string(out)
}

func blobsPage(l *TransactionList) (string, view) {
	t := table{Name: "Registered and certified blobs, newest first", ID: "blob-table",
		Cols: cols("Blob", "Event", "Size#", "Until epoch#", "Record", "Owner", "Time")}
	for _, e := range blobEvents(l.Transactions) {
		size := text("–")
		if e.Size > 0 {
			size = text(bytesText(e.Size))
		}
		end := text("–")
		if e.End > 0 {
			end = number(e.End)
		}
		t.Rows = append(t.Rows, []cell{
			ident(e.Blob.String(), "blobs"), text(e.What), size, end, ident(e.Object.String(), "records"),
			ident(e.Owner.String(), "owners"), when(e.Time),
		})
	}
	return "list", view{Title: "Recent blobs", Here: "ledger", Tab: "blobs", Data: listView{
		Heading: "Recent blobs", Lead: notComplete, Table: t, Next: l.next("blobs"), Oldest: l.Oldest,
		Empty: "These transactions neither register nor certify a blob.",
	}}
}

// blobEvents lists the blobs that transactions registered or certified, each record once, with its latest event.
func blobEvents(list []Transaction) []BlobEvent {
	var out []BlobEvent
	seen := map[ledger.ObjectID]int{}
	for i := range list {
		x := &list[i]
		for j := len(x.Events) - 1; j >= 0; j-- {
			e := &x.Events[j]
			if e.Kind != ledger.EventRegistered && e.Kind != ledger.EventCertified {
				continue
			}
			at, ok := seen[e.Object]
			if !ok {
				at = len(out)
				seen[e.Object] = at
				out = append(out, BlobEvent{Blob: e.Blob, Object: e.Object, Owner: x.Sender,
					What: strings.TrimPrefix(words(string(e.Kind)), "blob "), Time: x.Time, Tx: x.ID})
			}
			out[at].Size, out[at].End = max(out[at].Size, e.Size), max(out[at].End, e.End)
		}
	}
	return out
}

func eventsPage(l *TransactionList) (string, view) {
	t := table{Name: "Events, newest first", ID: "event-table",
		Cols: append(cols("Event", "Time", "Block#", "Transaction"), eventCols...)}
	for i := range l.Transactions {
		x := &l.Transactions[i]
		for j := len(x.Events) - 1; j >= 0; j-- {
			e := &x.Events[j]
			t.Rows = append(t.Rows, append([]cell{
				text(words(string(e.Kind))), when(x.Time), link(numberText(x.Height), blockLink(x.Height)),
				ident(x.ID.String(), "transactions"),
			}, eventCells(e)...))
		}
	}
	return "list", view{Title: "Events", Here: "ledger", Tab: "events", Data: listView{
		Heading: "Events", Lead: notComplete +
			" Events outside transactions, such as the start of an epoch and its rewards, are not listed here.", Table: t,
		Next: l.next("events"), Oldest: l.Oldest, Empty: "No events are known.",
	}}
}

var eventCols = cols("Blob", "Object", "From", "To", "Amount#")

func eventCells(e *ledger.Event) []cell {
	row := []cell{text("–"), text("–"), text("–"), text("–"), text("–")}
	if e.Blob != [32]byte{} {
		row[0] = ident(e.Blob.String(), "blobs")
	}
	if e.Object != (ledger.ObjectID{}) {
		row[1] = cell{Text: e.Object.String(), Code: true}
		if e.Blob != [32]byte{} {
			row[1] = ident(e.Object.String(), "records")
		}
	}
	if e.Monitor != (ledger.PeerKey{}) {
		row[1] = cell{Text: e.Monitor.String(), Code: true}
	}
	if e.From != (ledger.Address{}) {
		row[2] = ident(e.From.String(), "owners")
	}
	if e.To != (ledger.Address{}) {
		row[3] = ident(e.To.String(), "owners")
	}
	if e.Amount > 0 {
		row[4] = text(e.Amount.String())
	}
	return row
}

func blocksPage(l *BlockList) (string, view) {
	t := table{Name: "Blocks, newest first", ID: "block-table",
		Cols: cols("Height#", "Time", "Transactions", "Proposer", "Signed by shards#", "Hash")}
	for i := range l.Blocks {
		b := &l.Blocks[i]
		has := text("some")
		if b.Empty {
			has = text("none")
		}
		proposer := text(b.Proposer)
		if b.Peer != "" {
			proposer.Link = "/explorer/nodes/" + b.Peer
		}
		t.Rows = append(t.Rows, []cell{
			link(numberText(b.Height), blockLink(b.Height)), when(b.Time), has, proposer,
			text(fmt.Sprintf("%d of %d", b.Signed, b.Of)), {Text: b.Hash, Code: true},
		})
	}
	v := listView{Heading: "Blocks", Lead: "Each block's header, time and proposer are proven to this gateway by the signatures of two thirds of the shards, all of which it verified.", Table: t, Empty: "There are no blocks."}
	if l.Next > 0 {
		v.Next = "/explorer/blocks?before=" + strconv.FormatUint(l.Next, 10)
	}
	return "list", view{Title: "Blocks", Here: "ledger", Tab: "blocks", Data: v}
}

type blockView struct {
	*BlockDetail
	Table         table
	Before, After uint64
}

func blockPage(b *BlockDetail) (string, view) {
	return "block", view{Title: "Block " + strconv.FormatUint(b.Height, 10), Here: "ledger", Tab: "blocks",
		Data: blockView{b, transactionsTable(b.Transactions), b.Height - 1, b.Height + 1}}
}

type transactionView struct {
	*Transaction
	What  string
	OK    bool
	Table table
}

func transactionPage(x *Transaction) (string, view) {
	t := table{Name: "Events of the transaction", ID: "event-table", Cols: append(cols("Event"), eventCols...)}
	for i := range x.Events {
		t.Rows = append(t.Rows, append([]cell{text(words(string(x.Events[i].Kind)))}, eventCells(&x.Events[i])...))
	}
	return "transaction", view{Title: "Transaction " + x.ID.String(), Here: "ledger", Tab: "transactions",
		Data: transactionView{x, operations(x.Operations), x.Code == ledger.CodeOK.String(), t}}
}
