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

// ErrSignedElsewhere is returned by Run, with ErrHalted, when the consensus key of this node has signed what this node did not.
var ErrSignedElsewhere = errors.New("the consensus key of this node signs elsewhere, too")

var errStopped = errors.New("this node has stopped signing")

// keptSignatures is how many of its own votes a witness remembers: those of some 50 heights. Peers repeat votes of the
// height that they are at and the one before, and a block has those of the one before.
const keptSignatures = 128

// step is a moment in which a validator votes once.
type step struct {
	height int64
	round  int32
	kind   int8 // as the file of the last signature counts: 1 is a proposal, 2 and 3 are the votes
}

func (a step) compare(b step) int {
	return cmp.Or(cmp.Compare(a.height, b.height), cmp.Compare(a.round, b.round), cmp.Compare(a.kind, b.kind))
}

// witness signs with the consensus key, and notices when somebody else does: a second process with a copy of this node's
// home would vote against it, which looks like an attack. Every vote that peers or blocks show of this key is compared with
// what was signed here. A vote proves itself by its signature, so nobody without the key can make a node stop.
type witness struct {
	*privval.FilePV // used under mu

	key     crypto.PubKey // constant after watch, as the next four
	chainID string
	started time.Time
	log     *slog.Logger
	fail    func(error) bool

	mu             sync.Mutex
	first          step            // the last step before this witness; guarded by mu, as the next four
	firstSignature []byte          // of that; nil if it is not known
	signed         map[step][]byte // signatures since
	order          []step          // of signed, oldest first
	stopped        bool
}

// newWitness goes on after what pv has signed last.
func newWitness(pv *privval.FilePV) *witness {
	w := &witness{FilePV: pv, key: pv.Key.PubKey, started: time.Now(), signed: map[step][]byte{}}
	w.first, w.firstSignature = w.last(), pv.LastSignState.Signature
	return w
}

// watch says on which chain the key signs, and whom to tell that it does so elsewhere.
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

// hear looks at a message of a peer. Peers also repeat votes of the height that this node is at, from before this process
// began: those of a copy that is ended, or of this node where its file of the last signature was lost. They stop nothing, or
// this node could never start again; the key signs nothing else at that height.
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

// judge what to do about a vote of this key that was not made here but at that time.
func (w *witness) judge(v *types.Vote, at time.Time) {
	if at.After(w.started) {
		w.stop(v)
		return
	}
	w.catchUp(v)
}

// look judges the vote of this key in the commit of a block at whose time the block was made. A vote from before this process
// began proves that the file of the last signature is older than the key's last signature, as after a loss of the disk: it is
// made up for, and the key signs again from the next height on.
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
	case last == 0: // the file has the signature, also of an earlier process
		return w.LastSignState.Signature != nil && !bytes.Equal(v.Signature, w.LastSignState.Signature)
	}
	if at == w.first {
		return w.firstSignature != nil && !bytes.Equal(v.Signature, w.firstSignature)
	}
	if at.compare(w.first) < 0 || len(w.order) == keptSignatures && at.compare(w.order[0]) < 0 {
		return false // who knows
	}
	return !bytes.Equal(v.Signature, w.signed[at])
}

// catchUp notes that the key has signed v, and perhaps more at its height that nobody has shown.
func (w *witness) catchUp(v *types.Vote) {
	w.mu.Lock()
	defer w.mu.Unlock()
	const precommit = 3
	at := step{v.Height, math.MaxInt32, precommit}
	if at.compare(w.last()) <= 0 {
		return
	}
	w.log.Warn("the consensus key has signed what its file of the last signature does not know, before this process began: that file is an old copy, or a copy of this node ran; going on after that height",
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
		"another process runs with a copy of its keys; end one of the two for good before you start the other again", ErrHalted, ErrSignedElsewhere, v.Height, v.Round)
	w.log.Error("THE CONSENSUS KEY OF THIS NODE SIGNS ELSEWHERE, TOO: this node signs nothing any more, and ends", "height", v.Height, "round", v.Round)
	w.fail(err)
}

// keyLook is how often a node for which the ledger stands still looks whether it does so for others.
const keyLook = 10 * time.Second

// watchKey shows the witness the newest block of others while no block comes here. Members have one stream for each peer ID,
// so of two processes with the same keys one gets no votes and no blocks, from which it could see that there is another. That
// block is proven, so nobody can make one up.
func (n *Node) watchKey(ctx context.Context, c *chain) {
	w := c.guard.witness
	if w == nil {
		return
	}
	client, err := light.New(light.Config{
		Genesis: n.cfg.Genesis, Host: n.cfg.Host, Peers: n.others, Connect: n.cfg.Connect, Logger: n.log, Hasty: true,
	})
	if err != nil {
		n.log.Error("cannot look whether our consensus key signs elsewhere", "err", err)
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
