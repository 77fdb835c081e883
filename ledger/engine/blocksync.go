package engine

import (
	"errors"
	"runtime"
	"strings"

	"github.com/cometbft/cometbft/blocksync"
	"github.com/cometbft/cometbft/config"
	"github.com/cometbft/cometbft/consensus"
	"github.com/cometbft/cometbft/mempool"
	"github.com/cometbft/cometbft/node"
	"github.com/cometbft/cometbft/p2p"
	"github.com/cometbft/cometbft/proxy"
	sm "github.com/cometbft/cometbft/state"
	"github.com/cometbft/cometbft/statesync"
	"github.com/go-kit/kit/metrics"
)

// syncing keeps a fault of CometBFT's block sync from ending the process. Its goroutine peeks at a block, verifies it,
// and pops it from the pool. If the block's sender leaves in between, or says that it does not have the block after
// all, the pool drops the block, and PopRequest panics as it reads the block's time. Nothing was changed by then.
//
// The goroutine is CometBFT's, but it defers a call of this gauge's Set, which may thus recover.
type syncing struct {
	metrics.Gauge
	lost func() // called after block sync has ended by that fault
}

// Set implements metrics.Gauge. Any other panic goes on.
func (s *syncing) Set(value float64) {
	if p := recover(); p != nil {
		if !popping() {
			panic(p)
		}
		s.lost()
	}
	s.Gauge.Set(value)
}

// popping reports whether this goroutine is inside of the pool's PopRequest.
func popping() bool {
	var pcs [32]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(1, pcs[:])])
	for {
		f, more := frames.Next()
		if strings.HasSuffix(f.Function, "blocksync.(*BlockPool).PopRequest") {
			return true
		}
		if !more {
			return false
		}
	}
}

// metrics returns metrics for CometBFT. Nobody reads them; only the gauge syncing does something.
func (c *chain) metrics(cfg *config.InstrumentationConfig) node.MetricsProvider {
	return func(id string) (
		*consensus.Metrics, *p2p.Metrics, *mempool.Metrics, *sm.Metrics, *proxy.Metrics, *blocksync.Metrics,
		*statesync.Metrics,
	) {
		cs, peers, pool, state, app, blocks, snapshots := node.DefaultMetricsProvider(cfg)(id)
		blocks.Syncing = &syncing{blocks.Syncing, c.lostBlock}
		return cs, peers, pool, state, app, blocks, snapshots
	}
}

// errAgain ends a chain that can go on if it is opened again.
var errAgain = errors.New("block sync has lost a block")

// lostBlock ends the chain without an error: opened again, it fetches blocks from where it was.
func (c *chain) lostBlock() {
	if c.fail(errAgain) {
		c.cfg.log.Warn("a peer left while its block was being verified: beginning again to fetch blocks")
	}
}
