package machine

import (
	"bytes"
	"crypto/ed25519"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"walrus/certs"
	"walrus/internal/wrongtest"
	"walrus/ledger"
	"walrus/shards"
)

var (
	modelOps  = flag.Int("model.ops", 20_000, "operations that TestModel tries")
	modelSeed = flag.Uint64("model.seed", 0, "seed of TestModel; 0 is a random one")
)

// TestModel runs random blocks through the rules and a model of them, and compares results and all records after each,
// for several numbers of workers.
func TestModel(t *testing.T) {
	seed := *modelSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("-model.seed=%d -model.ops=%d", seed, *modelOps)
	ops := *modelOps
	if testing.Short() {
		ops = min(ops, 5000)
	}
	g := newGambler(t, seed)
	for blocks := 0; g.ops < ops; blocks++ {
		g.playBlock(t)
		if err := g.compare(); err != nil {
			t.Fatalf("block %d: %v", g.n.height, err)
		}
		if err := audit(g.n.values, g.n.genesis); err != nil {
			t.Fatalf("block %d: %v", g.n.height, err)
		}
		if blocks%50 == 0 {
			checkState(t, g.n)
		}
	}
	checkState(t, g.n)
	t.Logf("%d operations in %d blocks and %d epochs: %v", g.ops, g.n.height, g.m.now, g.seen)
	for _, code := range []ledger.Code{
		ledger.CodeOK, ledger.CodeFormat, ledger.CodeNetwork, ledger.CodeSignature, ledger.CodeNonce,
		ledger.CodeExpired, ledger.CodeFee,
		ledger.CodeBalance, ledger.CodeNotFound, ledger.CodeNotOwner, ledger.CodeState, ledger.CodeEpoch, ledger.CodeSize,
		ledger.CodeCapacity, ledger.CodeCertificate, ledger.CodeBlobID, ledger.CodeInvalidBlob, ledger.CodeProof,
	} {
		if g.seen[code] == 0 && !testing.Short() {
			t.Errorf("no transaction came to %v: the test does not try enough", code)
		}
	}
	if g.seen[ledger.CodeInternal] > 0 {
		t.Error("a transaction touched what it had not declared")
	}
}

// gambler makes random transactions.
type gambler struct {
	*rand.Rand
	n        *network
	m        *model
	wallets  []wallet
	vouched  vouchers
	made     map[certificateOf][]byte
	wrong    [4]*wrongtest.Encoding
	monitors []ed25519.PrivateKey
	ops      int
	seen     map[ledger.Code]int

	missed   bool              // there was nothing to pick
	storages []ledger.ObjectID // of the model, sorted, and some that are gone
	blobs    []ledger.ObjectID
}

type certificateOf struct {
	epoch uint32
	blob  shards.BlobID
	certs.Persistence
}

// vouchers are certificates that are taken for good, as real ones take long to make.
type vouchers map[CertificateKey]bool

func (v vouchers) Has(k CertificateKey) bool { return v[k] }
func (v vouchers) Add(CertificateKey)        {}

func newGambler(t testing.TB, seed uint64) *gambler {
	g := &gambler{
		Rand: rand.New(rand.NewPCG(seed, 1)), vouched: vouchers{}, made: map[certificateOf][]byte{},
		seen: map[ledger.Code]int{},
	}
	for i := range 12 {
		g.wallets = append(g.wallets, newWallet(fmt.Sprintf("account %d", i)))
	}
	g.n = newNetwork(t, func(gen *ledger.Genesis) {
		gen.EpochDuration = time.Hour
		gen.MaxEpochsAhead = 6
		gen.Capacity = 150 << 20
		gen.StoragePrice = 50_003
		gen.WritePrice = 7_001
		gen.DepositPerByte = ledger.Amount(seed % 2 * 20_003)
		gen.Treasury = g.wallets[0].address
		for i := range gen.Members { // what is spent comes back to some
			gen.Members[i].Reward = g.wallets[i].address
		}
		for _, w := range g.wallets[1:8] {
			gen.Accounts = append(gen.Accounts, ledger.GenesisAccount{Address: w.address,
				Amount: ledger.Amount(g.IntN(2_000_000_000))})
		}
	})
	g.m = newModel(g.n.genesis)
	g.fillBonds()
	return g
}

// playBlock makes a block, each transaction for what the model says the state is by then, and checks what comes of it.
func (g *gambler) playBlock(t *testing.T) {
	t.Helper()
	if g.IntN(3) == 0 {
		g.n.time += int64(g.IntN(int(40 * time.Minute)))
	}
	if g.IntN(300) == 0 {
		g.n.time += int64(g.IntN(int(10 * time.Hour)))
	}
	epoch := g.m.now
	g.m.begin(g.n.time)
	if g.m.now != epoch {
		clear(g.vouched)
		clear(g.made)
		clear(g.m.good)
	}
	g.storages = append(g.gone(g.storages), slices.SortedFunc(maps.Keys(g.m.storages), compareIDs)...)
	g.blobs = append(g.gone(g.blobs), slices.SortedFunc(maps.Keys(g.m.blobs), compareIDs)...)
	var txs [][]byte
	var want []ledger.Result
	for range g.IntN(120) {
		raw, r := g.transaction(t)
		txs, want = append(txs, raw), append(want, r)
	}
	block := Block{Height: g.n.height + 1, Time: g.n.time, Txs: txs}
	var first *Outcome
	for _, workers := range []int{1, 2, 4, 8} {
		o := Options{Workers: workers, Certificates: g.vouched, eager: workers > 1 && g.IntN(2) == 0}
		if first != nil {
			signed := make(map[ledger.TxID]bool)
			for i, raw := range txs {
				signed[ledger.HashTx(raw)] = first.Results[i].Code != ledger.CodeSignature
			}
			o.Verified = func(id ledger.TxID) bool { return signed[id] }
		}
		out, err := g.n.Apply(block, o)
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = out
			g.checkResults(t, out.Results, want)
		} else if out.Tree.Root() != first.Tree.Root() || !reflect.DeepEqual(out.Results, first.Results) ||
			!reflect.DeepEqual(out.Changes, first.Changes) || !reflect.DeepEqual(out.Events, first.Events) {
			t.Fatalf("block %d: %d workers come to another outcome than one", block.Height, workers)
		}
	}
	if g.IntN(20) == 0 {
		g.playSingly(t, block, first)
	}
	g.n.values.apply(first.Changes)
	g.n.Tree = first.Tree
	g.n.height++
}

// playSingly applies each transaction in a block of its own, at the same height: the outcome is the same.
func (g *gambler) playSingly(t *testing.T, b Block, want *Outcome) {
	t.Helper()
	s, values := g.n.State, maps.Clone(g.n.values)
	s.Values, s.Ends = values, values
	for i := range max(1, len(b.Txs)) {
		one := Block{Height: b.Height, Time: b.Time, Txs: b.Txs[i:min(i+1, len(b.Txs))]}
		out, err := s.Apply(one, Options{Workers: 1, Certificates: g.vouched})
		if err != nil {
			t.Fatal(err)
		}
		if len(b.Txs) > 0 && !reflect.DeepEqual(out.Results[0], want.Results[i]) {
			t.Fatalf("block %d, transaction %d: %+v by itself, else %+v", b.Height, i, out.Results[0], want.Results[i])
		}
		values.apply(out.Changes)
		s.Tree = out.Tree
	}
	if s.Tree.Root() != want.Tree.Root() {
		t.Fatalf("block %d: another root if each transaction has a block of its own", b.Height)
	}
}

func (g *gambler) checkResults(t *testing.T, got, want []ledger.Result) {
	t.Helper()
	for i, r := range got {
		g.seen[r.Code]++
		w := want[i]
		if r.Code != w.Code || r.Op != w.Op || r.Fee != w.Fee || r.Spent != w.Spent {
			t.Fatalf("block %d, transaction %d: %v, operation %d, fee %d, spent %d (%s); the model says %v, %d, %d, %d",
				g.n.height+1, i, r.Code, r.Op, r.Fee, r.Spent, r.Log, w.Code, w.Op, w.Fee, w.Spent)
		}
		if (r.Code == ledger.CodeOK) != (len(r.Events) > 0) || (r.Code != ledger.CodeOK) != (r.Log != "") {
			t.Fatalf("block %d, transaction %d: %v with %d events and log %q", g.n.height+1, i, r.Code, len(r.Events), r.Log)
		}
	}
}

func compareIDs(a, b ledger.ObjectID) int { return bytes.Compare(a[:], b[:]) }

// gone keeps some IDs of a list, which may be of no object any more.
func (g *gambler) gone(ids []ledger.ObjectID) []ledger.ObjectID {
	if len(ids) == 0 {
		return nil
	}
	var some []ledger.ObjectID
	for range 1 + len(ids)/20 {
		some = append(some, ids[g.IntN(len(ids))])
	}
	return some
}

// compare compares all records of the state with the model's.
func (g *gambler) compare() error {
	want := memory{}
	m := g.m
	accounts := maps.Clone(m.accounts)
	for id, s := range m.storages {
		want[string(ledger.KeyStorage(id))] = s.Marshal()
		a := accounts[s.Owner]
		a.Storages++
		accounts[s.Owner] = a
	}
	for id, o := range m.offers {
		want[string(ledger.KeyOffer(id))] = o.Marshal()
	}
	infos := map[shards.BlobID]ledger.BlobInfo{}
	for id, b := range m.blobs {
		want[string(ledger.KeyBlob(id))] = b.Marshal()
		if b.Owner != (ledger.Address{}) {
			a := accounts[b.Owner]
			a.Blobs++
			accounts[b.Owner] = a
		}
		if b.End > m.now {
			info := infos[b.BlobID]
			addRecordPlainly(&info, &b)
			infos[b.BlobID] = info
		}
	}
	for address, a := range accounts {
		if a != (ledger.Account{}) {
			want[string(ledger.KeyAccount(address))] = a.Marshal()
		}
	}
	for epoch, p := range m.pots {
		want[string(ledger.KeyPot(epoch))] = p.Marshal()
	}
	m.addMarks(infos, want)
	if len(m.bonds) > 0 {
		want[string(ledger.KeyBonds())] = m.sortedBonds().Marshal()
	}
	for blob, info := range infos {
		info.InitialCertified = m.initial[blob]
		want[string(ledger.KeyBlobInfo(blob))] = info.Marshal()
	}
	want[string(ledger.KeyEpoch())] = ledger.EpochInfo{Epoch: m.now, Start: m.start, Leftover: m.leftover}.Marshal()
	if m.burned > 0 {
		want[string(ledger.KeySupply())] = ledger.Supply{Burned: m.burned}.Marshal()
	}
	for key, value := range g.n.values {
		if key[0] == 'b' { // what has expired may stay until it is touched
			info, err := ledger.UnmarshalBlobInfo(value)
			if err != nil {
				return err
			}
			if info.Trim(m.now); info.IsZero() {
				continue
			}
			value = info.Marshal()
		}
		if key[0] != 'p' && key[0] != 'm' && !bytes.Equal(value, want[key]) {
			return fmt.Errorf("record %q %x: %x, the model says %x", key[0], key[1:], value, want[key])
		}
		delete(want, key)
	}
	for key := range want {
		return fmt.Errorf("record %q %x is missing", key[0], key[1:])
	}
	return nil
}
