package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

const (
	// databaseDir, nextDir and lastDir are in Config.Dir. The database in nextDir is being filled from a snapshot; when it
	// is complete it takes the place of that in databaseDir, which is in lastDir in between. So if there is none in
	// databaseDir, that in nextDir is complete.
	databaseDir, nextDir, lastDir = "db", "db.next", "db.last"
	// walDir has consensus' write-ahead log.
	walDir = "votes"
)

// swap puts the complete database in place of ours. An error leaves the node unusable: but for the one of the
// application, which is none the wiser.
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
	db, a, reopen := n.open(filepath.Join(dir, databaseDir)) // whichever it is now
	if reopen == nil {
		n.db, n.app = db, a
		close(n.moved)
		n.moved = make(chan struct{})
	}
	return errors.Join(err, reopen)
}

// finishSwap ends what a crash may have left half done: see databaseDir.
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
		// The write-ahead log belongs to the database in lastDir. It goes first, or nobody would know.
		err = errors.Join(os.RemoveAll(filepath.Join(dir, walDir)), syncDir(dir))
	}
	if err == nil {
		err = errors.Join(os.RemoveAll(next), os.RemoveAll(last))
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
