package ledger

import (
	"testing"

	"walrus/shards"
)

// The newest event of the right blob, kind and end is named: deletable records and mere registrations do not count.
func TestCertifies(t *testing.T) {
	blob, other := shards.BlobID{1}, shards.BlobID{2}
	events := []Event{
		{Kind: EventCertified, Blob: blob, End: 9}, {Kind: EventCertified, Blob: blob, End: 7},
		{Kind: EventExtended, Blob: blob, End: 9}, {Kind: EventCertified, Blob: blob, End: 9, Deletable: true},
		{Kind: EventRegistered, Blob: blob, End: 9}, {Kind: EventCertified, Blob: other, End: 9},
	}
	for _, c := range []struct {
		blob shards.BlobID
		end  uint32
		seq  int
		ok   bool
	}{{blob, 9, 2, true}, {blob, 7, 1, true}, {other, 9, 5, true}, {blob, 8, 0, false}, {shards.BlobID{3}, 9, 0, false}} {
		if seq, ok := (&Result{Events: events}).Certifies(c.blob, c.end); seq != c.seq || ok != c.ok {
			t.Errorf("blob %s to epoch %d: event %d, %v; want %d, %v", c.blob, c.end, seq, ok, c.seq, c.ok)
		}
	}
}

// A history lists what events name, once, and no zero IDs.
func TestSubjects(t *testing.T) {
	a, b := Address{1}, Address{2}
	r := Result{Events: []Event{
		{Kind: EventTransferred, From: a, To: b}, {Kind: EventDeleted, Object: ObjectID{3}, Other: ObjectID{4}, Blob: shards.BlobID{5}},
	}}
	all := r.Subjects(a)
	for _, s := range []Subject{AboutAccount(Address{}), AboutAccount(a), AboutAccount(b), AboutObject(ObjectID{3}),
		AboutObject(ObjectID{4}), AboutBlob(shards.BlobID{5})} {
		if !all[s] {
			t.Errorf("%s is not listed", s)
		}
		delete(all, s)
	}
	if len(all) != 0 {
		t.Errorf("also listed: %v", all)
	}
}
