package ledger

// ActivateRules votes for the next version of the rules, from the block at Height on. Members send it with the key of
// their peer ID. It is decided once members with more than two thirds of the shards have the same vote.
type ActivateRules struct {
	Version uint32 `json:"version"`
	Height  uint64 `json:"height"`
}

func (ActivateRules) kind() uint8 { return 24 }

func (ActivateRules) work(*Params) uint64 { return workBonds }

func (o *ActivateRules) form(f *form) {
	f.u32("version", &o.Version)
	f.u64("height", &o.Height)
}
