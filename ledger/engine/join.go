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

	"walrus/ledger/engine/app"
	"walrus/ledger/engine/badgerdb"
	"walrus/ledger/light"
	"walrus/ledger/merkle"
)

const (
	// farBehind is how many blocks a node fetches one by one, rather than the state after them: at some 400 a second.
	farBehind = 500
	// headWait is how long a node that begins looks for one that knows how far the ledger is. Whoever does not answer by
	// then is no help: a network that begins as a whole has nobody to ask.
	headWait = 3 * time.Second
	// joinFirst, and joinEach for each part, bound the attempt to join by one snapshot, and joinMost does by any: a node that
	// gives part after part of nothing must not keep us from the others for long.
	joinFirst, joinEach, joinMost = time.Minute, time.Second, 30 * time.Minute
	// partsAtOnce is how many parts of a snapshot are fetched ahead.
	partsAtOnce = 8
)

// offer is a snapshot that a node has.
type offer struct {
	light.Snapshot
	node peer.ID
}

// join brings a node that is far behind, or begins, near the others by the state after a recent block, proven by what the
// validators have signed. Whatever stands in the way, the node can still fetch block after block: only an error
// that leaves no usable database is returned.
func (n *Node) join(ctx context.Context) error {
	client, err := light.New(light.Config{
		Genesis: n.cfg.Genesis, Host: n.cfg.Host, Peers: n.others, Connect: n.cfg.Connect, Logger: n.log, Hasty: true, AnyClock: true,
	})
	if err != nil {
		return err
	}
	tried := make(map[peer.ID]bool)
	for {
		look, cancel := context.WithTimeout(ctx, headWait)
		head, err := client.Head(look)
		cancel()
		have := n.View().Height
		if err != nil && !errors.Is(err, light.ErrStalled) && !errors.Is(err, light.ErrClock) || head.Height <= have+n.far {
			return ctx.Err()
		}
		n.log.Info("ledger is far behind: looking for a snapshot", "height", have, "head", head.Height)
		o := n.offer(ctx, client, have+n.far/2, head.Height-2, tried)
		if o == nil {
			n.log.Info("no snapshot to join by: fetching all blocks", "height", have, "head", head.Height)
			return ctx.Err()
		}
		tried[o.node] = true
		if err = n.joinBy(ctx, client, o); err == nil || ctx.Err() != nil {
			return ctx.Err()
		}
		n.log.Warn("could not join by a snapshot", "height", o.Height, "from", o.node, "err", err)
	}
}

// others are the other members.
func (n *Node) others(context.Context) []peer.ID {
	var ids []peer.ID
	for _, m := range n.members {
		if m.id != n.cfg.Host.ID() {
			ids = append(ids, m.id)
		}
	}
	return ids
}

// offer is the snapshot to join by, above one height and up to another: of a node that was not tried yet, since one that
// gave nothing good once would take as long again. It is nil if there is none.
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
				return // it is no help
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

// best is one of the snapshots that most nodes have, since few lie and the honest ones make the same, and of those the newest.
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

// patience is how long to try to join by a snapshot.
func (o *offer) patience() time.Duration {
	return min(joinMost, joinFirst+time.Duration(o.Parts)*joinEach)
}

// joinBy restores a snapshot in a database of its own and puts that in place of ours.
func (n *Node) joinBy(ctx context.Context, client *light.Client, o *offer) error {
	ctx, cancel := context.WithTimeout(ctx, o.patience())
	defer cancel()
	var blocks [3]*types.LightBlock // at the snapshot's height and the two after
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

// restore fills the application with the state that the header after has the root of.
func (n *Node) restore(ctx context.Context, client *light.Client, o *offer, a *app.App, blocks [3]*types.LightBlock) error {
	if len(blocks[1].AppHash) != len(merkle.Hash{}) {
		return fmt.Errorf("block %d has an app hash of %d bytes", blocks[1].Height, len(blocks[1].AppHash))
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

// bootstrap tells consensus what it would know if it had come to this height by itself.
func (n *Node) bootstrap(db *badgerdb.DB, blocks [3]*types.LightBlock) error {
	doc, err := genesisDoc(n.cfg.Genesis.ChainID(), n.cfg.Genesis.Time, n.members)
	if err != nil {
		return err
	}
	at, after, beyond := blocks[0], blocks[1], blocks[2]
	voters, err := votersAt(doc, blocks)
	if err != nil {
		return err
	}
	if params := *doc.ConsensusParams; string(params.Hash()) != string(after.ConsensusHash) {
		return fmt.Errorf("block %d has other consensus parameters than the genesis", after.Height)
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

// votersAt are the validators at the heights of some blocks. Who they are is in the headers, whose turn it is to propose is
// not: that follows from the genesis, since they never change. Whoever believed a node about it might refuse all proposals.
func votersAt(doc *types.GenesisDoc, blocks [3]*types.LightBlock) (voters [3]*types.ValidatorSet, err error) {
	list := make([]*types.Validator, len(doc.Validators))
	for i, v := range doc.Validators {
		list[i] = types.NewValidator(v.PubKey, v.Power)
	}
	first := types.NewValidatorSet(list)
	for i, b := range blocks {
		// Everybody has had as many turns as votes when there were as many turns as votes, and it begins anew.
		voters[i] = first
		if turns := (b.Height - 1) % first.TotalVotingPower(); turns > 0 {
			voters[i] = first.CopyIncrementProposerPriority(int32(turns))
		}
		if !bytes.Equal(voters[i].Hash(), b.ValidatorsHash) {
			return voters, fmt.Errorf("block %d has other validators than the genesis", b.Height)
		}
	}
	return voters, nil
}
