package app

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"

	"walrus/ledger"
	"walrus/ledger/engine/badgerdb"
)

// TestMain can run a part of a test in a child process that the test kills.
func TestMain(m *testing.M) {
	if dir := os.Getenv("APP_TEST_DIR"); dir != "" {
		if err := commitUntilKilled(dir); err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// crowd pays so many accounts that committing the block takes more than one database transaction.
func (c *chain) crowd(t testing.TB) *abci.RequestFinalizeBlock {
	t.Helper()
	var txs [][]byte
	for _, w := range wallets() {
		nonce := c.nonce(t, w)
		for range 3 {
			var ops []ledger.Op
			for range ledger.MaxOps {
				to := ledger.Transfer{Amount: 5_000_000}
				binary.LittleEndian.PutUint64(to.To[:], c.rand.Uint64())
				to.To[8] = 1
				ops = append(ops, to)
			}
			txs = append(txs, c.sign(w, nonce, ops...))
			nonce++
		}
	}
	return c.add(t, txs...)
}

// TestKill kills a process that commits block after block with kill -9, again and again.
func TestKill(t *testing.T) {
	blocks, kills := 60, 12
	if testing.Short() {
		blocks, kills = 24, 4
	}
	dir := t.TempDir()
	c := newChain(t, 31)
	for i := range blocks {
		if i%8 == 3 {
			c.crowd(t)
		} else {
			c.random(t)
		}
	}
	writeBlocks(t, filepath.Join(dir, "blocks"), c.blocks)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	reached := uint64(0)
	for kill := 0; reached < c.height; kill++ {
		patience := time.Minute
		if kill < kills {
			patience = time.Duration(r.Int64N(int64(160 * time.Millisecond)))
		}
		began, told := runUntilKilled(t, dir, patience)
		if told > 0 && told < reached || began > 0 && began < reached {
			t.Fatalf("height %d was committed, then came %d", reached, began)
		}
		reached = max(reached, began, told)
		db := openDB(t, filepath.Join(dir, "db"))
		a, err := Open(Config{DB: db, Genesis: c.genesis})
		check(t, err)
		v := a.View()
		if v.Height < reached || v.Root() != c.roots[v.Height] {
			t.Fatalf("height %d with root %s: %d was committed", v.Height, v.Root(), reached)
		}
		reached = v.Height
		checkPages(t, a)
		check(t, a.Close())
		check(t, db.Close())
	}
	if a := openApp(t, filepath.Join(dir, "db"), c.genesis, nil); true {
		compareView(t, a.View(), c.states[c.height], c.states[c.height])
		compareLog(t, a, c, 1)
	}
}

// runUntilKilled starts the process and kills it after a while. It returns the heights at which it began and that it
// last reported.
func runUntilKilled(t *testing.T, dir string, patience time.Duration) (began, told uint64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), "APP_TEST_DIR="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	check(t, err)
	check(t, cmd.Start())
	killed := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() }) // it may have ended by then
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		word, number, _ := strings.Cut(lines.Text(), " ")
		height, err := strconv.ParseUint(number, 10, 64)
		if err != nil {
			t.Fatalf("the process says %q", lines.Text())
		}
		if told = height; word == "began" {
			began = height
		}
	}
	err = cmd.Wait()
	if killed.Stop() && err != nil {
		t.Fatalf("the process ended: %v", err)
	}
	return began, told
}

func writeBlocks(t *testing.T, path string, blocks []*abci.RequestFinalizeBlock) {
	t.Helper()
	var b bytes.Buffer
	for _, r := range blocks {
		raw, err := r.Marshal()
		check(t, err)
		b.Write(binary.BigEndian.AppendUint32(nil, uint32(len(raw))))
		b.Write(raw)
	}
	check(t, os.WriteFile(path, b.Bytes(), 0o600))
}

// commitUntilKilled commits the remaining blocks and reports each.
func commitUntilKilled(dir string) error {
	g := testGenesis(new(testing.T))
	db, err := badgerdb.Open(badgerdb.Options{Dir: filepath.Join(dir, "db")})
	if err != nil {
		return err
	}
	a, err := Open(Config{DB: db, Genesis: g, SnapshotEvery: 10})
	if err != nil {
		return err
	}
	fmt.Println("began", a.View().Height)
	f, err := os.Open(filepath.Join(dir, "blocks"))
	if err != nil {
		return err
	}
	for blocks := bufio.NewReader(f); ; {
		var size [4]byte
		if _, err := io.ReadFull(blocks, size[:]); err != nil {
			break
		}
		raw := make([]byte, binary.BigEndian.Uint32(size[:]))
		if _, err := io.ReadFull(blocks, raw); err != nil {
			return err
		}
		var r abci.RequestFinalizeBlock
		if err := r.Unmarshal(raw); err != nil {
			return err
		}
		if uint64(r.Height) <= a.View().Height {
			continue
		}
		if _, err := a.FinalizeBlock(context.Background(), &r); err != nil {
			return err
		}
		if _, err := a.Commit(context.Background(), nil); err != nil {
			return err
		}
		fmt.Println("committed", r.Height)
	}
	if err := a.Close(); err != nil {
		return err
	}
	return db.Close()
}
