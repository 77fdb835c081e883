package pin

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/dgraph-io/badger/v4"

	"walrus/internal/badgerdisk"
	"walrus/shards"
)

const (
	// verifySettle: a pinner that restarts again and again reads no tables back.
	verifySettle = 10 * time.Minute
	// verifyEvery: in this time all tables of the database are read back once, as the copies are.
	verifyEvery = 14 * 24 * time.Hour
	// verifyRate bounds that, in bytes per second.
	verifyRate = 4 << 20
	// damagedExt ends the name of a damaged database that was put aside. The one before is removed then.
	damagedExt = ".damaged"
)

// verifyDatabase reads the tables of the database back until ctx ends: a reading by key tells damage, but a walk along
// an index leaves damaged blocks out. Damage is an error that wraps errDatabase.
func verifyDatabase(ctx context.Context, d *database) error {
	for wait := verifySettle; sleep(ctx, wait); wait = verifyEvery {
		if err := verifyTables(ctx, d); err != nil {
			return err
		}
	}
	return nil
}

func verifyTables(ctx context.Context, d *database) error {
	var ids []uint64
	if err := d.disk.Do(func(db *badger.DB) error {
		for _, t := range db.Tables() {
			ids = append(ids, t.ID)
		}
		return nil
	}); err != nil {
		return err
	}
	slices.Sort(ids)
	for _, id := range ids {
		n, err := badgerdisk.CheckTable(d.dir, id, errDatabase)
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // merged meanwhile
			return fmt.Errorf("read back the records of the pins: %w", err)
		}
		if !sleep(ctx, time.Duration(n)*time.Second/verifyRate) {
			return nil
		}
	}
	return nil
}

// rebuild replaces a damaged database by what can still be read of it and of the copies. Every request that is readable
// is made again, and one for each copy without any. All blobs are then verified before they count as pinned. Requests
// that were removed shortly before may come back. k.db is closed, before and after.
func rebuild(k *Keeper, damage error) (err error) {
	k.log.Error("the records of the pins are damaged: they are rebuilt from the copies", "err", damage)
	dir := databaseDir(k.cfg.Dir)
	requests, err := salvage(k, dir)
	if err != nil {
		k.log.Warn("some requests cannot be read from the damaged records: their names and ends are lost", "err", err)
	}
	if err := os.RemoveAll(dir + damagedExt); err != nil {
		return err
	}
	if err := os.Rename(dir, dir+damagedExt); err != nil {
		return err
	}
	if k.db, err = openDatabase(dir, k.log); err != nil {
		return err
	}
	copies, err := refill(k, requests)
	if err = errors.Join(err, k.db.sync(), k.db.close()); err != nil { // the next Open begins anew
		err = errors.Join(err, os.RemoveAll(dir), os.Rename(dir+damagedExt, dir))
	}
	k.db, k.counts = nil, counts{}
	k.log.Warn("the records of the pins are rebuilt: every copy is verified now", "requests", len(requests), "copies", copies,
		"damaged", dir+damagedExt)
	return err
}

// salvage reads the requests of a damaged database.
func salvage(k *Keeper, dir string) (list []Request, err error) {
	if err := badgerdisk.Distrust(dir); err != nil {
		return nil, err
	}
	opt := databaseOptions(dir, k.log)
	if _, err := badgerdisk.Check(&opt, badgerdisk.Salvage, errDatabase); err != nil {
		return nil, err
	}
	disk, err := badgerdisk.Open(opt, errDatabase)
	if err != nil {
		return nil, err
	}
	d := &database{dir: dir, disk: disk}
	err = d.view(func(t *tx) error {
		return t.keys([]byte{keyRequest}, nil, false, func(key []byte) (bool, error) {
			var r Request
			if _, err := t.get(key, &r); err == nil && r.ID == string(key[1:]) && r.validate() == nil {
				list = append(list, r)
			}
			return true, nil
		})
	})
	if disk.Wedged() {
		return list, err
	}
	return list, errors.Join(err, d.close())
}

// refill makes requests, and one for each copy without any. It returns the number of copies.
func refill(k *Keeper, list []Request) (copies int, err error) {
	wanted := map[shards.BlobID]bool{}
	for i := range list {
		if err := k.update(func(t *tx, c *counts) error { return k.insert(t, c, &list[i]) }); err != nil {
			return 0, err
		}
		wanted[list[i].Blob] = true
	}
	err = eachCopy(k.copies, func(id shards.BlobID, meta *shards.Metadata) error {
		copies++
		return k.update(func(t *tx, c *counts) error {
			if !wanted[id] {
				now := time.Now().Truncate(time.Millisecond)
				if err := k.insert(t, c, &Request{ID: newID(now), CID: CID(id), Blob: id, Name: rebuiltName, Created: now}); err != nil {
					return err
				}
			}
			rows := newBitmap(k.cfg.Params.Rows())
			for i := range k.cfg.Params.Rows() {
				rows.set(i, true)
			}
			if err := t.t.Set(blobKey(keyRows, id), rows); err != nil {
				return err
			}
			return k.alter(t, id, c, func(r *record) error {
				r.Known, r.Size, r.Have = true, meta.Length, k.cfg.Params.Rows()
				return nil
			})
		})
	})
	return copies, err
}

// rebuiltName is the name of a request for a copy whose requests were lost.
const rebuiltName = "recovered"

// eachCopy visits the files of copies with their blob IDs and metadata. Files that are no copies are left alone.
func eachCopy(cs *copies, visit func(shards.BlobID, *shards.Metadata) error) error {
	return filepath.WalkDir(cs.blobs, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		raw, err := hex.DecodeString(e.Name())
		if err != nil || len(raw) != len(shards.BlobID{}) {
			return nil
		}
		id := shards.BlobID(raw)
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }() // only read
		b := make([]byte, cs.params.MetadataSize())
		if _, err := io.ReadFull(f, b); err != nil {
			return nil
		}
		meta, err := shards.UnmarshalMetadata(cs.params, id, b)
		if err != nil {
			return nil
		}
		return visit(id, meta)
	})
}
