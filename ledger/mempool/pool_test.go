package mempool

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"walrus/ledger"
	"walrus/shards"
)

var update = flag.Bool("update", false, "write what the traces in testdata give now")

// TestTraces runs the scripts in testdata: a line for each event, followed by the actions that it caused, each after
// "  ". See command for the events.
func TestTraces(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no traces: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			s := newScene(t)
			var out strings.Builder
			for line := range strings.Lines(string(b)) {
				if line = strings.TrimRight(line, "\n"); strings.HasPrefix(line, "  ") {
					continue
				}
				out.WriteString(line + "\n")
				if line != "" && !strings.HasPrefix(line, "#") {
					out.WriteString(s.command(strings.Fields(line)))
					s.check()
				}
			}
			switch {
			case *update:
				if err := os.WriteFile(file, []byte(out.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			case out.String() != string(b):
				t.Errorf("another trace; if it is right, run the test with -update:\n%s", out.String())
			}
		})
	}
}

// scene is a pool with the accounts and transactions of a script.
type scene struct {
	t        *testing.T
	pool     *Pool
	accounts map[string]Account
	names    map[ledger.TxID]string
	height   uint64
}

func newScene(t *testing.T) *scene {
	s := &scene{t: t, accounts: map[string]Account{}, names: map[ledger.TxID]string{}}
	s.open(10, 10_000)
	return s
}

func (s *scene) open(txs, bytes int) {
	s.pool, s.height = New(Limits{Txs: txs, Bytes: bytes}), 1
	s.pool.Block(1, nil)
}

func address(name string) (a ledger.Address) {
	copy(a[:], name)
	return a
}

// makeTx makes a transaction of an account. Its ID is unique for what it says.
func makeTx(name string, nonce, fee, expiry uint64, size int) *Tx {
	raw := bytes.Repeat([]byte{0}, size)
	copy(raw, fmt.Sprint(name, " ", nonce, " ", fee, " ", expiry))
	return &Tx{ID: ledger.HashTx(raw), Sender: address(name), Nonce: nonce, Expiry: expiry, Fee: ledger.Amount(fee),
		Least: ledger.Amount(size), Weight: uint64(size), Raw: raw}
}

// command runs one event:
//
//	limits TXS BYTES            begin with an empty pool at height 1
//	account NAME BALANCE NONCE  set an account, known from the next block on
//	ACCOUNT NONCE FEE [size N] [life N] [spends N] [relayed]
//	                            a transaction arrives: of 100 bytes, whose least fee is 1 a byte, for 100 heights
//	free BLOB                   a free transaction arrives
//	block                       the next block, with all accounts
//	drop ACCOUNT NONCE          the caller says that it is void
//	best N                      the first transactions for a block
//	least SIZE                  the least fee of a transaction of that size
func (s *scene) command(f []string) string {
	number := func(i int) uint64 {
		n, err := strconv.ParseUint(f[i], 10, 64)
		if err != nil {
			s.t.Fatalf("%v: %v", f, err)
		}
		return n
	}
	switch f[0] {
	case "limits":
		s.open(int(number(1)), int(number(2)))
	case "account":
		s.accounts[f[1]] = Account{address(f[1]), ledger.Amount(number(2)), number(3)}
	case "block":
		s.height++
		var all []Account
		for _, name := range slices.Sorted(maps.Keys(s.accounts)) {
			all = append(all, s.accounts[name])
		}
		return s.left(s.pool.Block(s.height, all))
	case "drop":
		for id, name := range s.names {
			if name == f[1]+" "+f[2] && s.pool.Has(id) {
				return s.left(s.pool.Drop(id))
			}
		}
	case "free":
		tx := makeTx("", 0, 0, s.height+100, 100)
		tx.Free, tx.Blob = true, shards.BlobID(address(f[1]))
		tx.ID = ledger.TxID(tx.Blob)
		s.names[tx.ID] = "free " + f[1]
		return s.arrived(s.pool.Arrive(tx, Account{}, false))
	case "best":
		var names []string
		s.pool.Best(func(tx *Tx) bool {
			names = append(names, s.names[tx.ID])
			return len(names) < int(number(1))
		})
		return "  " + strings.Join(names, ", ") + "\n"
	case "least":
		return fmt.Sprintf("  %d FROST, %d thousandths full\n",
			s.pool.Least(makeTx("nobody", 0, 0, 0, int(number(1)))), s.pool.fullness())
	default:
		size, life, spends, relayed := 100, uint64(100), uint64(0), false
		for i := 3; i < len(f); i++ {
			switch f[i] {
			case "size":
				size = int(number(i + 1))
			case "life":
				life = number(i + 1)
			case "spends":
				spends = number(i + 1)
			case "relayed":
				relayed = true
			}
		}
		tx := makeTx(f[0], number(1), number(2), s.height+life-1, size)
		tx.Spends = ledger.Amount(spends)
		s.names[tx.ID] = f[0] + " " + f[1]
		a := s.accounts[f[0]]
		a.Address = tx.Sender
		if err := s.pool.Check(tx, a, relayed); err != nil {
			if _, again := s.pool.Arrive(tx, a, relayed); again == nil || again.Error() != err.Error() {
				s.t.Errorf("%v: Check says %v, Arrive %v", f, err, again)
			}
			return fmt.Sprintf("  refused: %s\n", s.text(err))
		}
		return s.arrived(s.pool.Arrive(tx, a, relayed))
	}
	return ""
}

func (s *scene) arrived(left []Left, err error) string {
	if err != nil {
		return fmt.Sprintf("  refused: %s\n", s.text(err))
	}
	return "  taken\n" + s.left(left)
}

func (s *scene) left(left []Left) (text string) {
	for _, l := range left {
		text += fmt.Sprintf("  %s left: %v", s.names[l.Tx.ID], l.Why)
		if l.Why == PricedOut {
			text += fmt.Sprintf(", least %d", l.Least)
		}
		text += "\n"
	}
	return text
}

// text is an error with transactions by name.
func (s *scene) text(err error) string {
	var op *ledger.OpError
	if !errors.As(err, &op) {
		s.t.Fatal(err)
	}
	text := fmt.Sprintf("%v: %v", op.Code, op)
	for id, name := range s.names {
		text = strings.ReplaceAll(text, id.String(), "("+name+")")
	}
	return text
}

// check recomputes by brute force what the pool keeps.
func (s *scene) check() {
	s.t.Helper()
	if err := s.pool.audit(); err != nil {
		s.t.Fatal(err)
	}
}

// audit recomputes what the pool keeps.
func (p *Pool) audit() error {
	txs, size := len(p.free), 0
	for _, e := range p.free {
		size += len(e.Raw)
	}
	for a, l := range p.lanes {
		if len(l.entries) == 0 || len(l.entries) > MaxWaiting || a != l.account.Address {
			return fmt.Errorf("lane of %d entries", len(l.entries))
		}
		left := l.account.Balance
		for i, e := range l.entries {
			if e.Nonce != l.account.Nonce+uint64(i) || e.lane != l || p.byID[e.ID] != e || left < e.Fee {
				return fmt.Errorf("entry %d of a lane: nonce %d, left %d", i, e.Nonce, left)
			}
			if left = remaining(left, e.Tx); left != e.left {
				return fmt.Errorf("entry %d leaves %d, not %d", i, left, e.left)
			}
			rank := e.price()
			for _, before := range l.entries[:i] {
				if before.price().compare(rank) < 0 {
					rank = before.price()
				}
			}
			if rank.compare(e.rank) != 0 || p.expiring.items[e.inExpiring] != e {
				return fmt.Errorf("entry %d has rank %v, not %v", i, e.rank, rank)
			}
			txs, size = txs+1, size+len(e.Raw)
		}
		if p.cheapest.items[l.inCheapest] != l || p.dearest.items[l.inDearest] != l {
			return errors.New("a lane does not know its place")
		}
	}
	if txs != len(p.byID) || txs != len(p.expiring.items) || size != p.bytes || len(p.lanes) != len(p.cheapest.items) ||
		len(p.lanes) != len(p.dearest.items) || txs-len(p.free) > p.limits.Txs || size > p.limits.Bytes {
		return fmt.Errorf("%d transactions of %d bytes: counted %d of %d", txs, size, len(p.byID), p.bytes)
	}
	for i := 1; i < len(p.cheapest.items); i++ {
		for _, h := range []*heap[*lane]{&p.cheapest, &p.dearest} {
			if h.less(h.items[i], h.items[(i-1)/2]) {
				return errors.New("a heap is out of order")
			}
		}
	}
	return nil
}

// TestRandom checks the pool after random events, and that it serves each account in order and by rank.
func TestRandom(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	p := New(Limits{Txs: 40, Bytes: 6000})
	height := uint64(1)
	p.Block(height, nil)
	accounts := make([]Account, 12)
	name := func(i int) string { return fmt.Sprint("account ", i) }
	for i := range accounts {
		accounts[i] = Account{address(name(i)), 20_000, 0}
	}
	waiting := map[ledger.TxID]*Tx{}
	gone := func(left []Left) {
		for _, l := range left {
			if waiting[l.Tx.ID] == nil {
				t.Fatalf("seed %d: left without having come: %v", seed, l)
			}
			delete(waiting, l.Tx.ID)
		}
	}
	for step := range 20_000 {
		switch i := r.IntN(len(accounts)); r.IntN(20) {
		case 0:
			height++
			changed := accounts[i]
			changed.Nonce += r.Uint64N(3)
			changed.Balance = ledger.Amount(r.Uint64N(20_000))
			accounts[i] = changed
			gone(p.Block(height, []Account{changed}))
		case 1:
			for id := range waiting {
				gone(p.Drop(id))
				break
			}
		default:
			size := 60 + r.IntN(300)
			tx := makeTx(name(i), accounts[i].Nonce+r.Uint64N(6), uint64(size)+r.Uint64N(3000), height+15+r.Uint64N(30),
				size)
			tx.Spends = ledger.Amount(r.Uint64N(500))
			if waiting[tx.ID] != nil {
				continue
			}
			left, err := p.Arrive(tx, accounts[i], r.IntN(2) == 0)
			gone(left)
			if err == nil {
				waiting[tx.ID] = tx
			}
		}
		if err := p.audit(); err != nil {
			t.Fatalf("seed %d, step %d: %v", seed, step, err)
		}
		if len(waiting) != len(p.byID) {
			t.Fatalf("seed %d, step %d: %d wait, want %d", seed, step, len(p.byID), len(waiting))
		}
		if step%100 == 0 {
			checkBest(t, p, seed)
		}
	}
}

// checkBest walks everything that waits.
func checkBest(t *testing.T, p *Pool, seed uint64) {
	t.Helper()
	next := map[ledger.Address]uint64{}
	var before *entry
	count := 0
	p.Best(func(tx *Tx) bool {
		e := p.byID[tx.ID]
		if before != nil && servedBefore(e, before) {
			t.Fatalf("seed %d: out of order", seed)
		}
		if n, ok := next[tx.Sender]; ok && n != tx.Nonce || !ok && tx.Nonce != e.lane.account.Nonce {
			t.Fatalf("seed %d: nonce %d, want %d", seed, tx.Nonce, n)
		}
		next[tx.Sender], before = tx.Nonce+1, e
		count++
		return true
	})
	if count != len(p.byID) {
		t.Fatalf("seed %d: %d visited of %d", seed, count, len(p.byID))
	}
}
