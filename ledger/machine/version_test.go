package machine

import (
	"errors"
	"strings"
	"testing"

	"walrus/ledger"
)

// second are the rules of a program that knows a version 2, which begins with setAttributes. first are those of one
// that does not.
var (
	second = Rules{Latest: 2, Since: map[uint8]uint32{ledger.OpKind(ledger.SetAttributes{}): 2}}
	first  = Rules{Latest: 1, Since: second.Since}
)

// members is a network with the wallets of its members, of 3, 3, 2 and 2 shards.
func members(t *testing.T) (*network, []wallet) {
	testKeys()
	var all []wallet
	for _, key := range testIdentities {
		all = append(all, walletOf(key))
	}
	return newNetwork(t, func(g *ledger.Genesis) {
		for _, w := range all[1:] {
			g.Accounts = append(g.Accounts, ledger.GenesisAccount{Address: w.address, Amount: ledger.WAL})
		}
	}), all
}

// TestChangeRules votes for a version, and changes to it at its height. A program that does not know it runs no block
// from there on.
func TestChangeRules(t *testing.T) {
	n, who := members(t)
	n.Rules = second
	vote := func(i int, nonce, version, height uint64, want ledger.Code) ledger.Rules {
		t.Helper()
		raw := n.sign(who[i], nonce, ledger.ActivateRules{Version: uint32(version), Height: height}).Marshal()
		if r := n.commit(t, Options{}, raw).Results[0]; r.Code != want {
			t.Errorf("member %d for version %d from height %d: %v, %s, want %v", i, version, height, r.Code, r.Log, want)
		}
		r, err := ledger.ReadRules(n.values)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	set := ledger.SetAttributes{Set: []ledger.Attribute{{Key: "a", Value: "b"}}}
	raw := n.sign(who[0], 0, set).Marshal()
	if r := n.commit(t, Options{}, raw).Results[0]; r.Code != ledger.CodeFormat || r.Fee != 0 {
		t.Errorf("an operation of the next version: %v, fee %v", r.Code, r.Fee)
	}
	_, _, err := openGate(t, n, 10).Admit(raw, nil, false)
	wantCode(t, "admit an operation of the next version", err, ledger.CodeFormat)
	const at = 120
	vote(0, 0, 3, at, ledger.CodeState)
	vote(0, 1, 2, n.height+ledger.RulesNotice, ledger.CodeLimit)
	vote(0, 2, 2, at+1, ledger.CodeOK)
	vote(1, 0, 2, at, ledger.CodeOK)
	vote(2, 0, 2, at, ledger.CodeOK)
	if r := vote(3, 0, 2, at+1, ledger.CodeOK); r.Next != 0 || len(r.Votes) != 4 {
		t.Errorf("decided by 5 of 10 shards each: %+v", r)
	}
	if r := vote(3, 1, 2, at, ledger.CodeOK); r.Next != 2 || r.Height != at || r.Votes != nil || r.Version != 1 {
		t.Errorf("not decided by 7 of 10 shards: %+v", r)
	}
	vote(0, 3, 2, at, ledger.CodeState)
	for n.height < at-2 {
		n.commit(t, Options{})
	}
	wantCode(t, "admit to the last block", admit(t, n, n.sign(who[0], 4, set)), ledger.CodeFormat)
	n.commit(t, Options{})
	wantCode(t, "admit to the first block", admit(t, n, n.sign(who[0], 4, set)), ledger.CodeOK)
	old := n.State
	old.Rules = first
	b := Block{Height: at, Time: n.time, Txs: [][]byte{n.sign(who[0], 4, set).Marshal()}}
	var unknown *UnknownRules
	if _, err := old.Apply(b, Options{}); !errors.As(err, &unknown) || !strings.Contains(err.Error(),
		"the network has changed to rules version 2 at height 120; this program knows version 1: install a newer one") {
		t.Errorf("an old program: %v", err)
	}
	out := n.commit(t, Options{}, b.Txs...)
	if r := out.Results[0]; r.Code != ledger.CodeNotFound || r.Fee == 0 {
		t.Errorf("the new operation: %v, %s", r.Code, r.Log)
	}
	if len(out.Events) != 1 || out.Events[0].Kind != ledger.EventRulesChanged || out.Events[0].Version != 2 {
		t.Errorf("events %+v", out.Events)
	}
	if r := vote(1, 1, 3, 300, ledger.CodeOK); r.Version != 2 || r.Next != 0 || len(r.Votes) != 1 {
		t.Errorf("after the change: %+v", r)
	}
	if _, err := old.Apply(Block{Height: n.height + 1, Time: n.time}, Options{}); !errors.As(err, &unknown) {
		t.Errorf("an old program later: %v", err)
	}
}

func admit(t *testing.T, n *network, tx *ledger.Tx) error {
	t.Helper()
	_, _, err := openGate(t, n, 10).Admit(tx.Marshal(), nil, false)
	return err
}

// TestStrangersDoNotVote refuses votes by any key but a member's.
func TestStrangersDoNotVote(t *testing.T) {
	alice := newWallet("alice")
	n := funded(t, ledger.WAL, alice)
	r := n.commit(t, Options{}, n.sign(alice, 0, ledger.ActivateRules{Version: 2, Height: 500}).Marshal()).Results[0]
	if r.Code != ledger.CodeNotOwner {
		t.Errorf("%v, %s", r.Code, r.Log)
	}
}
