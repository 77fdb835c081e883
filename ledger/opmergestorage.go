package ledger

// MergeStorage adds B to A and removes B. With the same period, their sizes add up; with the same size, their adjacent
// periods join.
type MergeStorage struct {
	A ObjectID `json:"storage"`
	B ObjectID `json:"other"`
}

func (MergeStorage) kind() uint8 { return 4 }

func (MergeStorage) work(*Params) uint64 { return 2 * workKey }

func (o *MergeStorage) form(f *form) {
	f.fixed("a", o.A[:])
	f.fixed("b", o.B[:])
}
