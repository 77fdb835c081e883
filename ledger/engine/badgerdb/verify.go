package badgerdb

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/dgraph-io/badger/v4"

	"walrus/internal/badgerdisk"
	"walrus/internal/pause"
)

const (
	// verifyEvery: in this time all tables are read back once, as the store's slivers are.
	verifyEvery = 14 * 24 * time.Hour
	// verifySettle: a node that restarts again and again reads nothing back.
	verifySettle = 10 * time.Minute
	// verifyRate is the greatest rate in bytes per second.
	verifyRate = 4 << 20
)

// Verify reads the tables back until ctx ends, each once in 14 days: Open reads only those that are new or were
// changed. Damage is an error that wraps ErrCorrupt, and makes the next Open read and refuse all of them.
func (db *DB) Verify(ctx context.Context) error {
	if db.dir == "" {
		<-ctx.Done()
		return nil
	}
	for pause.For(ctx, verifySettle) {
		began := time.Now()
		if err := db.verifyAll(ctx); err != nil || ctx.Err() != nil {
			return err
		}
		pause.For(ctx, time.Until(began.Add(verifyEvery)))
	}
	return nil
}

func (db *DB) verifyAll(ctx context.Context) error {
	var ids []uint64
	err := db.with(func(b *badger.DB) error {
		for _, t := range b.Tables() {
			ids = append(ids, t.ID)
		}
		return nil
	})
	if err != nil {
		return ignoreClosed(err)
	}
	slices.Sort(ids)
	for _, id := range ids {
		n, err := badgerdisk.CheckTable(db.dir, id, ErrCorrupt)
		switch {
		case errors.Is(err, fs.ErrNotExist): // merged meanwhile
		case errors.Is(err, ErrCorrupt):
			return fmt.Errorf("read back the ledger's database %s: %w", db.dir, advise(db.distrust(err)))
		case err != nil:
			return fmt.Errorf("read back the ledger's database %s: %w", db.dir, err)
		}
		if !pause.For(ctx, time.Duration(n)*time.Second/verifyRate) {
			return nil
		}
	}
	return nil
}

// distrust makes the next Open read all tables, after err was found.
func (db *DB) distrust(err error) error {
	return errors.Join(err, db.disk.Distrust())
}

func ignoreClosed(err error) error {
	if errors.Is(err, ErrClosed) {
		return nil
	}
	return err
}
