package machine

import (
	"bytes"
	"maps"
	"slices"

	"walrus/ledger"
)

// offer runs the operations that give objects away.
func (m *model) offer(who ledger.Address, op ledger.Op) ledger.Code {
	switch op := op.(type) {
	case ledger.OfferStorage:
		if (op.To == ledger.Address{}) {
			return ledger.CodeNotFound
		}
		s, code := m.myStorage(who, op.Storage)
		if code != ledger.CodeOK {
			return code
		}
		return m.propose(op.Storage, ledger.Offer{From: who, To: op.To, Until: op.Until}, s.End)
	case ledger.OfferBlob:
		if (op.To == ledger.Address{}) {
			return ledger.CodeNotFound
		}
		b, code := m.myBlob(who, op.Object)
		if code != ledger.CodeOK {
			return code
		}
		return m.propose(op.Object, ledger.Offer{From: who, To: op.To, Until: op.Until}, b.End)
	case ledger.AcceptOffer:
		o, ok := m.offers[op.Object]
		if !ok {
			return ledger.CodeNotFound
		}
		if o.To != who || o.From != op.From {
			return ledger.CodeNotOwner
		}
		if m.now >= o.Until {
			return ledger.CodeState
		}
		delete(m.offers, op.Object)
		if s, ok := m.storages[op.Object]; ok {
			s.Owner = who
			m.storages[op.Object] = s
		} else {
			b := m.blobs[op.Object]
			b.Owner = who
			m.blobs[op.Object] = b
		}
	case ledger.WithdrawOffer:
		o, ok := m.offers[op.Object]
		if !ok {
			return ledger.CodeNotFound
		}
		if o.From != who {
			return ledger.CodeNotOwner
		}
		delete(m.offers, op.Object)
	}
	return ledger.CodeOK
}

func (m *model) propose(id ledger.ObjectID, o ledger.Offer, end uint32) ledger.Code {
	if o.Until <= m.now || o.Until > end {
		return ledger.CodeEpoch
	}
	m.offers[id] = o
	return ledger.CodeOK
}

// lapse ends the offers of objects that are gone or have another owner.
func (m *model) lapse() {
	for id, o := range m.offers {
		if m.storages[id].Owner != o.From && m.blobs[id].Owner != o.From {
			delete(m.offers, id)
		}
	}
}

// until is the end of an offer, most likely a possible one.
func (g *gambler) until() uint32 { return g.m.now + uint32(min(1+g.IntN(2), g.IntN(40))) }

// answer accepts or withdraws an offer, most likely one of the sender's.
func (g *gambler) answer(w wallet) ledger.Op {
	id, withdraw := ledger.ObjectID{1}, g.IntN(4) == 0
	g.missed = true
	for _, o := range slices.SortedFunc(maps.Keys(g.m.offers), func(a, b ledger.ObjectID) int {
		return bytes.Compare(a[:], b[:])
	}) {
		v := g.m.offers[o]
		if g.IntN(100) == 0 || withdraw && v.From == w.address || !withdraw && v.To == w.address && g.IntN(3) > 0 {
			id, g.missed = o, false
			break
		}
	}
	if withdraw {
		return ledger.WithdrawOffer{Object: id}
	}
	from := g.m.offers[id].From
	if g.IntN(50) == 0 {
		from = g.address()
	}
	return ledger.AcceptOffer{Object: id, From: from}
}
