package badgerdisk

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/table"
)

// verifiedName names a file that lists the index tables known to be whole. A table is written once and never changed.
// One whose size and time of change are as listed is not read again as a whole: so a start does not read everything.
const verifiedName = "VERIFIED"

// stamp tells whether a table's file was changed, by what the system keeps about it.
type stamp struct{ size, changed int64 } // bytes, nanoseconds since 1970

// stampSize: number of the table u64 ‖ size u64 ‖ time of change u64, big-endian. A CRC32C u32 follows the last one.
const stampSize = 3 * 8

func stampOf(info fs.FileInfo) stamp { return stamp{info.Size(), info.ModTime().UnixNano()} }

// readVerified returns the list in dir. Without a good one no table is known to be whole.
func readVerified(dir string) map[uint64]stamp {
	path := filepath.Join(dir, verifiedName)
	if info, err := os.Stat(path); err != nil || info.Size() > maxVerified {
		return nil
	}
	b, err := os.ReadFile(path)
	n := len(b) - crc32.Size
	if err != nil || n < 0 || n%stampSize != 0 || binary.BigEndian.Uint32(b[n:]) != crc32.Checksum(b[:n], castagnoli) {
		return nil
	}
	list := make(map[uint64]stamp, n/stampSize)
	for b := b[:n]; len(b) > 0; b = b[stampSize:] {
		size, changed := binary.BigEndian.Uint64(b[8:]), binary.BigEndian.Uint64(b[16:])
		list[binary.BigEndian.Uint64(b)] = stamp{int64(size), int64(changed)}
	}
	return list
}

// writeVerified replaces the list in dir. It need not be durable: a lost one costs time at the next start.
func writeVerified(dir string, list map[uint64]stamp) error {
	b := make([]byte, 0, len(list)*stampSize+crc32.Size)
	for _, id := range slices.Sorted(maps.Keys(list)) {
		b = binary.BigEndian.AppendUint64(b, id)
		b = binary.BigEndian.AppendUint64(b, uint64(list[id].size))
		b = binary.BigEndian.AppendUint64(b, uint64(list[id].changed))
	}
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	path := filepath.Join(dir, verifiedName)
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, b) {
		return nil
	}
	if err := os.WriteFile(path+".new", b, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// Distrust makes the next Check of the database in dir read all index tables as a whole.
func Distrust(dir string) error {
	if err := os.Remove(filepath.Join(dir, verifiedName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return SyncPath(dir)
}

// Distrust makes the next Check of this database read all index tables as a whole. This process lists none any more.
func (d *DB) Distrust() error {
	d.syncing.Lock()
	defer d.syncing.Unlock()
	d.distrusted = true
	if d.dir == "" {
		return nil
	}
	return Distrust(d.dir)
}

// listTables lists the tables that are there as whole: Check has read them, or this process made them, and Badger
// synced them before it named them. The caller holds syncing.
func (d *DB) listTables() error {
	var ids []uint64
	err := d.Do(func(db *badger.DB) error {
		for _, t := range db.Tables() {
			ids = append(ids, t.ID)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return d.list(ids)
}

// listClosed is listTables once Badger has closed the database: there are no tables but those that it has named.
func (d *DB) listClosed() error {
	if d.dir == "" {
		return nil
	}
	files, err := os.ReadDir(d.dir)
	if err != nil {
		return err
	}
	var ids []uint64
	for _, f := range files {
		if id, ok := table.ParseFileID(f.Name()); ok {
			ids = append(ids, id)
		}
	}
	return d.list(ids)
}

// list replaces the list. A table that is on it keeps its stamp: a change since then is damage. The caller holds
// syncing.
func (d *DB) list(ids []uint64) error {
	if d.distrusted || d.wedged.Load() {
		return nil
	}
	list := make(map[uint64]stamp, len(ids))
	for _, id := range ids {
		if s, ok := d.verified[id]; ok {
			list[id] = s
			continue
		}
		info, err := os.Stat(table.NewFilename(id, d.dir))
		if errors.Is(err, fs.ErrNotExist) { // merged meanwhile
			continue
		}
		if err != nil {
			return err
		}
		list[id] = stampOf(info)
	}
	if maps.Equal(list, d.verified) {
		return nil
	}
	if err := writeVerified(d.dir, list); err != nil {
		return err
	}
	d.verified = list
	calm(d.dir)
	return nil
}
