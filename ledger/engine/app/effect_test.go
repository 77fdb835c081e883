package app

import (
	"bytes"
	"crypto/ed25519"
	"testing"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"

	"walrus/ledger"
)

// TestProposalsWithoutEffect refuses blocks that contain anything for which nobody pays. If such a block is decided all
// the same, it runs.
func TestProposalsWithoutEffect(t *testing.T) {
	c := newChain(t, 1)
	a := openApp(t, "", c.genesis, nil)
	rich, other := wallets()[0], wallets()[1]
	pay := ledger.Transfer{To: other.address, Amount: 5}
	used := c.sign(rich, 0, pay)
	run(t, a, c.add(t, used))
	good := c.sign(rich, 1, pay)
	drained := c.sign(rich, 1, ledger.Transfer{To: other.address, Amount: 1000*ledger.WAL - 5_000_000})
	dear := func(nonce uint64) []byte {
		tx := &ledger.Tx{Network: c.state.Network, Nonce: nonce, Expiry: c.height + 5, Fee: 2_000_000, Ops: []ledger.Op{pay}}
		tx.Sign(rich.key)
		return tx.Marshal()
	}
	late := &ledger.Tx{Network: c.state.Network, Nonce: 1, Expiry: c.height, Fee: 1 << 20, Ops: []ledger.Op{pay}}
	late.Sign(rich.key)
	cheap := &ledger.Tx{Network: c.state.Network, Nonce: 1, Expiry: c.height + 5, Ops: []ledger.Op{pay}}
	cheap.Sign(rich.key)
	stranger := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{9}, ed25519.SeedSize))
	refused := ledger.NewFree(c.state.Network, c.height+5, stranger, ledger.DisproveBlob{Proof: []byte("no proof")})
	replays := make([][]byte, 2500)
	for i := range replays {
		replays[i] = used
	}
	for name, txs := range map[string][][]byte{
		"2,500 replays":                   replays,
		"used nonce":                      {good, used},
		"a transaction twice":             {good, good},
		"nonce ahead":                     {c.sign(rich, 2, pay), good},
		"expired":                         {late.Marshal()},
		"less than the least fee":         {cheap.Marshal()},
		"nobody's account":                {ledgerTx(c, stranger, pay)},
		"cannot pay its fee after others": {drained, dear(2), dear(3), dear(4)},
		"a free proof of nothing":         {good, refused.Marshal()},
		"bytes":                           {good, []byte("x")},
	} {
		r, err := a.ProcessProposal(t.Context(), &abci.RequestProcessProposal{Height: int64(c.height + 1),
			Time: time.Unix(0, c.time), Txs: txs})
		if err != nil || r.Status != abci.ResponseProcessProposal_REJECT {
			t.Errorf("%s: %v, %v, want it refused", name, r, err)
		}
	}
	propose(t, a, c, c.add(t, good))
	block := c.add(t, replays...)
	if response := run(t, a, c.blocks[c.height-2]); response.TxResults[0].Code != 0 {
		t.Errorf("the good one: %v", response.TxResults[0])
	}
	if response := run(t, a, block); response.TxResults[2499].Code != uint32(ledger.CodeNonce) {
		t.Errorf("a decided replay: %v", response.TxResults[2499])
	}
	compare(t, a, c)
}

func ledgerTx(c *chain, key ed25519.PrivateKey, op ledger.Op) []byte {
	tx := &ledger.Tx{Network: c.state.Network, Expiry: c.height + 5, Fee: 1 << 20, Ops: []ledger.Op{op}}
	tx.Sign(key)
	return tx.Marshal()
}
