package ledger

// TransferStorage makes To the owner of a storage resource.
type TransferStorage struct {
	Storage ObjectID `json:"storage"`
	To      Address  `json:"to"`
}

func (TransferStorage) kind() uint8 { return 5 }

func (TransferStorage) work(*Params) uint64 { return 2 * workKey }

func (o *TransferStorage) form(f *form) {
	f.fixed("storage", o.Storage[:])
	f.fixed("to", o.To[:])
}
