package ledger

import (
	"fmt"

	"walrus/shards"
)

// SubjectKind says what the history of a Subject is about. The numbers are part of messages and of databases.
type SubjectKind uint8

// The kinds of subjects.
const (
	SubjectAccount SubjectKind = iota + 1
	SubjectBlob
	SubjectObject // a record or a storage resource
)

// Subject is an account, a blob or an object, of whose transactions the ledger keeps a history. The account with the zero
// address, which nobody owns, stands for all accounts.
type Subject struct {
	Kind SubjectKind
	ID   [32]byte
}

// AboutAccount, AboutBlob and AboutObject name subjects.
func AboutAccount(a Address) Subject     { return Subject{SubjectAccount, a} }
func AboutBlob(id shards.BlobID) Subject { return Subject{SubjectBlob, id} }
func AboutObject(id ObjectID) Subject    { return Subject{SubjectObject, id} }
func (k SubjectKind) Valid() bool        { return k >= SubjectAccount && k <= SubjectObject }

// String names the subject for people.
func (s Subject) String() string {
	switch s.Kind {
	case SubjectAccount:
		return "account " + Address(s.ID).String()
	case SubjectBlob:
		return "blob " + shards.BlobID(s.ID).String()
	case SubjectObject:
		return "object " + ObjectID(s.ID).String()
	}
	return fmt.Sprintf("subject of kind %d", s.Kind)
}

// Subjects returns the subjects whose history lists an effective transaction: its sender, everything that its events
// name, and all accounts. Nodes and clients must agree on it.
func (r *Result) Subjects(sender Address) map[Subject]bool {
	all := map[Subject]bool{AboutAccount(sender): true, AboutAccount(Address{}): true}
	for _, e := range r.Events {
		all[AboutAccount(e.From)], all[AboutAccount(e.To)] = true, true
		for _, id := range []ObjectID{e.Object, e.Other} {
			if id != (ObjectID{}) {
				all[AboutObject(id)] = true
			}
		}
		if e.Blob != (shards.BlobID{}) {
			all[AboutBlob(e.Blob)] = true
		}
	}
	return all
}

// Certifies returns the index of the newest event that certified or extended a permanent record of a blob to this end;
// ok is false if there is none.
func (r *Result) Certifies(blob shards.BlobID, end uint32) (seq int, ok bool) {
	for i := len(r.Events) - 1; i >= 0; i-- {
		e := &r.Events[i]
		if (e.Kind == EventCertified || e.Kind == EventExtended) && e.Blob == blob && !e.Deletable && e.End == end {
			return i, true
		}
	}
	return 0, false
}
