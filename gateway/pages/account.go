package pages

import (
	"time"

	"walrus/ledger"
)

type ownerView struct {
	*Owner
	BlobTable, StorageTable, TransactionTable table
	NextPage                                  string
}

func ownerPage(o *Owner) (string, view) {
	v := ownerView{Owner: o, TransactionTable: transactionsTable(o.Transactions),
		NextPage: o.next("owners/" + o.Address.String())}
	v.BlobTable = table{Name: "Blobs of this owner", ID: "blob-table",
		Cols: cols("Record", "Blob", "Size#", "Kind", "State", "Until epoch#")}
	for i := range o.Blobs {
		b := &o.Blobs[i]
		v.BlobTable.Rows = append(v.BlobTable.Rows, []cell{
			ident(b.Object.String(), "records"), ident(b.BlobID.String(), "blobs"), text(bytesText(b.Size)),
			text(kindOf(&b.Blob)), stateOf(&b.Blob, o.Epoch), number(b.End),
		})
	}
	v.StorageTable = table{Name: "Storage of this owner", Cols: cols("Storage", "Size#", "From epoch#", "Until epoch#")}
	for i := range o.Storages {
		s := &o.Storages[i]
		v.StorageTable.Rows = append(v.StorageTable.Rows,
			[]cell{{Text: s.Object.String(), Code: true}, text(bytesText(s.Bytes)), number(s.Start), number(s.End)})
	}
	return "owner", view{Title: "Owner " + o.Address.String(), Here: "ledger", Data: v}
}

func kindOf(b *ledger.Blob) string {
	switch {
	case b.Deletable:
		return "deletable"
	case b.Shared:
		return "permanent, shared"
	}
	return "permanent"
}

func stateOf(b *ledger.Blob, epoch uint32) cell {
	switch {
	case b.End <= epoch:
		return text("ended")
	case b.Certified == 0:
		return cell{Text: "registered", State: "warn"}
	}
	return cell{Text: "certified", State: "good"}
}

type recordView struct {
	*RecordDetail
	Kind       string
	State      cell
	Attributes table
	Manage     bool // this gateway accepts owner tokens
	EndTime    time.Time
}

func (s *site) recordPage(d *RecordDetail) (string, view) {
	v := recordView{RecordDetail: d, Kind: kindOf(&d.Blob), State: stateOf(&d.Blob, d.Epoch), Manage: s.cfg.Publisher &&
		d.End > d.Epoch, EndTime: d.EndTime}
	v.Attributes = attributesTable(d.Attributes)
	return "record", view{Title: "Record " + d.Object.String(), Here: "ledger", Data: v}
}

func attributesTable(list []ledger.Attribute) table {
	t := table{Name: "Attributes", Cols: cols("Attribute", "Value")}
	for _, a := range list {
		t.Rows = append(t.Rows, []cell{{Text: a.Key, Wide: true}, {Text: a.Value, Wide: true}})
	}
	return t
}
