package engine

import (
	"crypto/rand"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"
	"github.com/cometbft/cometbft/config"
	"github.com/cometbft/cometbft/crypto/ed25519"
	sm "github.com/cometbft/cometbft/state"
	"github.com/cometbft/cometbft/store"
	"github.com/cometbft/cometbft/types"

	"walrus/ledger/engine/badgerdb"
)

// idle is the store of an idle chain with some validators: CometBFT's own stores, as a node opens them.
type idle struct {
	t      testing.TB
	db     *badgerdb.DB
	blocks *store.BlockStore
	states sm.Store
	st     sm.State
	commit *types.Commit // of the last block
}

func newIdle(t testing.TB, dir string, validators int) *idle {
	t.Helper()
	doc := &types.GenesisDoc{ChainID: "idle-0123456789", GenesisTime: time.Unix(1_700_000_000, 0), InitialHeight: 1}
	for i := range validators {
		var seed [32]byte
		copy(seed[:], fmt.Sprint(i))
		key := ed25519.GenPrivKeyFromSecret(seed[:]).PubKey()
		doc.Validators = append(doc.Validators, types.GenesisValidator{Address: key.Address(), PubKey: key, Power: 10})
	}
	must(t, doc.ValidateAndComplete())
	doc.ConsensusParams.Evidence.MaxAgeNumBlocks, doc.ConsensusParams.Evidence.MaxAgeDuration = 1, time.Hour
	st, err := sm.MakeGenesisState(doc)
	must(t, err)
	db, err := badgerdb.Open(badgerdb.Options{Dir: dir, Logger: slog.New(slog.DiscardHandler)})
	must(t, err)
	t.Cleanup(func() { _ = db.Close() })
	c := &chain{saved: make(chan struct{})}
	provide := c.watchStores(db.Provider())
	blocks, err := provide(&config.DBContext{ID: blockStore})
	must(t, err)
	states, err := provide(&config.DBContext{ID: "state"})
	must(t, err)
	comet := cometConfig(&chainConfig{dir: dir, timing: DevnetTiming()})
	options := sm.StoreOptions{DiscardABCIResponses: comet.Storage.DiscardABCIResponses}
	s := &idle{t, db, store.NewBlockStore(blocks), sm.NewStore(states, options), st, new(types.Commit)}
	must(t, s.states.Save(st))
	return s
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// beat stores a block with these transactions as consensus does, signed by all validators.
func (s *idle) beat(txs ...types.Tx) {
	s.t.Helper()
	height := s.st.LastBlockHeight + 1
	block, err := s.st.MakeBlock(height, txs, s.commit, nil, s.st.Validators.GetProposer().Address)
	must(s.t, err)
	block.Time = time.Unix(1_700_000_000+120*height, 123_456_789).UTC()
	parts, err := block.MakePartSet(types.BlockPartSizeBytes)
	must(s.t, err)
	id := types.BlockID{Hash: block.Hash(), PartSetHeader: parts.Header()}
	commit := &types.Commit{Height: height, BlockID: id}
	for _, v := range s.st.Validators.Validators {
		sig := make([]byte, 64)
		_, _ = rand.Read(sig)
		commit.Signatures = append(commit.Signatures, types.CommitSig{BlockIDFlag: types.BlockIDFlagCommit,
			ValidatorAddress: v.Address, Timestamp: block.Time.Add(time.Duration(len(sig)) * time.Second), Signature: sig})
	}
	s.blocks.SaveBlock(block, parts, commit)
	response := &abci.ResponseFinalizeBlock{AppHash: make([]byte, 32)}
	for range txs {
		response.TxResults = append(response.TxResults, &abci.ExecTxResult{Data: make([]byte, 50)})
	}
	must(s.t, s.states.SaveFinalizeBlockResponse(height, response))
	s.st.LastBlockHeight, s.st.LastBlockID, s.st.LastBlockTime = height, id, block.Time
	s.st.LastValidators, s.st.Validators = s.st.Validators.Copy(), s.st.NextValidators.Copy()
	s.st.NextValidators = s.st.NextValidators.CopyIncrementProposerPriority(1)
	s.st.AppHash = response.AppHash
	must(s.t, s.states.Save(s.st))
	s.commit = commit
}

// stored returns the bytes of keys and values by kind, the first letters of a key.
func (s *idle) stored() map[string]int {
	s.t.Helper()
	sizes := make(map[string]int)
	for _, space := range []string{"comet-blockstore", "comet-state"} {
		pairs, err := s.db.Space(space).Scan(badgerdb.Range{Limit: 1 << 24})
		must(s.t, err)
		for _, p := range pairs {
			kind, _, _ := strings.Cut(string(p.Key), ":")
			sizes[kind] += len(space) + 1 + len(p.Key) + len(p.Value)
		}
	}
	return sizes
}

// perBeat returns the bytes by kind that one more idle block adds.
func (s *idle) perBeat(beats int) (kinds map[string]int, sum int) {
	s.beat()
	s.beat()
	before := s.stored()
	for range beats {
		s.beat()
	}
	kinds = s.stored()
	for kind := range kinds {
		if kinds[kind] = (kinds[kind] - before[kind]) / beats; kinds[kind] == 0 {
			delete(kinds, kind)
		}
		sum += kinds[kind]
	}
	return kinds, sum
}

// An idle block takes little more than the signatures in it: they are stored once.
func TestStoredOnce(t *testing.T) {
	for _, validators := range []int{7, 100} {
		s := newIdle(t, "", validators)
		kinds, sum := s.perBeat(20)
		signatures := s.commit.ToProto().Size()
		t.Logf("%d validators: an idle block adds %d bytes (%v), its signatures have %d", validators, sum, kinds, signatures)
		if most := signatures + signatures/4 + 1600; sum > most {
			t.Errorf("%d validators: an idle block adds %d bytes, want at most %d", validators, sum, most)
		}
	}
}

// Whatever is stored once can be read as if it were stored as CometBFT stores it.
func TestCommitsRead(t *testing.T) {
	s := newIdle(t, "", 7)
	large := make(types.Tx, 3*types.BlockPartSizeBytes)
	var commits []*types.Commit
	for i := range 6 {
		if i == 3 {
			s.beat(large) // a block of several parts
		} else {
			s.beat()
		}
		commits = append(commits, s.commit)
	}
	fresh := store.NewBlockStore(s.blockDB()) // without caches
	for i, want := range commits {
		height := int64(i + 1)
		have := fresh.LoadBlockCommit(height)
		if height == int64(len(commits)) {
			have = fresh.LoadSeenCommit(height)
		}
		if have == nil || !slices.Equal(have.Hash(), want.Hash()) {
			t.Errorf("commit of block %d: %v, want %v", height, have, want)
		}
	}
	if have := fresh.LoadBlockCommit(77); have != nil {
		t.Errorf("commit of a block that does not exist: %v", have)
	}
}

// prune removes all blocks but the newest, as CometBFT does after each block.
func (s *idle) prune(keep int64) {
	s.t.Helper()
	base, to := s.blocks.Base(), s.st.LastBlockHeight-keep
	if to <= base {
		return
	}
	_, evidence, err := s.blocks.PruneBlocks(to, s.st)
	must(s.t, err)
	must(s.t, s.states.PruneStates(base, to, evidence))
}

// BenchmarkIdle measures the disk space of idle blocks, kept all or the newest thousand, by the number of validators.
// With pruning, disk-B is the space in all, which does not depend on the number of blocks.
func BenchmarkIdle(b *testing.B) {
	for _, validators := range []int{7, 100} {
		for _, keep := range []int64{0, 1000} {
			b.Run(fmt.Sprintf("validators=%d/keep=%d", validators, keep), func(b *testing.B) {
				dir := b.TempDir()
				s := newIdle(b, dir, validators)
				for b.Loop() {
					s.beat()
					if keep > 0 {
						s.prune(keep)
					}
				}
				must(b, s.db.Close())
				used := 0
				tables, err := filepath.Glob(filepath.Join(dir, "*.sst"))
				must(b, err)
				for _, name := range tables {
					info, err := os.Stat(name)
					must(b, err)
					used += int(info.Size())
				}
				b.ReportMetric(float64(used)/float64(b.N), "disk-B/op")
				b.ReportMetric(float64(used), "disk-B")
			})
		}
	}
}

func (s *idle) blockDB() *watchedDB {
	db, err := (&chain{saved: make(chan struct{})}).watchStores(s.db.Provider())(&config.DBContext{ID: blockStore})
	must(s.t, err)
	w := db.(watchedDB)
	return &w
}
