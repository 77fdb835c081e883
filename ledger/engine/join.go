package engine

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
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
	// joinTries is the number of attempts that include a node which was left in each. A liar takes part in one.
	joinTries = 3
)

// offer is a height whose state some nodes serve.
type offer struct {
	height uint64
	nodes  []peer.ID
}

// join brings a node that starts or is far behind close to the others: it restores the state after a recent block,
// proven by the validators' signatures. If that fails, the node can still fetch block by block, so join returns only
// errors that leave no usable database. What an attempt has fetched is kept for the next one. But while no other member
// keeps the next block any more, join goes on: CometBFT would believe that it has caught up.
func (n *Node) join(ctx context.Context) error {
	client, err := light.New(light.Config{
		Genesis: n.cfg.Genesis, Host: n.cfg.Host, Peers: n.others, Connect: n.cfg.Connect, Logger: n.log,
		Hasty: true, AnyClock: true,
	})
	if err != nil {
		return err
	}
	next := filepath.Join(n.cfg.Dir, nextDir)
	tries, told := make(map[peer.ID]int), false
	for {
		look, cancel := context.WithTimeout(ctx, headWait)
		head, err := client.Head(look)
		have := n.View().Height
		known := err == nil || errors.Is(err, light.ErrStalled) || errors.Is(err, light.ErrClock)
		behind := known && head.Height > have
		gone := behind && errors.Is(lookFor(look, client, have+1), light.ErrPruned)
		cancel()
		above := have + n.far/2
		switch {
		case gone:
			above = have
		case !known:
			return ctx.Err()
		case !behind || head.Height <= have+n.far:
			return errors.Join(ctx.Err(), os.RemoveAll(next))
		}
		n.log.Info("far behind the other members: looking for a snapshot", "height", have, "head", head.Height)
		begun := n.begun()
		o := best(n.offers(ctx, client, above, head.Height-min(head.Height, 2), tries), begun)
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
			clear(tries)
			if !pause.For(ctx, headWait) {
				return ctx.Err()
			}
			continue
		}
		if begun != o.height {
			if err := os.RemoveAll(next); err != nil {
				return err
			}
		}
		left, err := n.joinBy(ctx, client, o)
		if err == nil || ctx.Err() != nil {
			return ctx.Err()
		}
		n.log.Warn("joining by a snapshot failed", "height", o.height, "err", err)
		tried(tries, o, left)
	}
}

// lookFor returns nil if a member has the block at a height.
func lookFor(ctx context.Context, client *light.Client, height uint64) error {
	_, err := client.Block(ctx, height)
	return err
}

// tried counts an attempt for the nodes that were left in it, or for all if there are none.
func tried(tries map[peer.ID]int, o *offer, left map[peer.ID]error) {
	for _, id := range o.nodes {
		why, ok := left[id]
		switch {
		case errors.Is(why, light.ErrLied):
			tries[id] = joinTries
		case ok || len(left) == 0:
			tries[id]++
		}
	}
}

// begun returns the height of the state that an earlier attempt began to fetch; 0 if there is none.
func (n *Node) begun() uint64 {
	dir := filepath.Join(n.cfg.Dir, nextDir)
	if _, err := os.Stat(dir); err != nil {
		return 0
	}
	db, err := badgerdb.Open(badgerdb.Options{Dir: dir, Logger: n.log})
	if err != nil {
		return 0
	}
	height, err := app.RestoredHeight(db)
	if err = errors.Join(err, db.Close()); err != nil {
		return 0
	}
	return height
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

// offers asks the other members for the heights over above and up to most whose state they serve. It leaves out nodes
// that have been tried often enough.
func (n *Node) offers(ctx context.Context, client *light.Client, above, most uint64, tries map[peer.ID]int) map[uint64][]peer.ID {
	ctx, cancel := context.WithTimeout(ctx, headWait)
	defer cancel()
	var mu sync.Mutex
	all := make(map[uint64][]peer.ID)
	var asked sync.WaitGroup
	for _, node := range n.others(ctx) {
		if tries[node] >= joinTries {
			continue
		}
		asked.Go(func() {
			heights, err := client.Snapshots(ctx, node)
			if err != nil {
				return // ask only the others
			}
			mu.Lock()
			defer mu.Unlock()
			for _, h := range heights {
				if h > above && h <= most && !slices.Contains(all[h], node) {
					all[h] = append(all[h], node)
				}
			}
		})
	}
	asked.Wait()
	return all
}

// best returns the height that was begun, if it is still served, or else the newest of the heights served by the most
// nodes. Nil if there is none.
func best(all map[uint64][]peer.ID, begun uint64) *offer {
	if len(all[begun]) > 0 {
		return &offer{begun, all[begun]}
	}
	var found *offer
	for height, nodes := range all {
		if found == nil || cmp.Or(cmp.Compare(len(nodes), len(found.nodes)), cmp.Compare(height, found.height)) > 0 {
			found = &offer{height, nodes}
		}
	}
	return found
}

// joinBy restores a state in a second database and swaps it for ours. It also returns the nodes that it has left.
func (n *Node) joinBy(ctx context.Context, client *light.Client, o *offer) (left map[peer.ID]error, err error) {
	var blocks [3]*types.LightBlock // at the snapshot's height and the two heights after
	for i := range blocks {
		b, err := client.Block(ctx, o.height+uint64(i))
		if err != nil {
			return nil, err
		}
		blocks[i] = b
	}
	if len(blocks[1].AppHash) != len(merkle.Hash{}) {
		return nil, fmt.Errorf("app hash of block %d has %d bytes: must be %d", blocks[1].Height, len(blocks[1].AppHash),
			len(merkle.Hash{}))
	}
	trusted := app.Trusted{Height: o.height, Time: blocks[0].Time.UnixNano(), Root: merkle.Hash(blocks[1].AppHash)}
	next := filepath.Join(n.cfg.Dir, nextDir)
	db, err := badgerdb.Open(badgerdb.Options{Dir: next, Logger: n.log})
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(next))
	}
	left, err = n.restore(ctx, client, o, db, trusted)
	if err == nil {
		err = n.bootstrap(db, blocks)
	}
	err = errors.Join(err, db.Close())
	if errors.Is(err, app.ErrMismatch) || errors.Is(err, badgerdb.ErrCorrupt) {
		err = errors.Join(err, os.RemoveAll(next)) // there is nothing to go on with
	}
	if err != nil {
		return left, err
	}
	return left, n.swap()
}

// restore fills a database with the state that is trusted.
func (n *Node) restore(ctx context.Context, client *light.Client, o *offer, db *badgerdb.DB,
	trusted app.Trusted) (left map[peer.ID]error, err error) {
	r, err := app.Restore(db, n.cfg.Genesis, trusted, n.log)
	if err != nil {
		return nil, err
	}
	begin := time.Now()
	n.log.Info("fetching the ledger's state", "height", o.height, "nodes", len(o.nodes))
	left, err = collect(ctx, r, o.nodes, func(ctx context.Context, from peer.ID, first, last merkle.Hash) (*light.Range, merkle.Hash, error) {
		return client.Range(ctx, from, o.height, trusted.Root, first, last)
	}, n.log)
	if err == nil {
		err = r.Finish()
	}
	if err == nil {
		n.log.Info("the ledger's state is here", "height", o.height, "took", time.Since(begin).Round(time.Millisecond))
	}
	return left, err
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
