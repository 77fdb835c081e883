package engine

import (
	"fmt"
	"runtime"

	dbm "github.com/cometbft/cometbft-db"
	"github.com/cometbft/cometbft/config"
)

// watchStores makes writes that fail, because the disk is full or broken, the end of the chain: CometBFT panics about
// them, and while blocks are fetched that would end the process.
func (c *chain) watchStores(provide config.DBProvider) config.DBProvider {
	return func(d *config.DBContext) (dbm.DB, error) {
		db, err := provide(d)
		if err != nil {
			return nil, err
		}
		return watchedDB{db, c}, nil
	}
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
	chain *chain
}

func (w watchedDB) Set(k, v []byte) error     { return w.chain.written(w.DB.Set(k, v)) }
func (w watchedDB) SetSync(k, v []byte) error { return w.chain.written(w.DB.SetSync(k, v)) }
func (w watchedDB) Delete(k []byte) error     { return w.chain.written(w.DB.Delete(k)) }
func (w watchedDB) DeleteSync(k []byte) error { return w.chain.written(w.DB.DeleteSync(k)) }
func (w watchedDB) NewBatch() dbm.Batch       { return watchedBatch{w.DB.NewBatch(), w.chain} }

type watchedBatch struct {
	dbm.Batch
	chain *chain
}

func (w watchedBatch) Write() error     { return w.chain.written(w.Batch.Write()) }
func (w watchedBatch) WriteSync() error { return w.chain.written(w.Batch.WriteSync()) }
