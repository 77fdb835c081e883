package engine

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"walrus/ledger"
)

// payUntilKilled is the child of TestKilled: a node that pays and reports each payment. It never returns. began is the
// time of the genesis, Unix seconds.
func payUntilKilled(dir, began string) {
	t := childTB{}
	at, err := strconv.ParseInt(began, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	s := newFleet(t, nil, 1, nil)
	s.dir, s.genesis.Time = dir, time.Unix(at, 0).UTC()
	s.open(0)
	select {
	case <-s.nodes[0].Ready():
	case err := <-s.nodes[0].ended:
		t.Fatal(err)
	}
	a, err := ledger.ReadAccount(s.nodes[0].View(), s.address(0))
	if err != nil {
		t.Fatal(err)
	}
	s.nonces[0] = a.Nonce
	fmt.Println("ready", a.Nonce)
	for {
		s.pay(0, 0, 1)
		fmt.Println("paid", s.nonces[0])
	}
}

// childTB implements the part of testing.TB that the child needs.
type childTB struct{ testing.TB }

func (childTB) Helper()           {}
func (childTB) TempDir() string   { return "" }
func (childTB) Fatal(args ...any) { fmt.Println(args...); os.Exit(1) }
func (childTB) Fatalf(format string, args ...any) {
	fmt.Printf(format+"\n", args...)
	os.Exit(1)
}

// Transactions that a node reported as committed are still committed after kill -9 at any moment.
func TestKilled(t *testing.T) {
	const kills = 8
	dir := t.TempDir()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	paid, began := 0, time.Now().Unix()
	for range kills {
		paid = killOnce(t, dir, began, paid, r)
	}
	s := newFleet(t, nil, 1, nil)
	s.dir, s.genesis.Time = dir, time.Unix(began, 0).UTC()
	s.open(0)
	defer s.closeAll()
	<-s.nodes[0].Ready()
	v := s.nodes[0].View()
	payer, err := ledger.ReadAccount(v, s.address(0))
	if err != nil {
		t.Fatal(err)
	}
	payee, err := ledger.ReadAccount(v, s.address(1))
	if err != nil {
		t.Fatal(err)
	}
	if payer.Nonce < uint64(paid) || payee.Balance != 1000*ledger.WAL+ledger.Amount(payer.Nonce) {
		t.Errorf("%d transfers were seen committed; %+v has sent, %+v has received", paid, payer, payee)
	}
	if paid < kills {
		t.Errorf("only %d transfers between %d kills", paid, kills)
	}
}

// killOnce runs a child until it has paid a few times and a moment longer. It returns the number of payments in all.
func killOnce(t *testing.T, dir string, began int64, paid int, r *rand.Rand) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.CommandContext(ctx, exe)
	child.Env = append(os.Environ(), "ENGINE_PAY_IN="+dir, "ENGINE_PAY_SINCE="+strconv.FormatInt(began, 10))
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer child.Wait() // killed
	left, moment := 1+r.IntN(10), time.Duration(r.IntN(20))*time.Millisecond
	lines := bufio.NewScanner(out)
	var what string
	var n int
	for lines.Scan() {
		if _, err := fmt.Sscan(lines.Text(), &what, &n); err != nil {
			t.Fatalf("child says %q", lines.Text())
		}
		if what == "ready" && n < paid {
			t.Fatalf("%d transfers were committed before the kill, %d after", paid, n)
		}
		paid = max(paid, n)
		if left--; left == 0 {
			time.AfterFunc(moment, func() { child.Process.Kill() })
		}
	}
	if left > 0 {
		t.Fatalf("child ended by itself, %s transfers short", strconv.Itoa(left))
	}
	return paid
}
