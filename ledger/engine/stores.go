package engine

import (
	dbm "github.com/cometbft/cometbft-db"
	"github.com/cometbft/cometbft/config"
)

// blockStore is CometBFT's name of the database with the blocks.
const blockStore = "blockstore"

// watchStores makes a failed write, of a full or broken disk, end the chain. CometBFT panics about such errors, and
// during block sync that would end the process.
func (c *chain) watchStores(provide config.DBProvider) config.DBProvider {
	return func(d *config.DBContext) (dbm.DB, error) {
		db, err := provide(d)
		if err != nil {
			return nil, err
		}
		return watchedDB{db, c, d.ID == blockStore}, nil
	}
}

// blockSaved returns a channel that is closed when the next block is in the block store, before it is applied. From
// then on that block's header proves the results of the block before. Get the channel before you look at the blocks.
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

// written reports a failed write.
func (c *chain) written(err error) error { return c.check("write a block", err) }

type watchedDB struct {
	dbm.DB
	chain  *chain
	blocks bool // the database is the block store
}

func (w watchedDB) Set(k, v []byte) error     { return w.chain.written(w.DB.Set(k, v)) }
func (w watchedDB) SetSync(k, v []byte) error { return w.chain.written(w.DB.SetSync(k, v)) }
func (w watchedDB) Delete(k []byte) error     { return w.chain.written(w.DB.Delete(k)) }
func (w watchedDB) DeleteSync(k []byte) error { return w.chain.written(w.DB.DeleteSync(k)) }
func (w watchedDB) NewBatch() dbm.Batch {
	return &watchedBatch{Batch: w.DB.NewBatch(), chain: w.chain, blocks: w.blocks}
}

type watchedBatch struct {
	dbm.Batch
	chain  *chain
	blocks bool // it writes the block store
	parts  int  // of a block, in this batch
}

func (w *watchedBatch) Write() error { return w.chain.written(w.Batch.Write()) }

// WriteSync implements dbm.Batch. CometBFT saves a block with it.
func (w *watchedBatch) WriteSync() error {
	err := w.chain.written(w.Batch.WriteSync())
	if err == nil && w.blocks {
		w.chain.tellSaved()
	}
	return err
}
