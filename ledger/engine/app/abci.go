package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	abci "github.com/cometbft/cometbft/abci/types"

	"walrus/ledger"
	"walrus/ledger/machine"
)

// appVersion is the version of the rules. Every block names it.
const appVersion = 1

// CometBFT calls the methods below. After ProcessProposal, FinalizeBlock or Commit has failed, the node cannot go on,
// and each of the three returns the same error.

// Info returns the height and the root of the last commit.
func (a *App) Info(context.Context, *abci.RequestInfo) (*abci.ResponseInfo, error) {
	v := a.View()
	root := v.Root()
	return &abci.ResponseInfo{Data: "walrus", AppVersion: appVersion, LastBlockHeight: int64(v.Height),
		LastBlockAppHash: root[:]}, nil
}

// InitChain checks that CometBFT begins the same chain, and answers with the root of the genesis.
func (a *App) InitChain(_ context.Context, r *abci.RequestInitChain) (*abci.ResponseInitChain, error) {
	v := a.View()
	root := v.Root()
	switch {
	case r.ChainId != a.cfg.Genesis.ChainID():
		return nil, fmt.Errorf("begin chain %q: the genesis is of chain %q", r.ChainId, a.cfg.Genesis.ChainID())
	case r.InitialHeight != 1 || v.Height != 0:
		return nil, fmt.Errorf("begin chain at height %d: must be 1, with the ledger at 0, but it is at %d",
			r.InitialHeight, v.Height)
	}
	return &abci.ResponseInitChain{AppHash: root[:]}, nil
}

// CheckTx answers whether anything waits for a block. CometBFT's own mempool holds nothing else than the question: see
// engine's bell. Transactions come by Offer.
func (a *App) CheckTx(context.Context, *abci.RequestCheckTx) (*abci.ResponseCheckTx, error) {
	if a.Pending() == 0 {
		return &abci.ResponseCheckTx{Code: uint32(ledger.CodeNotFound), Log: "nothing waits"}, nil
	}
	return &abci.ResponseCheckTx{}, nil
}

// PrepareProposal picks the transactions of a block from the waiting ones.
func (a *App) PrepareProposal(_ context.Context,
	r *abci.RequestPrepareProposal) (*abci.ResponsePrepareProposal, error) {
	v := a.View()
	b := machine.Block{Height: uint64(r.Height), Time: r.Time.UnixNano(), Txs: a.candidates(r.MaxTxBytes)}
	txs, err := a.state(v).Propose(b, r.MaxTxBytes, a.options())
	if err != nil {
		return nil, err
	}
	return &abci.ResponsePrepareProposal{Txs: txs}, nil
}

// ProcessProposal accepts blocks in which every transaction has an effect: it pays its fee, or is free. It runs the
// block at once, so that FinalizeBlock need not.
func (a *App) ProcessProposal(_ context.Context,
	r *abci.RequestProcessProposal) (*abci.ResponseProcessProposal, error) {
	a.step.Lock()
	defer a.step.Unlock()
	if a.fault != nil {
		return nil, a.fault
	}
	b, err := a.run(machine.State.Check, r.Hash, r.Height, r.Time, r.Txs)
	var objection *machine.Objection
	switch {
	case errors.As(err, &objection):
		a.log.Warn("proposed block refused", "height", r.Height, "reason", objection)
		return &abci.ResponseProcessProposal{Status: abci.ResponseProcessProposal_REJECT}, nil
	case err != nil:
		return nil, a.fail(err)
	}
	a.proposed = b
	return &abci.ResponseProcessProposal{Status: abci.ResponseProcessProposal_ACCEPT}, nil
}

// FinalizeBlock runs the decided block, whatever it contains. It writes nothing.
func (a *App) FinalizeBlock(_ context.Context, r *abci.RequestFinalizeBlock) (*abci.ResponseFinalizeBlock, error) {
	a.step.Lock()
	defer a.step.Unlock()
	if a.fault != nil {
		return nil, a.fault
	}
	b := a.proposed
	if a.proposed = nil; b == nil || !bytes.Equal(b.hash, r.Hash) || b.height != uint64(r.Height) ||
		b.reads.view != a.View() {
		var err error
		if b, err = a.run(machine.State.Apply, r.Hash, r.Height, r.Time, r.Txs); err != nil {
			return nil, a.fail(err)
		}
	}
	a.decided = b
	root := b.outcome.Tree.Root()
	response := &abci.ResponseFinalizeBlock{AppHash: root[:], TxResults: make([]*abci.ExecTxResult, len(b.txs))}
	for i, result := range b.outcome.Results {
		response.TxResults[i] = Agreed(result)
	}
	return response, nil
}

// Agreed returns the part of a result that all nodes have alike. The next header has the hash of all such parts.
func Agreed(r ledger.Result) *abci.ExecTxResult {
	return &abci.ExecTxResult{Code: uint32(r.Code), Data: r.Agreed()}
}

// Commit makes the decided block part of the ledger.
func (a *App) Commit(context.Context, *abci.RequestCommit) (*abci.ResponseCommit, error) {
	a.step.Lock()
	defer a.step.Unlock()
	if a.fault != nil {
		return nil, a.fault
	}
	b := a.decided
	if a.decided = nil; b == nil {
		return nil, a.fail(errors.New("commit: no block was decided"))
	}
	if err := a.commit(b); err != nil {
		return nil, a.fail(err)
	}
	response := new(abci.ResponseCommit)
	if a.cfg.Keep.Time > 0 {
		response.RetainHeight = int64(a.kept.Load())
	}
	return response, nil
}

// fail records why the node cannot go on. The caller holds step.
func (a *App) fail(err error) error {
	a.fault = fmt.Errorf("the ledger cannot go on: %w", err)
	return a.fault
}

// Query answers no when CometBFT asks whether to connect to a peer: our own host connects peers. It answers no other
// question, because reads are served from views.
func (a *App) Query(_ context.Context, r *abci.RequestQuery) (*abci.ResponseQuery, error) {
	if strings.HasPrefix(r.Path, "/p2p/filter/") {
		return &abci.ResponseQuery{Code: 1, Log: "peers are accepted over libp2p only"}, nil
	}
	return &abci.ResponseQuery{Code: 1, Log: "queries are not served here"}, nil
}
