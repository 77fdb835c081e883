package app

import (
	"bytes"
	"crypto/ed25519"
	"testing"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"

	"walrus/internal/wrongtest"
	"walrus/ledger"
	"walrus/shards"
)

// TestFreeProof takes a proof without a fee, from somebody without account, through all that CometBFT asks. It waits,
// is proposed, marks the blob, has a receipt, and does not come in again.
func TestFreeProof(t *testing.T) {
	c := newChain(t, 1)
	a := openApp(t, "", c.genesis, nil)
	p, err := shards.NewParams(10)
	check(t, err)
	e := wrongtest.Kinds(t, p, wrongtest.Content(3000, 1))[0]
	w := wallets()[0]
	register := c.sign(w, 0, ledger.BuyStorage{Bytes: 1 << 20, Start: 1, End: 3}, ledger.RegisterBlob{
		Storage: ledger.NewObjectID(w.address, 0, 0), BlobID: e.ID, Root: e.Meta.BlobRoot(), Size: e.Meta.Length,
	})
	run(t, a, c.add(t, register))
	stranger := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{9}, ed25519.SeedSize))
	free := func(proof []byte) []byte {
		return ledger.NewFree(c.state.Network, c.height+100, stranger,
			ledger.DisproveBlob{BlobID: e.ID, Proof: proof}).Marshal()
	}
	good, bad := free(e.Proof(t).Marshal()), free(make([]byte, p.CellProofSize()))
	offer(t, a, bad, ledger.CodeProof)
	offer(t, a, good, ledger.CodeOK)
	r, err := a.PrepareProposal(t.Context(), &abci.RequestPrepareProposal{
		Height: int64(c.height + 1), Time: time.Unix(0, c.time), MaxTxBytes: 1 << 20,
	})
	check(t, err)
	if len(r.Txs) != 1 || !bytes.Equal(r.Txs[0], good) {
		t.Fatalf("%d transactions proposed, want the good proof", len(r.Txs))
	}
	block := c.add(t, r.Txs...)
	propose(t, a, c, block)
	run(t, a, block)
	receipt, err := a.Receipt(ledger.HashTx(good))
	if err != nil || receipt.Code != ledger.CodeOK || receipt.Fee != 0 || receipt.Spent != 0 {
		t.Errorf("receipt %+v, %v", receipt, err)
	}
	mark, err := ledger.ReadInvalidBlob(a.View(), e.ID)
	if err != nil || mark.Tx != receipt.ID || mark.Height != c.height {
		t.Errorf("mark %+v, %v", mark, err)
	}
	offer(t, a, good, ledger.CodeInvalidBlob)
}
