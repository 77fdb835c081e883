package app

import (
	"crypto/ed25519"
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"
	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/certs"
	"walrus/internal/wrongtest"
	"walrus/ledger"
	"walrus/ledger/machine"
	"walrus/shards"
)

// cpu returns the processor time that this process has taken.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// workScene is a state in which every operation of a kind takes as long as it can: records with the longest attributes,
// blob infos with the most ends.
type workScene struct {
	*chain
	owner wallet
}

func number(i int) (id [32]byte) {
	binary.BigEndian.PutUint64(id[:], uint64(i+1)*0x9e3779b97f4a7c15)
	id[31] = 1
	return id
}

func (s *workScene) storage(i int) ledger.ObjectID {
	id := number(i)
	s.values[string(ledger.KeyStorage(id))] = ledger.Storage{Owner: s.owner.address, Start: 1, End: 500, Bytes: 1 << 30}.Marshal()
	return id
}

func (s *workScene) expired(i int) ledger.ObjectID {
	id := s.record(i, func(b *ledger.Blob) { b.End = 1 })
	return id
}

// record makes a record with 64 attributes of 256 bytes, of a blob of its own with 1001 ends.
func (s *workScene) record(i int, change func(*ledger.Blob)) ledger.ObjectID {
	root := number(i + 1<<30)
	b := ledger.Blob{Owner: s.owner.address, Size: 1000, Root: root, BlobID: shards.DeriveBlobID(1000, root), Deletable: true,
		Registered: 1, Start: 1, End: 500, Bytes: 1 << 30}
	for j := range ledger.MaxAttributes {
		b.Attributes = append(b.Attributes, ledger.Attribute{Key: fmt.Sprintf("key %02d", j), Value: strings.Repeat("x", 250)})
	}
	if change != nil {
		change(&b)
	}
	id := number(i + 1<<31)
	s.values[string(ledger.KeyBlob(id))] = b.Marshal()
	s.info(b.BlobID)
	return id
}

func (s *workScene) info(id shards.BlobID) {
	info := ledger.BlobInfo{}
	for end := range uint32(1000) {
		info.Deletable = append(info.Deletable, ledger.DeletableEnd{End: 2 + end, Registered: 2})
	}
	s.values[string(ledger.KeyBlobInfo(id))] = info.Marshal()
}

func (s *workScene) bonds() {
	var all ledger.Bonds
	for i := range ledger.MaxBonds {
		all = append(all, ledger.Bond{Monitor: ledger.PeerKey{byte(i >> 8), byte(i), 1}, Account: s.owner.address, Amount: ledger.MinBond, Since: 1})
	}
	s.values[string(ledger.KeyBonds())] = all.Marshal()
}

// BenchmarkWork measures the processor time of each operation, on one core and apart from that of its transaction and
// of the commit. It is the measurement behind the units in ledger/work.go.
func BenchmarkWork(b *testing.B) {
	to := func(i int) ledger.Address { return number(i) }
	for _, kind := range []struct {
		name string
		most int // operations of a transaction
		op   func(s *workScene, i int) ledger.Op

		fails int // from 1, the operation that fails; 0: none
	}{
		{"buyStorage that fails", 256, func(_ *workScene, i int) ledger.Op {
			if i%256 == 255 {
				return ledger.Transfer{} // to nobody
			}
			return ledger.BuyStorage{Bytes: 1, Start: 1, End: 1001}
		}, 256},
		{"transfer", 256, func(_ *workScene, i int) ledger.Op { return ledger.Transfer{To: to(i), Amount: 1} }, 0},
		{"buyStorage 1 epoch", 256, func(*workScene, int) ledger.Op { return ledger.BuyStorage{Bytes: 1, Start: 1, End: 2} }, 0},
		{"buyStorage 1000 epochs", 256, func(*workScene, int) ledger.Op { return ledger.BuyStorage{Bytes: 1, Start: 1, End: 1001} }, 0},
		{"splitStorage", 256, func(s *workScene, i int) ledger.Op { return ledger.SplitStorage{Storage: s.storage(i), Bytes: 1} }, 0},
		{"mergeStorage", 256, func(s *workScene, i int) ledger.Op {
			return ledger.MergeStorage{A: s.storage(2 * i), B: s.storage(2*i + 1)}
		}, 0},
		{"registerBlob", 256, func(s *workScene, i int) ledger.Op {
			root := number(i + 1<<30)
			s.info(shards.DeriveBlobID(1000, root))
			return ledger.RegisterBlob{Storage: s.storage(i), BlobID: shards.DeriveBlobID(1000, root), Root: root, Size: 1000, Deletable: true}
		}, 0},
		{"extendBlob by 1", 256, func(s *workScene, i int) ledger.Op { return ledger.ExtendBlob{Object: s.record(i, nil), Epochs: 1} }, 0},
		{"extendBlob by storage", 256, func(s *workScene, i int) ledger.Op {
			return ledger.ExtendBlob{Object: s.record(i, func(b *ledger.Blob) { b.End = 400 }), Storage: s.storage(i)}
		}, 0},
		{"deleteBlob", 256, func(s *workScene, i int) ledger.Op { return ledger.DeleteBlob{Object: s.record(i, nil)} }, 0},
		{"shareBlob", 256, func(s *workScene, i int) ledger.Op {
			return ledger.ShareBlob{Object: s.record(i, func(b *ledger.Blob) { b.Deletable = false }), Amount: 1}
		}, 0},
		{"fundBlob", 256, func(s *workScene, i int) ledger.Op {
			return ledger.FundBlob{Object: s.record(i, func(b *ledger.Blob) { b.Owner, b.Shared, b.Deletable = ledger.Address{}, true, false }), Amount: 1}
		}, 0},
		{"offerBlob", 256, func(s *workScene, i int) ledger.Op {
			return ledger.OfferBlob{Object: s.record(i, nil), To: to(i), Until: 9}
		}, 0},
		{"burnBlob", 256, func(s *workScene, i int) ledger.Op { return ledger.BurnBlob{Object: s.expired(i)} }, 0},
		{"setAttributes", 256, func(s *workScene, i int) ledger.Op {
			return ledger.SetAttributes{Object: s.record(i, nil), Set: []ledger.Attribute{{Key: "key 00", Value: "y"}}}
		}, 0},
		{"sweep 100", 10, func(s *workScene, i int) ledger.Op {
			var op ledger.Sweep
			for j := range 100 {
				op.Objects = append(op.Objects, s.expired(100*i+j))
			}
			slices.SortFunc(op.Objects, func(a, b ledger.ObjectID) int { return strings.Compare(string(a[:]), string(b[:])) })
			return op
		}, 0},
		{"unbondMonitor", 256, func(s *workScene, i int) ledger.Op {
			s.bonds()
			return ledger.UnbondMonitor{Monitor: ledger.PeerKey{byte(i >> 8), byte(i), 1}}
		}, 0},
	} {
		b.Run(kind.name, func(b *testing.B) {
			s := &workScene{chain: newChain(b, 1), owner: wallets()[0]}
			params := s.genesis.Params()
			params.MaxEpochsAhead, params.Capacity = ledger.MaxEpochsAhead, 1<<62
			s.values[string(ledger.KeyParams())] = params.Marshal()
			s.values[string(ledger.KeyAccount(s.owner.address))] = ledger.Account{Balance: 1 << 60, Storages: 1 << 20, Blobs: 1 << 20}.Marshal()
			const txs = 4
			var block [][]byte
			for i := range txs {
				tx := &ledger.Tx{Network: s.state.Network, Nonce: uint64(i), Expiry: 1000, Fee: ledger.WAL}
				for j := range kind.most {
					tx.Ops = append(tx.Ops, kind.op(s, i*kind.most+j))
				}
				tx.Sign(s.owner.key)
				block = append(block, tx.Marshal())
			}
			verified := func(ledger.TxID) bool { return true }
			least := time.Hour
			for range max(b.N, 3) {
				before := cpu()
				out, err := s.state.Apply(machine.Block{Height: 1, Time: s.time, Txs: block}, machine.Options{Workers: 1, Verified: verified})
				least = min(least, cpu()-before)
				check(b, err)
				if r := out.Results[txs-1]; r.Code != ledger.CodeOK && r.Op != kind.fails-1 {
					b.Fatal(r.Log)
				}
			}
			b.ReportMetric(float64(least.Nanoseconds())/1000/float64(txs*kind.most), "µs/operation")
			tx, err := ledger.UnmarshalTx(block[0])
			check(b, err)
			work := params.Work(len(block[0]), tx.Ops)
			byBytes, byWork := 512<<10/(len(block[0])+4), int(ledger.MaxBlockWork/work)
			each := float64(least.Nanoseconds()) / 1e6 / txs
			b.ReportMetric(each*float64(byBytes), "ms/block-by-bytes")
			b.ReportMetric(each*float64(min(byBytes, byWork)), "ms/block")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkWorkCommit measures the processor time of a transaction and of a key of the state, from the check of a
// proposed block to its commit.
func BenchmarkWorkCommit(b *testing.B) {
	for _, ops := range []int{1, 255} {
		b.Run(fmt.Sprint(ops), func(b *testing.B) {
			txs := 2500 / ops
			s := newChain(b, 1)
			a := openApp(b, b.TempDir(), s.genesis, nil)
			least := time.Hour
			nonces := maps.Clone(map[int]uint64{})
			for round := range max(b.N, 5) {
				var block [][]byte
				for i := range txs {
					from := i % len(wallets())
					var list []ledger.Op
					for j := range ops {
						list = append(list, ledger.Transfer{To: number(round<<20 + i*ops + j), Amount: 1})
					}
					block = append(block, s.sign(wallets()[from], nonces[from], list...))
					nonces[from]++
				}
				r := s.add(b, block...)
				before := cpu()
				response, err := a.ProcessProposal(b.Context(), &abci.RequestProcessProposal{Height: r.Height, Time: r.Time, Txs: r.Txs, Hash: r.Hash})
				check(b, err)
				if response.Status != abci.ResponseProcessProposal_ACCEPT {
					b.Fatal("refused")
				}
				checked := cpu()
				_, err = a.FinalizeBlock(b.Context(), r)
				check(b, err)
				_, err = a.Commit(b.Context(), nil)
				check(b, err)
				least = min(least, cpu()-before)
				b.ReportMetric(float64((checked-before).Microseconds())/float64(txs), "µs-check/tx")
			}
			b.ReportMetric(float64(least.Nanoseconds())/1000/float64(txs), "µs/tx")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkWorkProofs measures the processor time of a certificate by its signers, and of a cell proof.
func BenchmarkWorkProofs(b *testing.B) {
	measure := func(name string, do func() error) {
		b.Run(name, func(b *testing.B) {
			least := time.Hour
			for range max(b.N, 20) {
				before := cpu()
				for range 10 {
					check(b, do())
				}
				least = min(least, cpu()-before)
			}
			b.ReportMetric(float64(least.Nanoseconds())/1e4, "µs/proof")
			b.ReportMetric(0, "ns/op")
		})
	}
	r := rand.NewChaCha8([32]byte{3})
	var keys []*certs.SecretKey
	var members []certs.Member
	for i := range 1000 {
		sk, err := certs.NewSecretKey(r)
		check(b, err)
		node := peer.ID(fmt.Sprint("node ", i))
		keys = append(keys, sk)
		members = append(members, certs.Member{Node: node, Key: sk.Public(), Proof: sk.ProvePossession("test", node), Shards: []int{i}})
	}
	committee, err := certs.NewCommittee("test", certs.NetworkID{}, 1, 1000, members)
	check(b, err)
	var blob shards.BlobID
	for _, signers := range []int{667, 1000} {
		var confs []certs.Confirmation
		for i := range signers {
			confs = append(confs, committee.Sign(keys[i], members[i].Node, blob, certs.Persistence{}))
		}
		cert, _, err := committee.Aggregate(blob, certs.Persistence{}, confs)
		check(b, err)
		measure(fmt.Sprint("signers=", signers), func() error { return committee.Verify(cert) })
	}
	c := newChain(b, 1)
	small, err := c.state.Committees.At(1)
	check(b, err)
	var confs []certs.Confirmation
	for i, key := range testKeys() {
		confs = append(confs, small.Sign(key, small.Members()[i].Node, blob, certs.Persistence{}))
	}
	cert, _, err := small.Aggregate(blob, certs.Persistence{}, confs)
	check(b, err)
	measure("signers=4", func() error { return small.Verify(cert) })
	for _, n := range []int{10, 1000} {
		p, err := shards.NewParams(n)
		check(b, err)
		e := wrongtest.Kinds(b, p, wrongtest.Content(3000, 1))[0]
		raw := e.Proof(b).Marshal()
		measure(fmt.Sprint("cell proof of ", n), func() error {
			proof, err := shards.UnmarshalCellProof(p, raw)
			if err != nil {
				return err
			}
			return proof.Verify(p, e.ID)
		})
	}
}

func testKeys() (keys []*certs.SecretKey) {
	r := rand.NewChaCha8([32]byte{3})
	for range 4 {
		if _, _, err := ed25519.GenerateKey(r); err != nil {
			panic(err)
		}
		sk, err := certs.NewSecretKey(r)
		if err != nil {
			panic(err)
		}
		keys = append(keys, sk)
	}
	return keys
}
