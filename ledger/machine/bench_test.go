package machine

import (
	"fmt"
	"testing"

	"walrus/certs"
	"walrus/ledger"
)

// BenchmarkTransfers applies blocks of 2000 transfers between accounts of their own, with and without verifying the
// signatures.
func BenchmarkTransfers(b *testing.B) {
	const count = 2000
	wallets := make([]wallet, count)
	for i := range wallets {
		wallets[i] = newWallet(fmt.Sprint(i))
	}
	n := funded(b, ledger.WAL, wallets...)
	txs := make([][]byte, count)
	for i, w := range wallets {
		txs[i] = n.sign(w, 0, transferTo(newWallet(fmt.Sprint("to ", i)))).Marshal()
	}
	block := Block{Height: 1, Time: n.time, Txs: txs}
	known := func(ledger.TxID) bool { return true }
	for _, workers := range []int{1, 2} {
		for name, verified := range map[string]func(ledger.TxID) bool{"verified": known, "unverified": nil} {
			b.Run(fmt.Sprintf("%s/workers=%d", name, workers), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					out, err := n.Apply(block, Options{Workers: workers, Verified: verified})
					if err != nil || out.Results[count-1].Code != ledger.CodeOK {
						b.Fatal(err, out.Results[count-1].Log)
					}
				}
				b.ReportMetric(float64(b.N*count)/b.Elapsed().Seconds(), "tx/s")
			})
		}
	}
}

// BenchmarkHotAccount applies 2000 transfers to one account, which wait for each other.
func BenchmarkHotAccount(b *testing.B) {
	const count = 2000
	wallets := make([]wallet, count)
	for i := range wallets {
		wallets[i] = newWallet(fmt.Sprint(i))
	}
	n := funded(b, ledger.WAL, wallets...)
	txs := make([][]byte, count)
	for i, w := range wallets {
		txs[i] = n.sign(w, 0, transferTo(wallets[0])).Marshal()
	}
	block := Block{Height: 1, Time: n.time, Txs: txs}
	for _, workers := range []int{1, 2} {
		b.Run(fmt.Sprint("workers=", workers), func(b *testing.B) {
			for b.Loop() {
				if _, err := n.Apply(block, Options{Workers: workers,
					Verified: func(ledger.TxID) bool { return true }}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N*count)/b.Elapsed().Seconds(), "tx/s")
		})
	}
}

// BenchmarkStore buys storage, registers a blob and certifies it, in one transaction for each of 100 accounts; the
// certificates are verified.
func BenchmarkStore(b *testing.B) {
	const count = 100
	wallets := make([]wallet, count)
	for i := range wallets {
		wallets[i] = newWallet(fmt.Sprint(i))
	}
	n := funded(b, ledger.WAL, wallets...)
	txs := make([][]byte, count)
	committee, err := n.Committees.At(ledger.FirstEpoch)
	if err != nil {
		b.Fatal(err)
	}
	for i, w := range wallets {
		root, blob := testBlob(fmt.Sprint(i), 1000)
		var confs []certs.Confirmation
		for m := range 3 {
			confs = append(confs, committee.Sign(n.keys[m], committee.Members()[m].Node, blob, certs.Persistence{}))
		}
		cert, _, err := committee.Aggregate(blob, certs.Persistence{}, confs)
		if err != nil {
			b.Fatal(err)
		}
		txs[i] = n.sign(w, 0, ledger.BuyStorage{Bytes: 1 << 20, Start: 1, End: 3},
			ledger.RegisterBlob{Storage: ledger.NewObjectID(w.address, 0, 0), BlobID: blob, Root: root, Size: 1000},
			ledger.CertifyBlob{Object: ledger.NewObjectID(w.address, 0, 1), Certificate: cert.Marshal()}).Marshal()
	}
	block := Block{Height: 1, Time: n.time, Txs: txs}
	warm := &remembered{}
	for _, workers := range []int{1, 2} {
		for name, cache := range map[string]Certificates{"cold": nil, "warm": warm} {
			b.Run(fmt.Sprintf("%s/workers=%d", name, workers), func(b *testing.B) {
				for b.Loop() {
					out, err := n.Apply(block, Options{Workers: workers, Certificates: cache})
					if err != nil || out.Results[count-1].Code != ledger.CodeOK {
						b.Fatal(err, out.Results[count-1].Log)
					}
				}
				b.ReportMetric(float64(b.N*count)/b.Elapsed().Seconds(), "stores/s")
			})
		}
	}
}

// BenchmarkAdmit lets one transaction wait, and the next block take it.
func BenchmarkAdmit(b *testing.B) {
	alice := newWallet("alice")
	n := funded(b, ledger.WAL, alice)
	raw := n.sign(alice, 0, transferTo(alice)).Marshal()
	for name, verified := range map[string]func(ledger.TxID) bool{"verified": func(ledger.TxID) bool { return true },
		"unverified": nil} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, _, err := openGate(b, n, 1).Admit(raw, verified, false); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
