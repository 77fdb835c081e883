package engine

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/cometbft/cometbft/config"
	cmtstate "github.com/cometbft/cometbft/proto/tendermint/state"
	sm "github.com/cometbft/cometbft/state"
	"github.com/cometbft/cometbft/store"
	"github.com/cometbft/cometbft/types"
	"github.com/cometbft/cometbft/version"
	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/internal/pause"
	"walrus/ledger/engine/app"
	"walrus/ledger/engine/badgerdb"
	"walrus/ledger/light"
	"walrus/ledger/merkle"
)

const (
	// farBehind is the most blocks that a node fetches one by one, at some 400 a second. Beyond it the node joins by
	// a snapshot.
	farBehind = 500
	// headWait bounds the search for a member that knows the ledger's height. If a whole network starts at once, no
	// member knows it.
	headWait = 3 * time.Second
	// joinFirst plus joinEach for each part bound the attempt to join by one snapshot; joinMost bounds any attempt. A
	// node that sends part after part of a useless snapshot does not keep us from the others for long.
	joinFirst, joinEach, joinMost = time.Minute, time.Second, 30 * time.Minute
	// partsAtOnce is the number of parts of a snapshot fetched ahead.
	partsAtOnce = 8
)

// offer is a snapshot and the node that has it.
type offer struct {
	light.Snapshot
	node peer.ID
}

// join brings a node that starts or is far behind close to the others: it restores the state after a recent block,
// proven by the validators' signatures. If that fails, the node can still fetch block by block, so join returns only
// errors that leave no usable database. But while no other member keeps the next block any more, join goes on: CometBFT
// would believe that it has caught up.
func (n *Node) join(ctx context.Context) error {
	client, err := light.New(n.lightConfig())
	if err != nil {
		return err
	}
	tried, told := make(map[peer.ID]bool), false
	for {
		look, cancel := context.WithTimeout(ctx, headWait)
		head, err := client.Head(look)
		if errors.Is(err, light.ErrExpired) {
			cancel()
			return err
		}
		have := n.View().Height
		behind := (err == nil || errors.Is(err, light.ErrStalled) || errors.Is(err, light.ErrClock)) && head.Height > have
		gone := behind && errors.Is(lookFor(look, client, have+1), light.ErrPruned)
		cancel()
		above := have + n.far/2
		switch {
		case gone:
			above = have
		case !behind || head.Height <= have+n.far:
			return ctx.Err()
		}
		n.log.Info("far behind the other members: looking for a snapshot", "height", have, "head", head.Height)
		o := n.offer(ctx, client, above, head.Height-min(head.Height, 2), tried)
		if o == nil && !gone {
			n.log.Info("no usable snapshot found: fetching all blocks", "height", have, "head", head.Height)
			return ctx.Err()
		}
		if o == nil {
			if !told {
				n.log.Warn("no other member keeps the next block any more, and none offers a snapshot: waiting for one", "height", have,
					"head", head.Height)
				told = true
			}
			clear(tried)
			if !pause.For(ctx, headWait) {
				return ctx.Err()
			}
			continue
		}
		tried[o.node] = true
		if err = n.joinBy(ctx, client, o); err == nil || ctx.Err() != nil {
			return ctx.Err()
		}
		n.log.Warn("joining by a snapshot failed", "height", o.Height, "from", o.node, "err", err)
	}
}

// lookFor returns nil if a member has the block at a height.
func lookFor(ctx context.Context, client *light.Client, height uint64) error {
	_, err := client.Block(ctx, height)
	return err
}

// others lists the other members.
func (n *Node) others(context.Context) []peer.ID {
	var ids []peer.ID
	for _, m := range n.members {
		if m.id != n.cfg.Host.ID() {
			ids = append(ids, m.id)
		}
	}
	return ids
}

// offer returns the best snapshot at a height over above and up to most, or nil. It asks only nodes not tried yet: a
// node that failed once would take as long again.
func (n *Node) offer(ctx context.Context, client *light.Client, above, most uint64, tried map[peer.ID]bool) *offer {
	ctx, cancel := context.WithTimeout(ctx, headWait)
	defer cancel()
	var mu sync.Mutex
	var all []*offer
	var asked sync.WaitGroup
	for _, node := range n.others(ctx) {
		if tried[node] {
			continue
		}
		asked.Go(func() {
			list, err := client.Snapshots(ctx, node)
			if err != nil {
				return // ask only the others
			}
			mu.Lock()
			defer mu.Unlock()
			for _, s := range list {
				if s.Height > above && s.Height <= most && s.Parts <= app.MaxSnapshotParts {
					all = append(all, &offer{s, node})
				}
			}
		})
	}
	asked.Wait()
	return best(all)
}

// best returns the newest of the snapshots offered by the most nodes. Honest nodes make the same snapshots, and few
// nodes lie.
func best(all []*offer) (found *offer) {
	nodes := make(map[string]map[peer.ID]bool) // by header
	for _, o := range all {
		if nodes[string(o.Header)] == nil {
			nodes[string(o.Header)] = make(map[peer.ID]bool)
		}
		nodes[string(o.Header)][o.node] = true
	}
	have := func(o *offer) int { return len(nodes[string(o.Header)]) }
	for _, o := range all {
		if found == nil || cmp.Or(cmp.Compare(have(o), have(found)), cmp.Compare(o.Height, found.Height)) > 0 {
			found = o
		}
	}
	return found
}

// patience bounds the attempt to join by this snapshot.
func (o *offer) patience() time.Duration {
	return min(joinMost, joinFirst+time.Duration(o.Parts)*joinEach)
}

// joinBy restores a snapshot in a new database and swaps it for ours.
func (n *Node) joinBy(ctx context.Context, client *light.Client, o *offer) error {
	ctx, cancel := context.WithTimeout(ctx, o.patience())
	defer cancel()
	var blocks [3]*types.LightBlock // at the snapshot's height and the two heights after
	for i := range blocks {
		b, err := client.Block(ctx, o.Height+uint64(i))
		if err != nil {
			return err
		}
		blocks[i] = b
	}
	next := filepath.Join(n.cfg.Dir, nextDir)
	if err := os.RemoveAll(next); err != nil {
		return err
	}
	db, a, err := n.open(next)
	if err != nil {
		return err
	}
	err = n.restore(ctx, client, o, a, blocks)
	if err == nil {
		err = n.bootstrap(db, blocks)
	}
	if err := errors.Join(err, a.Close(), db.Close()); err != nil {
		return errors.Join(err, os.RemoveAll(next))
	}
	return n.swap()
}

// restore fills the application with a snapshot and checks it against the state root in the next header.
func (n *Node) restore(ctx context.Context, client *light.Client, o *offer, a *app.App,
	blocks [3]*types.LightBlock) error {
	if len(blocks[1].AppHash) != len(merkle.Hash{}) {
		return fmt.Errorf("app hash of block %d has %d bytes: must be %d", blocks[1].Height, len(blocks[1].AppHash),
			len(merkle.Hash{}))
	}
	parts := newReader(ctx, int(o.Parts), func(ctx context.Context, part uint32) ([]byte, error) {
		return client.SnapshotPart(ctx, o.node, o.Height, part)
	})
	defer parts.close()
	err := a.Restore(ctx, app.Trusted{
		Height: o.Height, Time: blocks[0].Time.UnixNano(), Root: merkle.Hash(blocks[1].AppHash),
	}, o.Header, parts.get)
	if errors.Is(err, app.ErrSnapshot) {
		return client.Blame(o.node, err)
	}
	return err
}

// bootstrap writes the records that consensus would have if it had reached this height by itself.
func (n *Node) bootstrap(db *badgerdb.DB, blocks [3]*types.LightBlock) error {
	doc, err := n.doc()
	if err != nil {
		return err
	}
	at, after, beyond := blocks[0], blocks[1], blocks[2]
	voters, err := votersAt(doc, blocks)
	if err != nil {
		return err
	}
	if params := *doc.ConsensusParams; string(params.Hash()) != string(after.ConsensusHash) {
		return fmt.Errorf("consensus parameters of block %d differ from the genesis", after.Height)
	}
	st := sm.State{
		ChainID: doc.ChainID, InitialHeight: doc.InitialHeight,
		Version:         cmtstate.Version{Consensus: after.Version, Software: version.TMCoreSemVer},
		LastBlockHeight: at.Height, LastBlockTime: at.Time, LastBlockID: at.Commit.BlockID,
		AppHash: after.AppHash, LastResultsHash: after.LastResultsHash,
		LastValidators: voters[0], Validators: voters[1], NextValidators: voters[2],
		LastHeightValidatorsChanged: beyond.Height,
		ConsensusParams:             *doc.ConsensusParams, LastHeightConsensusParamsChanged: after.Height,
	}
	provide := db.Provider()
	states, err := provide(&config.DBContext{ID: "state"})
	if err != nil {
		return err
	}
	stored := sm.NewStore(states, sm.StoreOptions{})
	if err := stored.Bootstrap(st); err != nil {
		return fmt.Errorf("begin consensus at height %d: %w", at.Height, err)
	}
	chain, err := provide(&config.DBContext{ID: blockStore})
	if err != nil {
		return err
	}
	if err := store.NewBlockStore(chain).SaveSeenCommit(at.Height, at.Commit); err != nil {
		return fmt.Errorf("begin consensus at height %d: %w", at.Height, err)
	}
	if err := stored.SetOfflineStateSyncHeight(at.Height); err != nil {
		return fmt.Errorf("begin consensus at height %d: %w", at.Height, err)
	}
	return db.Sync()
}

// votersAt returns the validators at the heights of some blocks. Headers prove their keys and votes, but not
// whose turn it is to propose. A node that took a liar's word for the turns might refuse all proposals. So turns are
// computed from the genesis, because validators never change.
func votersAt(doc *types.GenesisDoc, blocks [3]*types.LightBlock) (voters [3]*types.ValidatorSet, err error) {
	list := make([]*types.Validator, len(doc.Validators))
	for i, v := range doc.Validators {
		list[i] = types.NewValidator(v.PubKey, v.Power)
	}
	first := types.NewValidatorSet(list)
	for i, b := range blocks {
		// The order repeats after as many turns as there are votes.
		voters[i] = first
		if turns := (b.Height - 1) % first.TotalVotingPower(); turns > 0 {
			voters[i] = first.CopyIncrementProposerPriority(int32(turns))
		}
		if !bytes.Equal(voters[i].Hash(), b.ValidatorsHash) {
			return voters, fmt.Errorf("validators of block %d differ from the genesis", b.Height)
		}
	}
	return voters, nil
}
