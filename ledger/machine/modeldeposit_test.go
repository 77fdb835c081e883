package machine

import "walrus/ledger"

// An entry has 33 bytes of key, its value, and 150 bytes for the tree and the database. Objects pay for an offer, too.
func (m *model) least() ledger.Amount { return m.params.DepositPerByte * (33 + 24 + 150) }
func (m *model) storageDeposit() ledger.Amount {
	return m.params.DepositPerByte * (33 + 56 + 150 + 33 + 68 + 150)
}

// blobDeposit covers the record, and an info of one end.
func (m *model) blobDeposit(attributes []ledger.Attribute) ledger.Amount {
	size := 33 + len(ledger.Blob{Attributes: attributes}.Marshal()) + 150 + 33 + 14 + 12 + 150 + 33 + 68 + 150
	return m.params.DepositPerByte * ledger.Amount(size)
}

// exchange takes a price and a deposit and gives another deposit back. Nobody pays out of the least balance.
func (m *model) exchange(who ledger.Address, price, had, want ledger.Amount) bool {
	a := m.accounts[who]
	if price > ledger.TotalSupply {
		return false
	}
	if price+want > had && a.Balance < price+want-had+m.least() {
		return false
	}
	a.Balance = a.Balance + had - want - price
	m.accounts[who] = a
	return true
}

// removeEnded removes all that has ended: no block of the test has more than one may remove.
func (m *model) removeEnded() {
	for id, s := range m.storages {
		if s.End <= m.now {
			delete(m.storages, id)
			m.exchange(s.Owner, 0, s.Deposit, 0)
		}
	}
	for id, b := range m.blobs {
		if b.End > m.now {
			continue
		}
		delete(m.blobs, id)
		if b.Owner != (ledger.Address{}) {
			m.exchange(b.Owner, 0, b.Deposit, 0)
		} else if b.Funds+b.Deposit > 0 {
			m.toPot(m.now, b.Funds+b.Deposit, 0)
		}
	}
	m.lapse()
}
