package machine

import (
	"maps"
	"slices"

	"walrus/certs"
	"walrus/ledger"
	"walrus/shards"
)

func (m *model) doStorage(who ledger.Address, made ledger.ObjectID, op ledger.Op) ledger.Code {
	switch op := op.(type) {
	case ledger.SplitStorage:
		s, code := m.myStorage(who, op.Storage)
		if code != ledger.CodeOK {
			return code
		}
		a, b := s, s
		if op.Epoch > 0 {
			if op.Epoch <= s.Start || op.Epoch <= m.now || op.Epoch >= s.End {
				return ledger.CodeEpoch
			}
			a.End, b.Start = op.Epoch, op.Epoch
		} else {
			if op.Bytes == 0 || op.Bytes >= s.Bytes {
				return ledger.CodeSize
			}
			a.Bytes, b.Bytes = s.Bytes-op.Bytes, op.Bytes
		}
		if b.Deposit = m.storageDeposit(); !m.exchange(who, 0, 0, b.Deposit) {
			return ledger.CodeBalance
		}
		m.storages[op.Storage], m.storages[made] = a, b
	case ledger.MergeStorage:
		if op.A == op.B {
			return ledger.CodeState
		}
		a, code := m.myStorage(who, op.A)
		if code != ledger.CodeOK {
			return code
		}
		b, code := m.myStorage(who, op.B)
		if code != ledger.CodeOK {
			return code
		}
		if a.Start == b.Start && a.End == b.End {
			a.Bytes += b.Bytes
		} else if a.Bytes == b.Bytes && a.End == b.Start {
			a.End = b.End
		} else if a.Bytes == b.Bytes && a.Start == b.End {
			a.Start = b.Start
		} else {
			return ledger.CodeState
		}
		m.storages[op.A] = a
		delete(m.storages, op.B)
		m.exchange(who, 0, b.Deposit, 0)
	}
	return ledger.CodeOK
}

func (m *model) register(who ledger.Address, made ledger.ObjectID, op ledger.RegisterBlob) ledger.Code {
	s, code := m.myStorage(who, op.Storage)
	if code != ledger.CodeOK {
		return code
	}
	if s.Start > m.now {
		return ledger.CodeEpoch
	}
	if shards.DeriveBlobID(op.Size, op.Root) != op.BlobID {
		return ledger.CodeBlobID
	}
	p, err := shards.NewParams(int(m.params.Shards))
	if err != nil {
		panic(err)
	}
	if m.marked(op.BlobID) {
		return ledger.CodeInvalidBlob
	}
	encoded := uint64(p.EncodedSize(op.Size))
	if s.Bytes < encoded {
		return ledger.CodeSize
	}
	price := m.params.WritePrice * units(encoded)
	deposit := m.blobDeposit(op.Attributes)
	if !m.exchange(who, price, s.Deposit, deposit) {
		return ledger.CodeBalance
	}
	m.toPot(m.now, price, 0)
	delete(m.storages, op.Storage)
	m.blobs[made] = ledger.Blob{
		Owner: who, BlobID: op.BlobID, Size: op.Size, Root: op.Root, Deletable: op.Deletable, Registered: m.now,
		Start: s.Start, End: s.End, Bytes: s.Bytes, Deposit: deposit, Attributes: op.Attributes,
	}
	return ledger.CodeOK
}

func (m *model) certify(op ledger.CertifyBlob) ledger.Code {
	b, code := m.aliveBlob(op.Object)
	if code != ledger.CodeOK {
		return code
	}
	if b.Certified > 0 {
		return ledger.CodeState
	}
	if m.marked(b.BlobID) {
		return ledger.CodeInvalidBlob
	}
	c, err := certs.UnmarshalCertificate(op.Certificate)
	if err != nil || c.Blob != b.BlobID || c.Persistence.Deletable != b.Deletable || b.Deletable &&
		c.Persistence.Object != op.Object ||
		c.Epoch != m.now || !m.good[string(op.Certificate)] {
		return ledger.CodeCertificate
	}
	b.Certified = m.now
	m.blobs[op.Object] = b
	if m.initial[b.BlobID] == 0 {
		m.initial[b.BlobID] = m.now
	}
	return ledger.CodeOK
}

func (m *model) extend(who ledger.Address, op ledger.ExtendBlob) ledger.Code {
	b, code := m.aliveBlob(op.Object)
	if code != ledger.CodeOK {
		return code
	}
	if !b.Shared && b.Owner != who {
		return ledger.CodeNotOwner
	}
	delete(m.offers, op.Object)
	if m.marked(b.BlobID) {
		return ledger.CodeInvalidBlob
	}
	if op.Storage != (ledger.ObjectID{}) {
		if op.Epochs > 0 || op.FromFunds {
			return ledger.CodeFormat
		}
		s, code := m.myStorage(who, op.Storage)
		if code != ledger.CodeOK {
			return code
		}
		if s.Start > b.End || s.End <= b.End {
			return ledger.CodeEpoch
		}
		if s.Bytes < b.Bytes {
			return ledger.CodeSize
		}
		delete(m.storages, op.Storage)
		m.exchange(who, 0, s.Deposit, 0)
		b.End = s.End
		m.blobs[op.Object] = b
		return ledger.CodeOK
	}
	if op.Epochs == 0 || b.End+op.Epochs > m.now+m.params.MaxEpochsAhead {
		return ledger.CodeEpoch
	}
	if op.FromFunds && !b.Shared {
		return ledger.CodeState
	}
	price, code := m.sell(b.Bytes, b.End, b.End+op.Epochs)
	if code != ledger.CodeOK {
		return code
	}
	if op.FromFunds {
		if b.Funds < price {
			return ledger.CodeBalance
		}
		b.Funds -= price
	} else if !m.pay(who, price) {
		return ledger.CodeBalance
	}
	b.End += op.Epochs
	m.blobs[op.Object] = b
	return ledger.CodeOK
}

// doBlob runs the operations of owners on their records.
func (m *model) doBlob(who ledger.Address, made ledger.ObjectID, op ledger.Op) ledger.Code {
	switch op := op.(type) {
	case ledger.DeleteBlob:
		b, code := m.myBlob(who, op.Object)
		if code != ledger.CodeOK {
			return code
		}
		if !b.Deletable {
			return ledger.CodeState
		}
		delete(m.blobs, op.Object)
		m.storages[made] = ledger.Storage{Owner: who, Start: m.now, End: b.End, Bytes: b.Bytes,
			Deposit: m.storageDeposit()}
		m.exchange(who, 0, b.Deposit, m.storageDeposit())
	case ledger.ShareBlob:
		b, code := m.myBlob(who, op.Object)
		if code != ledger.CodeOK {
			return code
		}
		if b.Deletable {
			return ledger.CodeState
		}
		if m.marked(b.BlobID) {
			return ledger.CodeInvalidBlob
		}
		if !m.pay(who, op.Amount) {
			return ledger.CodeBalance
		}
		b.Owner, b.Shared, b.Funds = ledger.Address{}, true, op.Amount
		m.blobs[op.Object] = b
	case ledger.FundBlob:
		b, code := m.aliveBlob(op.Object)
		if code != ledger.CodeOK {
			return code
		}
		if !b.Shared {
			return ledger.CodeState
		}
		if m.marked(b.BlobID) {
			return ledger.CodeInvalidBlob
		}
		if !m.pay(who, op.Amount) {
			return ledger.CodeBalance
		}
		b.Funds += op.Amount
		m.blobs[op.Object] = b
	case ledger.BurnBlob:
		b, code := m.myBlob(who, op.Object)
		if code != ledger.CodeOK {
			return code
		}
		b.Owner = ledger.Address{}
		m.blobs[op.Object] = b
	case ledger.SetAttributes:
		return m.attributes(who, op)
	}
	return ledger.CodeOK
}

func (m *model) attributes(who ledger.Address, op ledger.SetAttributes) ledger.Code {
	b, code := m.myBlob(who, op.Object)
	if code != ledger.CodeOK {
		return code
	}
	all := map[string]string{}
	for _, a := range b.Attributes {
		all[a.Key] = a.Value
	}
	for _, key := range op.Remove {
		if _, ok := all[key]; !ok {
			return ledger.CodeNotFound
		}
		delete(all, key)
	}
	for _, a := range op.Set {
		all[a.Key] = a.Value
	}
	size := 0
	b.Attributes = nil
	for _, key := range slices.Sorted(maps.Keys(all)) {
		b.Attributes = append(b.Attributes, ledger.Attribute{Key: key, Value: all[key]})
		size += len(key) + len(all[key])
	}
	if len(all) > ledger.MaxAttributes || size > ledger.MaxAttributesSize {
		return ledger.CodeLimit
	}
	deposit := m.blobDeposit(b.Attributes)
	if !m.exchange(who, 0, b.Deposit, deposit) {
		return ledger.CodeBalance
	}
	b.Deposit = deposit
	m.blobs[op.Object] = b
	return ledger.CodeOK
}
