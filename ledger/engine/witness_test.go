package engine

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cometbft/cometbft/crypto/ed25519"
	cmtcons "github.com/cometbft/cometbft/proto/tendermint/consensus"
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	"github.com/cometbft/cometbft/types"

	"walrus/internal/swarmtest"
	"walrus/ledger"
	"walrus/p2p"
)

// newTestWitness signs for the first validator, continuing after file.
func newTestWitness(t *testing.T, file string) (w *witness, failed func() error) {
	t.Helper()
	pv, err := signer(seed("validator", 0), file, true, true)
	if err != nil {
		t.Fatal(err)
	}
	var first error
	w = pv.(*witness)
	w.watch("chain", slog.New(slog.DiscardHandler), func(err error) bool { first = err; return true })
	return w, func() error { return first }
}

// signedVote returns a vote signed with key, as CometBFT does it.
func signedVote(t *testing.T, key ed25519.PrivKey, v *cmtproto.Vote) *cmtproto.Vote {
	t.Helper()
	v.ValidatorAddress = key.PubKey().Address()
	sig, err := key.Sign(types.VoteSignBytes("chain", v))
	if err != nil {
		t.Fatal(err)
	}
	v.Signature = sig
	return v
}

// TestWitness: votes of our key that we did not make are detected, and nothing else is.
func TestWitness(t *testing.T) {
	ours, other := ed25519.PrivKey(seed("validator", 0)), ed25519.PrivKey(seed("validator", 1))
	forged := signedVote(t, other, vote(50, 0, 1))
	forged.ValidatorAddress = ours.PubKey().Address()
	later := vote(9, 0, 1)
	later.Timestamp = later.Timestamp.Add(time.Millisecond)
	for name, tt := range map[string]struct {
		vote *cmtproto.Vote
		stop bool
	}{
		"our own again":                {signedVote(t, ours, vote(9, 0, 1)), false},
		"our own of the start":         {signedVote(t, ours, vote(5, 1, 1)), false},
		"of a time we know nothing of": {signedVote(t, ours, vote(4, 0, 1)), false},
		"of another validator":         {signedVote(t, other, vote(50, 0, 1)), false},
		"in our name, not signed":      {forged, false},
		"of a later height":            {signedVote(t, ours, vote(50, 0, 1)), true},
		"the same but for its time":    {signedVote(t, ours, later), true},
		"for another block":            {signedVote(t, ours, vote(9, 0, 2)), true},
		"for another block, long ago":  {signedVote(t, ours, vote(7, 0, 2)), true},
		"where we did not vote":        {signedVote(t, ours, vote(8, 3, 1)), true},
		"at the start, not the same":   {signedVote(t, ours, vote(5, 1, 2)), true},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "last-signature")
			before, _ := newTestWitness(t, file)
			if err := before.SignVote("chain", vote(5, 1, 1)); err != nil {
				t.Fatal(err)
			}
			w, failed := newTestWitness(t, file)
			w.started = vote(1, 0, 1).Timestamp.Add(-time.Second)
			for h := int64(6); h <= 9; h++ {
				if err := w.SignVote("chain", vote(h, 0, 1)); err != nil {
					t.Fatal(err)
				}
			}
			w.hear(&cmtcons.Vote{Vote: tt.vote})
			err := failed()
			if stopped := errors.Is(err, ErrSignedElsewhere); stopped != tt.stop || stopped && !errors.Is(err, ErrHalted) {
				t.Errorf("stopped with %v", err)
			}
			if err := w.SignVote("chain", vote(60, 0, 1)); (err != nil) != tt.stop {
				t.Errorf("signs then: %v", err)
			}
		})
	}
}

// TestWitnessForgets: the witness remembers a bounded number of votes, and does not judge forgotten ones.
func TestWitnessForgets(t *testing.T) {
	w, failed := newTestWitness(t, filepath.Join(t.TempDir(), "last-signature"))
	for h := int64(1); h <= 2*keptSignatures; h++ {
		if err := w.SignVote("chain", vote(h, 0, 1)); err != nil {
			t.Fatal(err)
		}
	}
	ours := ed25519.PrivKey(seed("validator", 0))
	w.hear(&cmtcons.Vote{Vote: signedVote(t, ours, vote(3, 0, 1))})
	w.hear(&cmtcons.Vote{Vote: signedVote(t, ours, vote(keptSignatures+1, 0, 1))})
	if len(w.signed) != keptSignatures || len(w.order) != keptSignatures || failed() != nil {
		t.Errorf("remembers %d, %d: %v", len(w.signed), len(w.order), failed())
	}
}

// TestWitnessCatchesUp: blocks show signatures of the key from before this process began, which its file lacks. The
// witness never contradicts them. A foreign signature made while the process runs ends it.
func TestWitnessCatchesUp(t *testing.T) {
	file := filepath.Join(t.TempDir(), "last-signature")
	w, failed := newTestWitness(t, file)
	ours := ed25519.PrivKey(seed("validator", 0))
	commit := func(height int64) *types.Commit {
		v := vote(height, 2, 1)
		v.Type = cmtproto.PrecommitType
		signed, err := types.VoteFromProto(signedVote(t, ours, v))
		if err != nil {
			t.Fatal(err)
		}
		return &types.Commit{Height: height, Round: 2, BlockID: signed.BlockID,
			Signatures: []types.CommitSig{types.NewCommitSigAbsent(), signed.CommitSig()}}
	}
	w.look(commit(100), w.started.Add(-time.Minute))
	if err := w.SignVote("chain", vote(100, 2, 2)); err == nil || failed() != nil {
		t.Fatalf("voted again at a height where the key has voted; ended with %v", failed())
	}
	again, _ := newTestWitness(t, file)
	if again.last() != (step{100, math.MaxInt32, 3}) {
		t.Errorf("the file has %v", again.last())
	}
	if err := w.SignVote("chain", vote(101, 0, 1)); err != nil {
		t.Errorf("does not vote at the next height: %v", err)
	}
	w.look(commit(102), w.started.Add(time.Minute))
	if !errors.Is(failed(), ErrSignedElsewhere) {
		t.Errorf("ended with %v", failed())
	}
}

// TestWitnessStartsAgain: a node stopped because of a copy starts again after the copy has ended, though peers still
// repeat the copy's votes for the current height. It signs nothing at that height, and still detects a running copy.
func TestWitnessStartsAgain(t *testing.T) {
	file := filepath.Join(t.TempDir(), "last-signature")
	before, _ := newTestWitness(t, file)
	if err := before.SignVote("chain", vote(9, 0, 1)); err != nil {
		t.Fatal(err)
	}
	w, failed := newTestWitness(t, file)
	ours := ed25519.PrivKey(seed("validator", 0))
	theirs := vote(9, 1, 2)
	theirs.Timestamp = w.started.Add(-time.Second)
	w.hear(&cmtcons.Vote{Vote: signedVote(t, ours, theirs)})
	if failed() != nil {
		t.Fatalf("a copy that is ended stops the node: %v", failed())
	}
	for _, round := range []int32{0, 1, 2} {
		if err := w.SignVote("chain", vote(9, round, 1)); err == nil {
			t.Errorf("voted in round %d of a height where the copy has voted", round)
		}
	}
	if again, _ := newTestWitness(t, file); again.SignVote("chain", vote(9, 2, 1)) == nil {
		t.Error("votes at that height after another start")
	}
	if err := w.SignVote("chain", vote(10, 0, 1)); err != nil {
		t.Errorf("does not vote at the next height: %v", err)
	}
	theirs = vote(10, 0, 2)
	theirs.Timestamp = w.started.Add(time.Second)
	w.hear(&cmtcons.Vote{Vote: signedVote(t, ours, theirs)})
	if !errors.Is(failed(), ErrSignedElsewhere) {
		t.Errorf("ended with %v because of a copy that runs", failed())
	}
}

// TestCopiedKey runs another process with a copy of a validator's key and of its last signature. At least one of the
// two stops signing, says why, and ends; no other node is misled. The copy has its own peer ID: with the same one the
// two would also steal each other's streams, and the test would not be deterministic.
func TestCopiedKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const original, copied = 0, 4
		c := newCluster(t, equal(5)...)
		c.members[copied].key = ledger.PublicKey{}
		doc, err := genesisDoc(c.doc.ChainID, c.doc.GenesisTime, time.Hour, c.members)
		if err != nil {
			t.Fatal(err)
		}
		c.doc = doc
		defer c.stopAll()
		for i := range copied {
			c.start(i)
		}
		<-c.nodes[original].caughtUp
		c.submit(1, "before")
		c.has(2, 1, 20*time.Second)

		last, err := os.ReadFile(filepath.Join(c.dir, fmt.Sprint(original), "last-signature"))
		if err != nil {
			t.Fatal(err)
		}
		dir := filepath.Join(c.dir, fmt.Sprint(copied))
		if err := errors.Join(os.Mkdir(dir, 0o700),
			os.WriteFile(filepath.Join(dir, "last-signature"), last, 0o600)); err != nil {
			t.Fatal(err)
		}
		c.nodes[copied].key = c.nodes[original].key
		c.start(copied)
		stopped := -1
		for i := 0; stopped < 0; i++ {
			if i == 300 {
				t.Fatal("neither the original nor the copy has noticed")
			}
			c.submit(1, strings.Repeat("x", i+1))
			select {
			case <-c.nodes[original].failure:
				stopped = original
			case <-c.nodes[copied].failure:
				stopped = copied
			case <-time.After(time.Second):
			}
		}
		if err := c.end(stopped); !errors.Is(err, ErrSignedElsewhere) || !strings.Contains(err.Error(), "copy of its keys") {
			t.Errorf("ended with %v", err)
		}
		if err := c.end(original + copied - stopped); err != nil && !errors.Is(err, ErrSignedElsewhere) {
			t.Errorf("the other ended with %v", err)
		}
		c.agree()
	})
}

// TestCopiedHome runs a copy of a member's home beside it, with the same peer ID and keys. The copy gets no stream
// for consensus, because others have one to that member; it looks at their blocks, and ends. The original goes on.
// The member is one to which others open streams: otherwise the two would steal each other's streams.
func TestCopiedHome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFleet(t, swarmtest.NewNetwork(1), 4, nil)
		defer s.closeAll()
		s.open(s.all()...)
		for _, n := range s.nodes {
			<-n.Ready()
		}
		of := 0 // others open streams to this one
		for i, n := range s.nodes {
			if n.id > s.nodes[of].id {
				of = i
			}
		}
		s.pay(1, 1, 0)
		h, err := p2p.New(p2p.Config{
			Network: "sim", Key: s.identity(of), Libp2p: s.net.Options(4), TestTransport: true, Role: p2p.StorageNode,
			Listen: []string{s.net.ListenAddr(4)}, Logger: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		defer h.Close()
		cfg := s.config(of, h)
		last, err := os.ReadFile(cfg.StateFile)
		if err != nil {
			t.Fatal(err)
		}
		cfg.Dir, cfg.StateFile = filepath.Join(s.dir, "copy"), filepath.Join(s.dir, "last-signature of the copy")
		if err := os.WriteFile(cfg.StateFile, last, 0o600); err != nil {
			t.Fatal(err)
		}
		twin, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- errors.Join(twin.Run(t.Context()), twin.Close()) }()
		for i := 0; ; i++ {
			if i == 120 {
				t.Fatal("the copy has not noticed")
			}
			s.pay(1, 1, 0)
			select {
			case err = <-ended:
			case <-time.After(time.Second):
				continue
			}
			break
		}
		if !errors.Is(err, ErrSignedElsewhere) {
			t.Errorf("the copy ended with %v", err)
		}
		s.pay(of, 1, 0)
		time.Sleep(5 * time.Second)
	})
}
