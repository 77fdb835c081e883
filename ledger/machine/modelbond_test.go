package machine

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"slices"
	"testing"

	"walrus/ledger"
)

// bond adds to a monitor's bond, or makes one.
func (m *model) bond(who ledger.Address, op ledger.BondMonitor) ledger.Code {
	if !m.good[agreement(op, who)] {
		return ledger.CodeSignature
	}
	b, found := m.bonds[op.Monitor]
	switch {
	case found && b.Account != who:
		return ledger.CodeNotOwner
	case found && b.Until > 0:
		return ledger.CodeState
	case op.Amount > ledger.TotalSupply: // the sum may not fit in 64 bits
		if b.Amount+op.Amount < op.Amount {
			return ledger.CodeOverflow
		}
		return ledger.CodeBalance
	case op.Amount == 0, b.Amount+op.Amount < 100*ledger.WAL:
		return ledger.CodeLimit
	case !m.pay(who, op.Amount):
		return ledger.CodeBalance
	}
	if b.Since < m.now {
		b.Added = 0
	}
	m.bonds[op.Monitor] = ledger.Bond{Monitor: op.Monitor, Account: who, Amount: b.Amount + op.Amount,
		Added: b.Added + op.Amount, Since: m.now}
	if len(m.bonds) <= 1024 {
		return ledger.CodeOK
	}
	others := slices.DeleteFunc(m.sortedBonds(), func(b ledger.Bond) bool { return b.Monitor == op.Monitor })
	slices.SortStableFunc(others, func(a, b ledger.Bond) int {
		if a.Amount != b.Amount {
			return int(a.Amount) - int(b.Amount)
		}
		return bytes.Compare(b.Monitor[:], a.Monitor[:])
	})
	if others[0].Amount >= op.Amount {
		return ledger.CodeCapacity
	}
	m.returned(others[0])
	m.events++
	return ledger.CodeOK
}

func (m *model) unbond(who ledger.Address, op ledger.UnbondMonitor) ledger.Code {
	b, found := m.bonds[op.Monitor]
	switch {
	case !found:
		return ledger.CodeNotFound
	case b.Account != who:
		return ledger.CodeNotOwner
	case b.Until > 0:
		return ledger.CodeState
	}
	b.Until = m.now + 1
	m.bonds[op.Monitor] = b
	return ledger.CodeOK
}

// returned gives a bond back to its account.
func (m *model) returned(b ledger.Bond) {
	a := m.accounts[b.Account]
	a.Balance += b.Amount
	m.accounts[b.Account] = a
	delete(m.bonds, b.Monitor)
}

// returnBonds gives back, in the second epoch after it, what was given up.
func (m *model) returnBonds() {
	for _, b := range m.sortedBonds() {
		if b.Until > 0 && m.now >= b.Until-1+2 {
			m.returned(b)
		}
	}
}

func (m *model) sortedBonds() ledger.Bonds {
	var all ledger.Bonds
	for _, b := range m.bonds {
		all = append(all, b)
	}
	slices.SortFunc(all, func(a, b ledger.Bond) int { return bytes.Compare(a.Monitor[:], b.Monitor[:]) })
	return all
}

// agreement names a monitor's signature for an account in model.good.
func agreement(op ledger.BondMonitor, who ledger.Address) string {
	return fmt.Sprintf("agreement %x %x %x", op.Monitor, who, op.Agreement)
}

// fillBonds puts almost as many bonds into the state and the model as there may be.
func (g *gambler) fillBonds() {
	treasury := g.m.accounts[g.wallets[0].address]
	for i := range ledger.MaxBonds + 50 {
		seed := make([]byte, ed25519.SeedSize)
		copy(seed, fmt.Sprintf("monitor %d", i))
		g.monitors = append(g.monitors, ed25519.NewKeyFromSeed(seed))
		if i >= ledger.MaxBonds-10 {
			continue
		}
		owner := g.wallets[g.IntN(len(g.wallets))].address
		op := ledger.SignBond(g.monitors[i], g.m.network, owner, ledger.MinBond+ledger.Amount(g.IntN(50)))
		g.m.bonds[op.Monitor] = ledger.Bond{Monitor: op.Monitor, Account: owner, Amount: op.Amount, Added: op.Amount, Since: 1}
		treasury.Balance -= op.Amount
	}
	g.m.accounts[g.wallets[0].address] = treasury
	changes := []Change{{Key: ledger.KeyAccount(g.wallets[0].address), Value: treasury.Marshal()},
		{Key: ledger.KeyBonds(), Value: g.m.sortedBonds().Marshal()}}
	g.n.values.apply(changes)
	g.n.Tree, _ = g.n.Tree.Apply(changes, 1) // in memory
}

// bond is an operation on the bond of some monitor, likely one that can have one.
func (g *gambler) bond(w wallet) ledger.Op {
	key := g.monitors[g.IntN(len(g.monitors))]
	for range 20 * g.IntN(2) { // the sender's, or one without
		if b := g.m.bonds[ledger.PeerKey(key[ed25519.SeedSize:])]; b.Amount == 0 || b.Account == w.address {
			break
		}
		key = g.monitors[g.IntN(len(g.monitors))]
	}
	amount := g.amount(w)
	if g.IntN(2) == 0 {
		amount = ledger.MinBond + ledger.Amount(g.IntN(60)) - 1
	}
	owner := w.address
	if g.IntN(30) == 0 {
		owner = g.wallets[g.IntN(len(g.wallets))].address
	}
	op := ledger.SignBond(key, g.m.network, owner, amount)
	g.m.good[agreement(op, owner)] = true
	if g.IntN(30) == 0 {
		op.Agreement[g.IntN(64)] ^= 1 << g.IntN(8)
	}
	return op
}

// unbond is mostly of a bond of the sender's.
func (g *gambler) unbond(w wallet) ledger.Op {
	var op ledger.UnbondMonitor
	for range 20 {
		key := g.monitors[g.IntN(len(g.monitors))]
		op.Monitor = ledger.PeerKey(key[ed25519.SeedSize:])
		if b := g.m.bonds[op.Monitor]; g.IntN(100) == 0 || b.Account == w.address && b.Until == 0 {
			break
		}
	}
	return op
}

// TestFullBonds fills the list, pushes the least bond out, and lists them all with one read.
func TestFullBonds(t *testing.T) {
	treasury := newWallet("treasury")
	n := newNetwork(t, func(g *ledger.Genesis) { g.Treasury = treasury.address })
	bond := func(name string, amount ledger.Amount) ledger.BondMonitor {
		return ledger.SignBond(newWallet(name).key, n.Network, treasury.address, amount)
	}
	nonce := uint64(0)
	commit := func(ops ...ledger.Op) ledger.Result {
		t.Helper()
		nonce++
		return n.commit(t, Options{}, n.sign(treasury, nonce-1, ops...).Marshal()).Results[0]
	}
	for i := 0; i < ledger.MaxBonds; i += ledger.MaxOps {
		var ops []ledger.Op
		for j := range ledger.MaxOps {
			ops = append(ops, bond(fmt.Sprint(i+j), ledger.MinBond+ledger.Amount(i+j)))
		}
		if r := commit(ops...); r.Code != ledger.CodeOK {
			t.Fatal(r.Log)
		}
	}
	if r := commit(bond("equal", ledger.MinBond)); r.Code != ledger.CodeCapacity {
		t.Errorf("a bond no larger than the least of a full list: %v", r.Code)
	}
	if r := commit(bond("1023", 1)); r.Code != ledger.CodeOK || len(r.Events) != 1 {
		t.Errorf("an addition to a full list: %+v", r)
	}
	checkState(t, n)
	r := commit(bond("larger", ledger.MinBond+1))
	least := bond("0", 0).Monitor
	if r.Code != ledger.CodeOK || len(r.Events) != 2 || r.Events[1].Kind != ledger.EventBondReturned ||
		r.Events[1].Monitor != least || r.Events[1].Amount != ledger.MinBond || r.Spent != r.Fee+1 {
		t.Errorf("the least of a full list is not pushed out: %+v", r)
	}
	checkState(t, n)
	all, err := ledger.ReadBonds(n.values)
	if err != nil || len(all) != ledger.MaxBonds {
		t.Fatalf("%d bonds, %v", len(all), err)
	}
	if _, found := all.Find(least); found {
		t.Error("the least bond is still there")
	}
	if size := len(all.Marshal()); size > 96<<10 {
		t.Errorf("a full list has %d bytes", size)
	}
}
