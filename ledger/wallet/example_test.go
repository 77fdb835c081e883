package wallet_test

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"os"
	"path/filepath"

	"walrus/ledger"
	"walrus/ledger/wallet"
)

// The wallet file is the money: it has the secret key of the account.
func ExampleLoad() {
	dir, err := os.MkdirTemp("", "wallet-*")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	made, err := wallet.New()
	if err != nil {
		panic(err)
	}
	path := filepath.Join(dir, "wallet.yaml")
	if err := made.Create(path); err != nil {
		panic(err)
	}

	w, err := wallet.Load(path)
	if err != nil {
		panic(err)
	}
	fmt.Println(w.Address() == made.Address())
	err = made.Create(path) // never replaces a file
	fmt.Println(err != nil)
	// Output:
	// true
	// true
}

// A payer composes operations into a transaction, signs it, sends it and waits for the receipt.
func ExamplePayer_Do() {
	w := wallet.FromKey(ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)))
	payer := wallet.NewPayer(w, &counter{}) // in a program, the chain is an adapter of a light client or a node

	transfer := ledger.Transfer{To: ledger.Address{1}, Amount: 2 * ledger.WAL}
	receipt, err := payer.Do(context.Background(), ledger.Fixed(transfer))
	if err != nil {
		panic(err)
	}
	fmt.Println("block", receipt.Height, receipt.Code)
	// Output: block 101 ok
}

// counter is a chain that commits every transaction in a block of its own.
type counter struct{ blocks uint64 }

func (c *counter) Head(context.Context, ledger.Address) (wallet.Head, error) {
	return wallet.Head{
		Height: 100 + c.blocks, Epoch: 1, Params: ledger.Params{FeeTx: 1000, FeeByte: 10},
		Account: ledger.Account{Balance: 5 * ledger.WAL, Nonce: c.blocks},
	}, nil
}

func (c *counter) CatchUp(context.Context) {}

func (c *counter) Submit(_ context.Context, tx *ledger.Tx) (ledger.Receipt, error) {
	if err := tx.Verify(); err != nil {
		return ledger.Receipt{}, err
	}
	c.blocks++
	return ledger.Receipt{ID: tx.ID(), Height: 100 + c.blocks, Result: ledger.Result{Op: -1, Fee: tx.Fee, Spent: tx.Fee}},
		nil
}

func (c *counter) Used(context.Context, ledger.Address, uint64) (ledger.Receipt, error) {
	return ledger.Receipt{}, ledger.ErrNotFound
}
