package ledger

import "slices"

// SetAttributes sets and removes attributes of a blob's record.
type SetAttributes struct {
	Object ObjectID    `json:"object"`
	Set    []Attribute `json:"set,omitempty"`    // ascending by key
	Remove []string    `json:"remove,omitempty"` // ascending, none in Set
}

func (SetAttributes) kind() uint8 { return 14 }

func (SetAttributes) work(p *Params) uint64 { return workRecord + p.workInfo() }

func (o *SetAttributes) form(f *form) {
	f.fixed("object", o.Object[:])
	attributesForm(f, "attributes to set", &o.Set)
	list(f, "attributes to remove", &o.Remove, MaxAttributes, 2+1, func(f *form, key *string) {
		f.text("key", key, 1, MaxAttributeKey)
	})
	ascending(f, "attributes to remove", o.Remove, func(a, b *string) bool { return *a < *b })
	for i := range o.Set {
		_, both := slices.BinarySearch(o.Remove, o.Set[i].Key)
		f.check(!both, "attribute %q is set and removed", o.Set[i].Key)
	}
}
