package ledger

// SplitStorage cuts a storage resource in two, and makes a new one of the second part. With an Epoch it cuts by time:
// the new one begins there. With Epoch zero it cuts by size: the new one takes Bytes.
type SplitStorage struct {
	Storage ObjectID `json:"storage"`
	Epoch   uint32   `json:"epoch,omitempty"`
	Bytes   uint64   `json:"storageSize,omitempty"`
}

func (SplitStorage) kind() uint8 { return 3 }

func (SplitStorage) work(*Params) uint64 { return 2 * workKey }

func (o *SplitStorage) form(f *form) {
	f.fixed("storage", o.Storage[:])
	f.u32("epoch", &o.Epoch)
	f.u64("bytes", &o.Bytes)
}
