package wallet

import (
	"encoding/hex"
	"os"
	"slices"
	"strings"
	"sync"

	"walrus/internal/userfile"
	"walrus/ledger"
)

const (
	// unpaidSuffix is appended to a wallet's path to name the file of transactions that may still be raised.
	unpaidSuffix = ".unpaid"
	// maxUnpaid bounds the transactions in the file. The oldest go first.
	maxUnpaid = 16
	// maxUnpaidFile bounds the file, in bytes: each transaction takes a line of twice its size.
	maxUnpaidFile = maxUnpaid * (2*ledger.MaxTxSize + 1)
)

// unpaid keeps transactions of a wallet that were sent, and that nobody waits for any more, in a file beside the
// wallet's: a line for each, in hexadecimal. The file only helps to raise their fees. If it cannot be written, they
// cannot be raised.
type unpaid struct {
	path string     // empty: no file; constant
	mu   sync.Mutex // held while the file is used
}

// note keeps a transaction, in place of another with its nonce.
func (u *unpaid) note(tx *ledger.Tx) {
	u.change(func(all []*ledger.Tx) []*ledger.Tx {
		all = slices.DeleteFunc(all, func(t *ledger.Tx) bool { return t.Nonce == tx.Nonce })
		if all = append(all, tx); len(all) > maxUnpaid {
			all = all[len(all)-maxUnpaid:]
		}
		return all
	})
}

// forget drops the transaction with a nonce.
func (u *unpaid) forget(nonce uint64) {
	u.change(func(all []*ledger.Tx) []*ledger.Tx {
		return slices.DeleteFunc(all, func(t *ledger.Tx) bool { return t.Nonce == nonce })
	})
}

// read returns the transactions whose nonce is unused, in the order of nonces, and forgets the others.
func (u *unpaid) read(head Head) (left []*ledger.Tx) {
	u.change(func(all []*ledger.Tx) []*ledger.Tx {
		left = slices.DeleteFunc(all, func(t *ledger.Tx) bool {
			return t.Network != head.Network || t.Nonce < head.Account.Nonce
		})
		return left
	})
	left = slices.Clone(left)
	slices.SortFunc(left, func(a, b *ledger.Tx) int {
		if a.Nonce < b.Nonce {
			return -1
		}
		return 1
	})
	return left
}

// change rewrites the file. Two processes at once may lose each other's changes.
func (u *unpaid) change(f func([]*ledger.Tx) []*ledger.Tx) {
	if u == nil || u.path == "" {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	before := u.load()
	after := f(slices.Clone(before))
	if len(before) == 0 && len(after) == 0 {
		return
	}
	if len(after) == 0 {
		_ = os.Remove(u.path)
		return
	}
	var b strings.Builder
	for _, tx := range after {
		b.WriteString(hex.EncodeToString(tx.Marshal()) + "\n")
	}
	_ = userfile.Replace(u.path, []byte(b.String()))
}

// load reads the file, as far as it is whole.
func (u *unpaid) load() (all []*ledger.Tx) {
	if st, err := os.Stat(u.path); err != nil || !st.Mode().IsRegular() || st.Size() > maxUnpaidFile {
		return nil
	}
	b, err := os.ReadFile(u.path)
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(b)) {
		raw, err := hex.DecodeString(strings.TrimSuffix(line, "\n"))
		if err != nil {
			continue
		}
		if tx, err := ledger.UnmarshalTx(raw); err == nil && tx.Verify() == nil {
			all = append(all, tx)
		}
	}
	return all
}
