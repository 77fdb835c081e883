package engine

import (
	"context"
	"fmt"
	"runtime"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"
	"github.com/cometbft/cometbft/consensus"
	"github.com/cometbft/cometbft/p2p"
	sm "github.com/cometbft/cometbft/state"
	"github.com/cometbft/cometbft/types"

	"walrus/ledger"
)

// entrance switches from block sync to consensus. CometBFT does so in a goroutine in which a panic would end the
// process, as when the write-ahead log cannot be opened.
type entrance struct {
	*consensus.Reactor
	chain *chain
}

// AddPeer implements p2p.Reactor: it starts the goroutines that gossip proposals and votes to p.
func (e *entrance) AddPeer(p p2p.Peer) {
	if r, ok := p.(*remote); ok {
		p = quietPeer{r, gossipSleep(e.chain.cfg.peers()) / 2}
	}
	e.Reactor.AddPeer(p)
}

// Receive implements p2p.Reactor.
func (e *entrance) Receive(m p2p.Envelope) {
	e.Reactor.Receive(m)
	e.chain.sw.pulse.message(m.ChannelID)
}

// SwitchToConsensus is called by block sync when no blocks are left to fetch.
func (e *entrance) SwitchToConsensus(st sm.State, skipWAL bool) {
	defer func() {
		if r := recover(); r != nil {
			e.chain.fail(fmt.Errorf("%w: enter consensus: %.500v", ErrHalted, r))
		}
	}()
	e.Reactor.SwitchToConsensus(st, skipWAL)
	e.chain.enter()
}

// guard stands between CometBFT and the application. Every application error ends the chain: guard reports it before
// CometBFT panics about it.
type guard struct {
	abci.Application
	chain   *chain
	witness *witness  // nil without a vote
	gossip  *gossip   // of what waits; nil while CometBFT is assembled
	height  int64     // of the block being applied; blocks come one by one
	time    time.Time // of that block
	// rest is called after each block, by the goroutine that makes blocks, and sets the wait for the next one.
	rest func(block time.Time)
}

// check reports an error. During block sync CometBFT would answer it with a panic that ends the process: check ends
// that goroutine instead, and with it block sync.
func (c *chain) check(what string, err error) error {
	if err == nil {
		return nil
	}
	err = fmt.Errorf("%w: %s: %w", ErrHalted, what, err)
	c.fail(err)
	if n := c.node; n != nil && n.ConsensusReactor().WaitSync() {
		runtime.Goexit()
	}
	return err
}

// PrepareProposal implements abci.Application. The application picks from more transactions than fit into a block.
func (g *guard) PrepareProposal(ctx context.Context,
	r *abci.RequestPrepareProposal) (*abci.ResponsePrepareProposal, error) {
	r.MaxTxBytes = min(r.MaxTxBytes, g.chain.cfg.room)
	res, err := g.Application.PrepareProposal(ctx, r)
	return res, g.chain.check("propose a block", err)
}

// ProcessProposal implements abci.Application.
func (g *guard) ProcessProposal(ctx context.Context,
	r *abci.RequestProcessProposal) (*abci.ResponseProcessProposal, error) {
	if types.ComputeProtoSizeForTxs(types.ToTxs(r.Txs)) > maxTxs {
		return &abci.ResponseProcessProposal{Status: abci.ResponseProcessProposal_REJECT}, nil
	}
	res, err := g.Application.ProcessProposal(ctx, r)
	return res, g.chain.check("check a proposed block", err)
}

// FinalizeBlock implements abci.Application.
func (g *guard) FinalizeBlock(ctx context.Context, r *abci.RequestFinalizeBlock) (*abci.ResponseFinalizeBlock, error) {
	if at := g.chain.cfg.trust; at != nil && at.Height == uint64(r.Height) && at.Hash != [32]byte(r.Hash) {
		return nil, g.chain.check("follow the chain", fmt.Errorf("%w %s: the others have %x", errOtherChain, at, r.Hash))
	}
	if err := g.chain.check("keep evidence", g.chain.offences.note(r.Height, r.Misbehavior)); err != nil {
		return nil, err
	}
	res, err := g.Application.FinalizeBlock(ctx, r)
	g.height, g.time = r.Height, r.Time
	return res, g.chain.check(fmt.Sprintf("apply block %d", r.Height), err)
}

// Commit implements abci.Application.
func (g *guard) Commit(ctx context.Context, r *abci.RequestCommit) (*abci.ResponseCommit, error) {
	res, err := g.Application.Commit(ctx, r)
	if err := g.chain.check(fmt.Sprintf("commit block %d", g.height), err); err != nil {
		return nil, err
	}
	g.chain.committed(g.height)
	if err := g.chain.cfg.runs(); err != nil { // before the block that cannot be run is proposed
		g.chain.fail(fmt.Errorf("%w: %w", ErrHalted, err))
	}
	if err := g.chain.wal.trim(g.chain.node); err != nil {
		g.chain.cfg.log.Warn("could not trim the write-ahead log of consensus: it takes more disk than it needs", "err", err)
	}
	g.look()
	if g.rest != nil {
		g.rest(g.time)
	}
	if g.gossip != nil {
		g.gossip.remind(g.height)
	}
	return res, nil
}

// look shows the votes for the block before the committed one to our key's witness. While CometBFT is assembled a
// block may be applied again: its votes were shown the first time.
func (g *guard) look() {
	if g.witness == nil || g.chain.node == nil || g.height < 2 {
		return
	}
	blocks := g.chain.node.BlockStore()
	commit, meta := blocks.LoadBlockCommit(g.height-1), blocks.LoadBlockMeta(g.height-1)
	if commit != nil && meta != nil {
		g.witness.look(commit, meta.Header.Time)
	}
}

// CheckTx implements abci.Application. CometBFT would panic about an error, whoever sent the transaction.
func (g *guard) CheckTx(ctx context.Context, r *abci.RequestCheckTx) (*abci.ResponseCheckTx, error) {
	res, err := g.Application.CheckTx(ctx, r)
	if err != nil {
		g.chain.fail(fmt.Errorf("%w: check a transaction: %w", ErrHalted, err))
		return &abci.ResponseCheckTx{Code: uint32(ledger.CodeInternal), Log: err.Error()}, nil
	}
	return res, nil
}
