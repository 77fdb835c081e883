package engine

import (
	"errors"
	"fmt"
	"time"

	"github.com/cometbft/cometbft/config"
	sm "github.com/cometbft/cometbft/state"
	"github.com/cometbft/cometbft/store"

	"walrus/ledger/light"
)

// errOtherChain reports that this node's ledger contradicts the checkpoint.
var errOtherChain = errors.New("this node's ledger has another block than the checkpoint")

// Newest returns the newest block here, with the validators of the next; false before the first. Its own
// ledger is proof enough for the light clients in a node's process.
func (n *Node) Newest() (light.Point, bool) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	states, err := n.db.Provider()(&config.DBContext{ID: "state"})
	if err != nil {
		return light.Point{}, false
	}
	st, err := sm.NewStore(states, sm.StoreOptions{}).Load()
	if err != nil || st.LastBlockHeight == 0 || len(st.LastBlockID.Hash) != 32 {
		return light.Point{}, false
	}
	return light.Point{
		Height: uint64(st.LastBlockHeight), Hash: [32]byte(st.LastBlockID.Hash), Time: st.LastBlockTime,
		Next: [32]byte(st.Validators.Hash()),
	}, true
}

// hashAt returns the hash of a block here; false if it is not kept.
func (n *Node) hashAt(height uint64) (hash [32]byte, ok bool) {
	if p, ok := n.Newest(); ok && p.Height == height {
		return p.Hash, true
	}
	n.mu.RLock()
	defer n.mu.RUnlock()
	blocks, err := n.db.Provider()(&config.DBContext{ID: blockStore})
	if err != nil {
		return hash, false
	}
	meta := store.NewBlockStore(blocks).LoadBlockMeta(int64(height))
	if meta == nil || len(meta.BlockID.Hash) != len(hash) {
		return hash, false
	}
	return [32]byte(meta.BlockID.Hash), true
}

// goOn decides whether this node may follow the chain from its newest block. Whoever has the keys of validators that
// left long ago could show it a false continuation, so a block older than the trust period needs a checkpoint.
func (n *Node) goOn(now time.Time) error {
	own, _ := n.Newest()
	if own.Height == 0 {
		own.Time = n.cfg.Genesis.Time
	}
	period := light.TrustPeriod(n.cfg.Genesis.EpochDuration)
	return goOn(own, period, now, n.cfg.Trust, n.hashAt)
}

func goOn(own light.Point, period time.Duration, now time.Time, at *light.Checkpoint,
	hashAt func(height uint64) ([32]byte, bool)) error {
	known := false
	if at != nil && at.Height > 0 && at.Height <= own.Height {
		var have [32]byte
		if have, known = hashAt(at.Height); known && have != at.Hash {
			return fmt.Errorf("%w %s: its block has hash %x: ask for the checkpoint again; if it is right, this node followed "+
				"a false chain: move its ledger folder away and start it with the checkpoint", errOtherChain, at, have)
		}
	}
	age := now.Sub(own.Time)
	switch {
	case age <= period:
		return nil
	case at != nil && at.Height > own.Height: // block by block or by a snapshot, the node must arrive at it
		return nil
	case at != nil && at.Stalled && (known || at.Height == own.Height):
		return nil
	}
	err := &light.Expired{Newest: own, Age: age, Period: period}
	if own.Height == 0 {
		return fmt.Errorf("%w; if the network begins only now: --trust genesis", err)
	}
	stood := own.Checkpoint()
	stood.Stalled = true
	return fmt.Errorf("%w; if the whole network stood still since, and the operators of the others agree on it: --trust %s", err, stood)
}

// lightConfig configures a light client of the other members. It starts from the newest block here, or from the
// checkpoint if that is newer or the block is too old.
func (n *Node) lightConfig() light.Config {
	c := light.Config{
		Genesis: n.cfg.Genesis, Host: n.cfg.Host, Peers: n.others, Connect: n.cfg.Connect, Known: n.Newest, Logger: n.log,
		Hasty: true, AnyClock: true,
	}
	own, _ := n.Newest()
	if own.Height == 0 {
		own.Time = n.cfg.Genesis.Time
	}
	old := time.Since(own.Time) > light.TrustPeriod(n.cfg.Genesis.EpochDuration)
	switch at := n.cfg.Trust; {
	case at != nil && (old || at.Height > own.Height):
		c.Trust = at
	case old && n.trusted && own.Height > 0: // it was new enough when this process began, or vouched for
		at := own.Checkpoint()
		at.Stalled = true
		c.Trust = &at
	case old && n.trusted:
		c.Trust = &light.Checkpoint{Stalled: true}
	}
	return c
}
