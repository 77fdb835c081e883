package machine

import (
	"maps"
	"math/big"

	"walrus/certs"
	"walrus/ledger"
	"walrus/shards"
)

// model is the rules once more, the plain way: maps of values, everything copied before a transaction and put back if
// it fails, sums recomputed from all records.
type model struct {
	params   ledger.Params
	network  certs.NetworkID
	height   uint64
	now      uint32
	start    int64
	leftover ledger.Amount
	burned   ledger.Amount
	members  []ledger.Member
	good     map[string]bool // certificates that verify, by epoch and binary form
	initial  map[shards.BlobID]uint32
	events   int // of the transaction so far

	world
}

// world holds everything that transactions change.
type world struct {
	accounts map[ledger.Address]ledger.Account
	storages map[ledger.ObjectID]ledger.Storage
	blobs    map[ledger.ObjectID]ledger.Blob
	pots     map[uint32]ledger.Pot
	invalid  map[shards.BlobID]ledger.InvalidBlob
	bonds    map[ledger.PeerKey]ledger.Bond
	offers   map[ledger.ObjectID]ledger.Offer
}

func (w world) clone() world {
	return world{maps.Clone(w.accounts), maps.Clone(w.storages), maps.Clone(w.blobs), maps.Clone(w.pots),
		maps.Clone(w.invalid), maps.Clone(w.bonds), maps.Clone(w.offers)}
}

func newModel(g *ledger.Genesis) *model {
	m := &model{
		params: g.Params(), network: g.NetworkID(), now: 1, start: g.Time.UnixNano(), members: g.Members,
		good: map[string]bool{}, initial: map[shards.BlobID]uint32{},
		world: world{
			accounts: map[ledger.Address]ledger.Account{}, storages: map[ledger.ObjectID]ledger.Storage{},
			blobs: map[ledger.ObjectID]ledger.Blob{}, pots: map[uint32]ledger.Pot{},
			invalid: map[shards.BlobID]ledger.InvalidBlob{}, bonds: map[ledger.PeerKey]ledger.Bond{},
			offers: map[ledger.ObjectID]ledger.Offer{},
		},
	}
	balances, err := g.Balances()
	if err != nil {
		panic(err)
	}
	for _, b := range balances {
		m.accounts[b.Address] = ledger.Account{Balance: b.Amount}
	}
	return m
}

// begin starts a block: it ends the epochs that are over.
func (m *model) begin(time int64) {
	m.height++
	for time >= m.start+int64(m.params.EpochDuration) {
		m.start += int64(m.params.EpochDuration)
		total := uint64(m.pots[m.now].Rewards + m.leftover)
		part := func(of uint64, k, n int64) uint64 {
			v := new(big.Int).Mul(new(big.Int).SetUint64(of), big.NewInt(k))
			return v.Div(v, big.NewInt(n)).Uint64()
		}
		burned := part(total, int64(m.params.BurnBasis), 10000)
		m.burned += ledger.Amount(burned)
		left := total - burned
		for _, member := range m.members {
			pay := part(total-burned, int64(len(member.Shards)), int64(m.params.Shards))
			a := m.accounts[member.Reward]
			a.Balance += ledger.Amount(pay)
			m.accounts[member.Reward] = a
			left -= pay
		}
		m.leftover = ledger.Amount(left)
		delete(m.pots, m.now)
		m.now++
		m.returnBonds()
		m.settle()
	}
}

// settle forgets since when blobs are certified that are no more.
func (m *model) settle() {
	alive := map[shards.BlobID]bool{}
	for _, b := range m.blobs {
		if b.Certified > 0 && b.End > m.now {
			alive[b.BlobID] = true
		}
	}
	for blob := range m.initial {
		if !alive[blob] {
			delete(m.initial, blob)
		}
	}
}

// apply runs a transaction and returns its result.
func (m *model) apply(tx *ledger.Tx, size int, signed bool) (code ledger.Code, op int, fee, spent ledger.Amount) {
	who := tx.Sender.Address()
	m.events = 0
	if isFree(tx) {
		return m.applyFree(tx, signed), -1, 0, 0
	}
	a := m.accounts[who]
	least := m.params.FeeTx + m.params.FeeByte*ledger.Amount(size) + m.params.FeePerWork*m.work(tx, size)
	switch {
	case tx.Network != m.network:
		return ledger.CodeNetwork, -1, 0, 0
	case m.height > tx.Expiry || tx.Expiry > m.height+ledger.MaxExpiry:
		return ledger.CodeExpired, -1, 0, 0
	case !signed:
		return ledger.CodeSignature, -1, 0, 0
	case tx.Nonce != a.Nonce:
		return ledger.CodeNonce, -1, 0, 0
	case tx.Fee < least || tx.Fee > a.Balance:
		return ledger.CodeFee, -1, 0, 0
	}
	before := a.Balance
	a.Nonce++
	a.Balance -= tx.Fee
	m.accounts[who] = a
	m.toPot(m.now, tx.Fee, 0)
	saved, initial := m.clone(), maps.Clone(m.initial)
	for i, op := range tx.Ops {
		id := ledger.NewObjectID(who, tx.Nonce, i)
		if code := m.do(who, id, tx, op); code != ledger.CodeOK {
			m.world, m.initial = saved, initial
			return code, i, tx.Fee, tx.Fee
		}
		m.lapse()
		m.events++
		m.settle()
	}
	return ledger.CodeOK, -1, tx.Fee, before - m.accounts[who].Balance
}

func (m *model) toPot(epoch uint32, rewards ledger.Amount, sold uint64) {
	p := m.pots[epoch]
	p.Rewards += rewards
	p.Sold += sold
	m.pots[epoch] = p
}

func (m *model) pay(who ledger.Address, amount ledger.Amount) bool {
	a := m.accounts[who]
	if a.Balance < amount {
		return false
	}
	a.Balance -= amount
	m.accounts[who] = a
	return true
}

func units(bytes uint64) ledger.Amount { return ledger.Amount((bytes + 1<<20 - 1) >> 20) }

// sell returns the price.
func (m *model) sell(bytes uint64, start, end uint32) (ledger.Amount, ledger.Code) {
	each := m.params.StoragePrice * units(bytes)
	for e := start; e < end; e++ {
		if m.pots[e].Sold+bytes > m.params.Capacity {
			return 0, ledger.CodeCapacity
		}
		m.toPot(e, each, bytes)
	}
	return each * ledger.Amount(end-start), ledger.CodeOK
}

func (m *model) myStorage(who ledger.Address, id ledger.ObjectID) (ledger.Storage, ledger.Code) {
	s, ok := m.storages[id]
	if !ok {
		return s, ledger.CodeNotFound
	}
	if s.Owner != who {
		return s, ledger.CodeNotOwner
	}
	if m.now >= s.End {
		return s, ledger.CodeState
	}
	delete(m.offers, id)
	return s, ledger.CodeOK
}

func (m *model) aliveBlob(id ledger.ObjectID) (ledger.Blob, ledger.Code) {
	b, ok := m.blobs[id]
	if !ok {
		return b, ledger.CodeNotFound
	}
	if m.now >= b.End {
		return b, ledger.CodeState
	}
	return b, ledger.CodeOK
}

func (m *model) myBlob(who ledger.Address, id ledger.ObjectID) (ledger.Blob, ledger.Code) {
	b, code := m.aliveBlob(id)
	if code == ledger.CodeOK && b.Owner != who {
		code = ledger.CodeNotOwner
	}
	if code == ledger.CodeOK {
		delete(m.offers, id)
	}
	return b, code
}

func (m *model) do(who ledger.Address, made ledger.ObjectID, tx *ledger.Tx, op ledger.Op) ledger.Code {
	switch op := op.(type) {
	case ledger.Transfer:
		switch {
		case op.To == ledger.Address{}:
			return ledger.CodeNotFound
		case !m.pay(who, op.Amount):
			return ledger.CodeBalance
		}
		a := m.accounts[op.To]
		a.Balance += op.Amount
		m.accounts[op.To] = a
	case ledger.BuyStorage:
		if op.Bytes == 0 {
			return ledger.CodeSize
		}
		if op.Start < m.now || op.Start >= op.End || op.End-m.now > m.params.MaxEpochsAhead {
			return ledger.CodeEpoch
		}
		price, code := m.sell(op.Bytes, op.Start, op.End)
		if code != ledger.CodeOK {
			return code
		}
		if !m.pay(who, price) {
			return ledger.CodeBalance
		}
		m.storages[made] = ledger.Storage{Owner: who, Start: op.Start, End: op.End, Bytes: op.Bytes}
	case ledger.SplitStorage, ledger.MergeStorage:
		return m.doStorage(who, made, op)
	case ledger.OfferStorage, ledger.OfferBlob, ledger.AcceptOffer, ledger.WithdrawOffer:
		return m.offer(who, op)
	case ledger.RegisterBlob:
		return m.register(who, made, op)
	case ledger.CertifyBlob:
		return m.certify(op)
	case ledger.ExtendBlob:
		return m.extend(who, op)
	case ledger.Sweep:
		return m.doSweep(op)
	case ledger.DisproveBlob, ledger.RefuteBlob:
		return m.mark(tx, op)
	case ledger.BondMonitor:
		return m.bond(who, op)
	case ledger.UnbondMonitor:
		return m.unbond(who, op)
	default:
		return m.doBlob(who, made, op)
	}
	return ledger.CodeOK
}
