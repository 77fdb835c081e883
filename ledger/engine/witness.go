package engine

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"time"

	"github.com/cometbft/cometbft/crypto"
	"github.com/cometbft/cometbft/privval"
	cmtcons "github.com/cometbft/cometbft/proto/tendermint/consensus"
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	"github.com/cometbft/cometbft/types"
	"github.com/cosmos/gogoproto/proto"

	"walrus/ledger/light"
)

// ErrSignedElsewhere is returned by Run, with ErrHalted, when a vote of this node's consensus key was not made by this
// node.
var ErrSignedElsewhere = errors.New("this node's consensus key is in use elsewhere")

var errStopped = errors.New("this node has stopped signing")

// keptSignatures is the number of its own votes that a witness remembers, some 50 heights' worth. Peers repeat
// votes of their current height and the one before, and a block has the votes for the block before it.
const keptSignatures = 128

// step is a point of consensus at which a validator votes once.
type step struct {
	height int64
	round  int32
	kind   int8 // numbered as in the file of the last signature: 1 a proposal, 2 and 3 the votes
}

func (a step) compare(b step) int {
	return cmp.Or(cmp.Compare(a.height, b.height), cmp.Compare(a.round, b.round), cmp.Compare(a.kind, b.kind))
}

// witness signs with the consensus key, and detects signatures made elsewhere with that key. A second process with a
// copy of this node's home would vote against it, which looks like an attack. The witness compares every vote of the
// key, from peers or blocks, with its own signatures. A vote is proven by its signature, so nobody without the key
// can stop a node.
type witness struct {
	*privval.FilePV // used under mu

	key     crypto.PubKey // constant after watch, as are the next four
	chainID string
	started time.Time
	log     *slog.Logger
	fail    func(error) bool

	mu             sync.Mutex
	first          step            // the last step before this witness; guarded by mu, as are the next four
	firstSignature []byte          // the signature at first; nil if unknown
	signed         map[step][]byte // signatures made since
	order          []step          // the keys of signed, oldest first
	stopped        bool
}

// newWitness continues after the last signature of pv.
func newWitness(pv *privval.FilePV) *witness {
	w := &witness{FilePV: pv, key: pv.Key.PubKey, started: time.Now(), signed: map[step][]byte{}}
	w.first, w.firstSignature = w.last(), pv.LastSignState.Signature
	return w
}

// watch sets the chain on which the key signs, and the function that ends it if the key signs elsewhere.
func (w *witness) watch(chainID string, log *slog.Logger, fail func(error) bool) {
	w.chainID, w.log, w.fail = chainID, log, fail
}

func (w *witness) last() step {
	s := &w.LastSignState
	return step{s.Height, s.Round, s.Step}
}

// SignVote implements types.PrivValidator.
func (w *witness) SignVote(chainID string, v *cmtproto.Vote) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopped {
		return errStopped
	}
	if err := w.FilePV.SignVote(chainID, v); err != nil {
		return err
	}
	at := stepOf(v)
	if w.signed[at] == nil {
		w.order = append(w.order, at)
	}
	w.signed[at] = v.Signature
	if len(w.order) > keptSignatures {
		delete(w.signed, w.order[0])
		w.order = w.order[1:]
	}
	return nil
}

// SignProposal implements types.PrivValidator.
func (w *witness) SignProposal(chainID string, p *cmtproto.Proposal) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopped {
		return errStopped
	}
	return w.FilePV.SignProposal(chainID, p)
}

func stepOf(v *cmtproto.Vote) step {
	const prevote, precommit = 2, 3
	if v.Type == cmtproto.PrevoteType {
		return step{v.Height, v.Round, prevote}
	}
	return step{v.Height, v.Round, precommit}
}

// hear checks a message of a peer. Peers also repeat votes from before this process began, for this node's current
// height. Such votes come from a copy that has ended, or from this node before it lost the file of its last signature.
// They do not stop the node, or it could never start again; but the key signs nothing more at that height.
func (w *witness) hear(msg proto.Message) {
	m, ok := msg.(*cmtcons.Vote)
	if !ok || m.Vote == nil || !bytes.Equal(m.Vote.ValidatorAddress, w.key.Address()) {
		return
	}
	v, err := types.VoteFromProto(m.Vote)
	if err != nil || !w.foreign(v) {
		return
	}
	w.judge(v, v.Timestamp)
}

// judge handles a vote of this key that was not made here. A vote from after our start stops the node; an older one
// only makes the witness catch up.
func (w *witness) judge(v *types.Vote, at time.Time) {
	if at.After(w.started) {
		w.stop(v)
		return
	}
	w.catchUp(v)
}

// look checks our key's vote in the commit of a block with time at. A vote from before this process began proves that
// the file of the last signature is outdated, as after the loss of a disk. The witness then catches up: the key signs
// again from the next height on.
func (w *witness) look(commit *types.Commit, at time.Time) {
	for i := range commit.Signatures {
		s := &commit.Signatures[i]
		if s.BlockIDFlag == types.BlockIDFlagAbsent || !bytes.Equal(s.ValidatorAddress, w.key.Address()) {
			continue
		}
		v := commit.GetVote(int32(i))
		if w.foreign(v) {
			w.judge(v, at)
		}
		return
	}
}

// foreign reports whether a vote is signed with this key and was not signed here.
func (w *witness) foreign(v *types.Vote) bool {
	if v.Verify(w.chainID, w.key) != nil {
		return false
	}
	at := stepOf(v.ToProto())
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopped {
		return false
	}
	switch last := at.compare(w.last()); {
	case last > 0:
		return true
	case last == 0: // an earlier process may have made it: the file has its signature
		return w.LastSignState.Signature != nil && !bytes.Equal(v.Signature, w.LastSignState.Signature)
	}
	if at == w.first {
		return w.firstSignature != nil && !bytes.Equal(v.Signature, w.firstSignature)
	}
	if at.compare(w.first) < 0 || len(w.order) == keptSignatures && at.compare(w.order[0]) < 0 {
		return false // unknown
	}
	return !bytes.Equal(v.Signature, w.signed[at])
}

// catchUp records that the key has signed v, and perhaps more at that height. It signs nothing more there.
func (w *witness) catchUp(v *types.Vote) {
	w.mu.Lock()
	defer w.mu.Unlock()
	const precommit = 3
	at := step{v.Height, math.MaxInt32, precommit}
	if at.compare(w.last()) <= 0 {
		return
	}
	w.log.Warn("the consensus key signed votes before this process began that its file does not record: the file is an old copy, or a copy of this node ran; signing resumes after that height",
		"signed", v.Height, "file", w.LastSignState.Height)
	s := &w.LastSignState
	s.Height, s.Round, s.Step, s.SignBytes, s.Signature = at.height, at.round, at.kind, nil, nil
	if err := saveSignState(w.FilePV); err != nil {
		w.stopped = true
		w.fail(fmt.Errorf("%w: %w", ErrHalted, err))
		return
	}
	w.first, w.firstSignature = at, nil
}

// stop ends signing at once, and then the chain.
func (w *witness) stop(v *types.Vote) {
	w.mu.Lock()
	was := w.stopped
	w.stopped = true
	w.mu.Unlock()
	if was {
		return
	}
	err := fmt.Errorf("%w: %w: a vote for height %d, round %d was not made here, so this node has stopped signing: "+
		"another process runs with a copy of its keys; stop one of the two for good before you start the other again",
		ErrHalted, ErrSignedElsewhere, v.Height, v.Round)
	w.log.Error("THIS NODE'S CONSENSUS KEY IS IN USE ELSEWHERE: this node stops signing and exits",
		"height", v.Height, "round", v.Round)
	w.fail(err)
}

// keyLook is the pause between watchKey's checks.
const keyLook = 10 * time.Second

// watchKey shows the witness the other members' newest block while no block comes here. Members keep one stream per
// peer ID. So of two processes with the same keys one gets no votes and no blocks, and would not notice the other
// without this. The block is verified, so nobody can forge it.
func (n *Node) watchKey(ctx context.Context, c *chain) {
	w := c.guard.witness
	if w == nil {
		return
	}
	cfg := n.lightConfig()
	cfg.AnyClock = false
	client, err := light.New(cfg)
	if err != nil {
		n.log.Error("cannot check whether the consensus key is in use elsewhere", "err", err)
		return
	}
	look := time.NewTicker(keyLook)
	defer look.Stop()
	for {
		select {
		case <-look.C:
		case <-ctx.Done():
			return
		}
		s := c.status()
		if s.Stalled == "" {
			continue
		}
		ask, cancel := context.WithTimeout(ctx, 2*headWait)
		if head, err := client.Head(ask); head.Height > s.Height && (err == nil || errors.Is(err, light.ErrStalled)) {
			if b, err := client.Block(ask, head.Height); err == nil {
				w.look(b.Commit, b.Time)
			}
		}
		cancel()
	}
}
