package machine

import (
	"cmp"
	"slices"

	"walrus/ledger"
)

// mergeAttributes returns a new list, ascending by key: old without the keys to remove and with the attributes to set.
func mergeAttributes(old, set []ledger.Attribute, remove []string) ([]ledger.Attribute, *ledger.OpError) {
	merged := slices.Clone(old)
	find := func(key string) (int, bool) {
		return slices.BinarySearchFunc(merged, key,
			func(a ledger.Attribute, key string) int { return cmp.Compare(a.Key, key) })
	}
	for _, key := range remove {
		at, ok := find(key)
		if !ok {
			return nil, refuse(ledger.CodeNotFound, "there is no attribute %.80q to remove", key)
		}
		merged = slices.Delete(merged, at, at+1)
	}
	for _, a := range set {
		if at, ok := find(a.Key); ok {
			merged[at] = a
		} else {
			merged = slices.Insert(merged, at, a)
		}
	}
	size := 0
	for _, a := range merged {
		size += len(a.Key) + len(a.Value)
	}
	if len(merged) > ledger.MaxAttributes || size > ledger.MaxAttributesSize {
		return nil, refuse(ledger.CodeLimit, "%d attributes with %d bytes in all: at most %d with %d bytes: remove some",
			len(merged), size, ledger.MaxAttributes, ledger.MaxAttributesSize)
	}
	if len(merged) == 0 {
		return nil, nil
	}
	return merged, nil
}
