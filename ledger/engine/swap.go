package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

const (
	// databaseDir, nextDir and lastDir are in Config.Dir. A state is restored into nextDir, over several starts if need
	// be. The swap then renames databaseDir to lastDir and nextDir to databaseDir. If databaseDir is missing at start,
	// nextDir is complete and takes its place. While both are there, nextDir waits for the rest of the state.
	databaseDir, nextDir, lastDir = "db", "db.next", "db.last"
	// walDir holds the write-ahead log of consensus.
	walDir = "votes"
)

// swap puts the complete database in place of ours. If the old database cannot be closed, or none can be opened after
// that, the node is unusable. If only the renaming fails, it goes on with the database that it can open.
func (n *Node) swap() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := errors.Join(n.app.Close(), n.db.Close()); err != nil {
		return err
	}
	dir := n.cfg.Dir
	err := os.Rename(filepath.Join(dir, databaseDir), filepath.Join(dir, lastDir))
	if err == nil {
		err = finishSwap(dir)
	}
	db, a, reopen := n.open(filepath.Join(dir, databaseDir)) // the new or the old one
	if reopen == nil {
		n.db, n.app = db, a
		close(n.moved)
		n.moved = make(chan struct{})
	}
	return errors.Join(err, reopen)
}

// finishSwap completes a swap that a crash may have interrupted: see databaseDir.
func finishSwap(dir string) error {
	db, next, last := filepath.Join(dir, databaseDir), filepath.Join(dir, nextDir), filepath.Join(dir, lastDir)
	_, err := os.Stat(db)
	if errors.Is(err, fs.ErrNotExist) {
		if err = os.Rename(next, db); errors.Is(err, fs.ErrNotExist) {
			err = nil // a new ledger
		}
	}
	if err == nil {
		err = syncDir(dir)
	}
	if _, absent := os.Stat(last); err == nil && absent == nil {
		// The write-ahead log belongs to the database in lastDir. Remove it first: only lastDir shows that
		// it is stale.
		err = errors.Join(os.RemoveAll(filepath.Join(dir, walDir)), syncDir(dir))
	}
	if err == nil {
		err = os.RemoveAll(last)
	}
	if err != nil {
		return fmt.Errorf("ledger: put the database in place: %w", err)
	}
	return nil
}

// syncDir makes renames in a directory durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
