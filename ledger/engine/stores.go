package engine

import (
	"fmt"
	"runtime"

	dbm "github.com/cometbft/cometbft-db"
	"github.com/cometbft/cometbft/config"
)

// blockStore is CometBFT's name for where it keeps blocks.
const blockStore = "blockstore"

// watchStores makes writes that fail, because the disk is full or broken, the end of the chain: CometBFT panics about
// them, and while blocks are fetched that would end the process.
func (c *chain) watchStores(provide config.DBProvider) config.DBProvider {
	return func(d *config.DBContext) (dbm.DB, error) {
		db, err := provide(d)
		if err != nil {
			return nil, err
		}
		return watchedDB{db, c, d.ID == blockStore}, nil
	}
}

// blockSaved is closed when the next block is in the block store, which is before it is applied: from then on the header
// in it proves what the block before did. Get it before what might be about to change.
func (c *chain) blockSaved() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.saved
}

func (c *chain) tellSaved() {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.saved)
	c.saved = make(chan struct{})
}

// written reports a write that failed. See guard.check.
func (c *chain) written(err error) error {
	if err == nil {
		return nil
	}
	err = fmt.Errorf("%w: write a block: %w", ErrHalted, err)
	c.fail(err)
	if n := c.node; n != nil && n.ConsensusReactor().WaitSync() {
		runtime.Goexit()
	}
	return err
}

type watchedDB struct {
	dbm.DB
	chain  *chain
	blocks bool // it is the block store
}

func (w watchedDB) Set(k, v []byte) error     { return w.chain.written(w.DB.Set(k, v)) }
func (w watchedDB) SetSync(k, v []byte) error { return w.chain.written(w.DB.SetSync(k, v)) }
func (w watchedDB) Delete(k []byte) error     { return w.chain.written(w.DB.Delete(k)) }
func (w watchedDB) DeleteSync(k []byte) error { return w.chain.written(w.DB.DeleteSync(k)) }
func (w watchedDB) NewBatch() dbm.Batch       { return watchedBatch{w.DB.NewBatch(), w.chain, w.blocks} }

type watchedBatch struct {
	dbm.Batch
	chain  *chain
	blocks bool
}

func (w watchedBatch) Write() error { return w.chain.written(w.Batch.Write()) }

// WriteSync is how a block is saved: at once and for good.
func (w watchedBatch) WriteSync() error {
	err := w.chain.written(w.Batch.WriteSync())
	if err == nil && w.blocks {
		w.chain.tellSaved()
	}
	return err
}
