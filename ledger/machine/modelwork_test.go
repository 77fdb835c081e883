package machine

import "walrus/ledger"

// work is the schedule of docs/ledger.md once more.
func (m *model) work(tx *ledger.Tx, size int) ledger.Amount {
	const key, record, certificate = 20, 120, 1200
	info := 20 + int(m.params.MaxEpochsAhead)/5
	sale := func(epochs uint32) int { return (int(min(epochs, m.params.MaxEpochsAhead)) + 15) / 16 }
	units := 60 + size/128
	for _, op := range tx.Ops {
		switch op := op.(type) {
		case ledger.Transfer:
			units += key
		case ledger.BuyStorage:
			units += key
			if op.End > op.Start {
				units += sale(op.End - op.Start)
			}
		case ledger.SplitStorage, ledger.MergeStorage:
			units += 2 * key
		case ledger.RegisterBlob, ledger.DeleteBlob:
			units += key + record + info
		case ledger.ExtendBlob:
			units += key + record + info + sale(op.Epochs)
		case ledger.ShareBlob, ledger.FundBlob, ledger.BurnBlob, ledger.SetAttributes:
			units += record + info
		case ledger.CertifyBlob:
			units += record + info + certificate + len(op.Certificate)/2/2
		case ledger.Sweep:
			units += len(op.Objects) * (2*key + record + info)
		case ledger.DisproveBlob:
			units += 30 + key + info
		case ledger.RefuteBlob:
			units += key + info + certificate + len(op.Certificate)/2/2
		case ledger.BondMonitor:
			units += 200 + 60 + 2*key
		case ledger.OfferStorage:
			units += 3 * key
		case ledger.OfferBlob:
			units += 2*key + record
		case ledger.AcceptOffer:
			units += 3*key + record
		case ledger.WithdrawOffer:
			units += key
		case ledger.UnbondMonitor:
			units += 200
		}
	}
	return ledger.Amount(units)
}
