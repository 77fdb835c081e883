package app

import (
	"crypto/ed25519"
	"encoding/binary"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"

	"walrus/ledger"
	"walrus/ledger/machine"
	"walrus/shards"
)

var (
	stateBlobs  = flag.Int("state.blobs", 0, "TestState: number of blobs, each with a record, what is known of its ID, and an account")
	stateBlocks = flag.Int("state.blocks", 3, "TestState: number of blocks of transfers between accounts at random")
)

// stateAccount returns the key of an account of a large state. Only the first have a key pair.
func stateAccount(i int) (key ed25519.PrivateKey, a ledger.Address) {
	var seed [32]byte
	binary.LittleEndian.PutUint64(seed[:], uint64(i)+1)
	seed[8] = 7
	if i >= stateSenders {
		return nil, seed
	}
	key = ed25519.NewKeyFromSeed(seed[:])
	return key, ledger.PublicKey(key[ed25519.SeedSize:]).Address()
}

const stateSenders = 20_000

// statePairs returns the pairs that belong to a blob of a large state.
func statePairs(i int) []machine.Change {
	_, owner := stateAccount(i)
	root := [32]byte(owner)
	root[9] = 1
	record := ledger.Blob{Owner: owner, BlobID: shards.DeriveBlobID(1000, root), Root: root, Size: 1000, Deletable: true,
		Registered: 1, Certified: 1, Start: 1, End: 50, Bytes: 1 << 20}
	info := ledger.BlobInfo{InitialCertified: 1, Deletable: []ledger.DeletableEnd{{End: 50, Registered: 1, Certified: 1}}}
	return []machine.Change{
		{Key: ledger.KeyAccount(owner), Value: ledger.Account{Balance: ledger.WAL, Blobs: 1}.Marshal()},
		{Key: ledger.KeyBlob(ledger.NewObjectID(owner, 0, 1)), Value: record.Marshal()},
		{Key: ledger.KeyBlobInfo(record.BlobID), Value: info.Marshal()},
	}
}

// TestState measures a large state: bytes on disk, memory, a restart, blocks and proofs. Without -state.blobs it checks
// that memory does not grow with the state.
func TestState(t *testing.T) {
	if *stateBlobs > 0 {
		measureState(t, *stateBlobs, 1000, 0)
		return
	}
	small := measureState(t, 1000, 200, 128<<10)
	if large := measureState(t, 8000, 200, 128<<10); large > small+1<<20 {
		t.Errorf("memory for 3,000 keys: %d bytes, for 24,000: %d", small, large)
	}
}

// measureState makes a state with some blobs and returns the memory that the app takes with it after some blocks.
func measureState(t *testing.T, blobs, transfers, cache int) (memory int64) {
	dir := t.TempDir()
	g := testGenesis(t)
	db := openDB(t, dir)
	a, err := Open(Config{DB: db, Genesis: g, Cache: cache, Workers: 2})
	check(t, err)
	began := time.Now()
	const atOnce = 600 // fit into one transaction of the database
	for from := 0; from < blobs; from += atOnce {
		var all []machine.Change
		for i := from; i < min(from+atOnce, blobs); i++ {
			all = append(all, statePairs(i)...)
		}
		putState(t, a, all)
	}
	t.Logf("%d blobs: written in %.1f s", blobs, time.Since(began).Seconds())
	began = time.Now()
	sealState(t, a)
	t.Logf("tree made in %.1f s", time.Since(began).Seconds())
	check(t, a.Close())
	check(t, db.Close())
	a = nil
	debug.FreeOSMemory()
	heap := heapNow()
	_ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) // resets VmHWM, where that is allowed
	t.Logf("closed: %s", resident(t))
	db = openDB(t, dir)
	began, used := time.Now(), cpuTime()
	a, err = Open(Config{DB: db, Genesis: g, Cache: cache, Workers: 2})
	check(t, err)
	t.Logf("restart: %.3f s, of CPU %.3f s; heap %.1f MiB more, %s", time.Since(began).Seconds(), (cpuTime() - used).Seconds(),
		float64(heapNow()-heap)/(1<<20), resident(t))
	stateBench(t, a, blobs, transfers)
	a.known = newKnown(1) // what is kept of transactions depends on their number
	memory = heapNow() - heap
	t.Logf("after blocks and proofs: heap %.1f MiB more, %s; on disk %.1f MiB", float64(memory)/(1<<20), resident(t), diskSize(t, dir))
	check(t, a.Close())
	return memory
}

func stateBench(t *testing.T, a *App, blobs, transfers int) {
	r, params := rand.New(rand.NewPCG(1, 2)), a.cfg.Genesis.Params()
	senders := min(stateSenders, blobs)
	next := 0
	var wall, cpu []float64
	for range *stateBlocks {
		v := a.View()
		block := &abci.RequestFinalizeBlock{Height: int64(v.Height) + 1, Time: time.Unix(0, v.Time).Add(time.Millisecond)}
		for range transfers {
			key, _ := stateAccount(next % senders)
			_, to := stateAccount(r.IntN(blobs))
			tx := &ledger.Tx{Network: a.network, Nonce: uint64(next / senders), Expiry: 1000, Ops: []ledger.Op{ledger.Transfer{To: to, Amount: 1}}}
			next++
			tx.Fee = params.MinFee(len(tx.Marshal()), tx.Ops) * 2
			tx.Sign(key)
			block.Txs = append(block.Txs, tx.Marshal())
			a.known.txs.Add(tx.ID(), struct{}{})
		}
		block.Hash = fmt.Append(nil, "block", block.Height)
		began, used := time.Now(), cpuTime()
		for i, result := range run(t, a, block).TxResults {
			if result.Code != 0 {
				t.Fatalf("transaction %d: code %d", i, result.Code)
			}
		}
		wall, cpu = append(wall, time.Since(began).Seconds()), append(cpu, (cpuTime()-used).Seconds())
	}
	slices.Sort(wall)
	slices.Sort(cpu)
	if n := len(wall); n > 0 {
		t.Logf("%d blocks of %d transfers: median %.1f ms, of CPU %.1f ms (with background work); longest %.1f ms", n, transfers,
			wall[n/2]*1e3, cpu[n/2]*1e3, wall[n-1]*1e3)
	}
	v := a.View()
	const proofs = 5000
	began := cpuTime()
	for range proofs {
		_, who := stateAccount(stateSenders + r.IntN(max(blobs-stateSenders, 1)))
		_, err := v.Prove(ledger.KeyAccount(who))
		check(t, err)
	}
	t.Logf("proof: %.1f µs of CPU", (cpuTime()-began).Seconds()/proofs*1e6)
}

func heapNow() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // it cannot fail
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// resident returns the memory of the process, without and with mapped files.
func resident(t *testing.T) string {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return "memory of the process unknown"
	}
	var out []string
	for line := range strings.Lines(string(status)) {
		if name, value, _ := strings.Cut(line, ":"); name == "RssAnon" || name == "RssFile" || name == "VmHWM" {
			out = append(out, name+" "+strings.TrimSpace(value))
		}
	}
	return strings.Join(out, ", ")
}

func diskSize(t *testing.T, dir string) (mib float64) {
	files, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	check(t, err)
	for _, f := range files {
		if info, err := os.Stat(f); err == nil {
			mib += float64(info.Size()) / (1 << 20)
		}
	}
	return mib
}
