package pages

import (
	"net/http"

	"walrus/ledger"
	"walrus/shards"
)

// pastView is a page of a blob's history: who did what with it, and when.
type pastView struct {
	Table  table
	Next   string // URL of the next page
	Oldest uint64 // last page: no older blocks are kept
	Failed string // why there is none
}

// past reads the history of a blob. Without it the page is as good.
func (s *site) past(r *http.Request, id shards.BlobID) pastView {
	l, err := s.ledger.History(r.Context(), id, r.URL.Query().Get("before"))
	if err != nil {
		return pastView{Failed: problemOf(err).Heading}
	}
	v := pastView{Table: table{Name: "What happened to this blob, newest first", ID: "history-table",
		Cols: cols("What", "Who", "Record", "Until epoch#", "Time", "Transaction")}, Next: l.next("blobs/" + id.String()), Oldest: l.Oldest}
	for i := range l.Transactions {
		x := &l.Transactions[i]
		for j := len(x.Events) - 1; j >= 0; j-- {
			if e := &x.Events[j]; e.Blob == id {
				v.Table.Rows = append(v.Table.Rows, pastRow(x, e))
			}
		}
	}
	return v
}

func pastRow(x *Transaction, e *ledger.Event) []cell {
	row := []cell{text(words(string(e.Kind))), ident(x.Sender.String(), "owners"), text("–"), text("–"), when(x.Time),
		ident(x.ID.String(), "transactions")}
	if e.Object != (ledger.ObjectID{}) {
		row[2] = ident(e.Object.String(), "records")
	}
	if e.End != 0 {
		row[3] = number(e.End)
	}
	return row
}
