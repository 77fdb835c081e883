package badgerdisk

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/fb"
	"github.com/dgraph-io/badger/v4/pb"
	"github.com/dgraph-io/badger/v4/table"
	"github.com/dgraph-io/badger/v4/y"
	"google.golang.org/protobuf/proto"
)

// checkTables reads all index tables that the manifest names.
func (c *check) checkTables() error {
	named, err := c.manifest()
	switch {
	case errors.Is(err, fs.ErrNotExist) && len(c.tables)+len(c.mems)+len(c.vlogs) == 0:
		return nil // a new database
	case c.refused(err):
		return err
	case err != nil && c.mode < Salvage:
		return fmt.Errorf("%w: manifest: %w", c.damage, err)
	case err != nil:
		c.note("manifest was rebuilt: %v", err)
	}
	rebuild := err != nil
	for id := range c.tables {
		if c.mode < Salvage || slices.Contains(named, id) {
			continue
		}
		// Badger deletes tables that the manifest does not name. After a crash, Badger was about to name them, and they
		// may be incomplete, or it had merged them. After damage they are the remaining data.
		if err != nil || c.checkTable(table.NewFilename(id, c.dir), id, true, nil) == nil {
			delete(c.verified, id)
			named, rebuild = append(named, id), true
		}
	}
	for _, look := range []func(id uint64, path string) error{c.checkOnce, c.checkScanned} {
		for _, id := range named {
			path := table.NewFilename(id, c.dir)
			err := errors.New("missing")
			if _, ok := c.tables[id]; ok {
				err = look(id, path)
			}
			switch {
			case err == nil:
				c.tables[id] = true
				continue
			case c.refused(err):
				return err
			case c.mode < Salvage:
				return fmt.Errorf("%w: table %d: %w", c.damage, id, err)
			}
			c.note("index table %d was left out: %v", id, err)
			rebuild = true
			if err := os.Rename(path, path+".corrupt"); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			delete(c.tables, id)
			delete(c.whole, id)
		}
		named = slices.DeleteFunc(named, func(id uint64) bool { return !c.tables[id] })
	}
	if rebuild {
		return c.writeManifest()
	}
	return nil
}

// checkOnce checks a table as a whole, unless it was whole before and has not changed since.
func (c *check) checkOnce(id uint64, path string) error {
	info, err := os.Stat(path) // before the table is read: a change meanwhile shows the next time
	if err != nil {
		return err
	}
	now := stampOf(info)
	was, known := c.verified[id]
	if err := c.checkTable(path, id, !known || was != now, nil); err != nil {
		return err
	}
	c.whole[id] = now
	return nil
}

// checkScanned checks the scanned keys of a table of which only a part was read.
func (c *check) checkScanned(id uint64, path string) error {
	last, skimmed := c.skimmed[id]
	if !skimmed {
		return nil
	}
	scanned := slices.DeleteFunc(slices.Clone(c.scanned), func(s Scan) bool { return s.Last > 0 && last+s.Last < c.last })
	if len(scanned) == 0 {
		return nil
	}
	return c.checkTable(path, id, false, scanned)
}

// refused reports that the disk or the system is to blame rather than the data.
func (c *check) refused(err error) bool {
	return Refused(err) || c.mode == Patient && Unreadable(err)
}

// manifest returns the numbers of the tables that the manifest names, as Badger replays it.
func (c *check) manifest() ([]uint64, error) {
	f, err := os.Open(filepath.Join(c.dir, badger.ManifestFilename))
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	m, end, err := badger.ReplayManifestFile(f, 0, *c.opt)
	if err == nil {
		err = checkEntries(f, end)
	}
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err != nil {
		return nil, err
	} else if info.Size() != end {
		// A crash while Badger appended looks like this, and so does damage, which would lose tables.
		if c.mode != Repair {
			return nil, fmt.Errorf("ends within an entry at byte %d", end)
		}
		c.note("manifest ended within an entry at byte %d", end)
	}
	for id, t := range m.Tables {
		if int(t.Level) >= c.opt.MaxLevels || t.KeyID != 0 || t.Compression != c.opt.Compression {
			return nil, fmt.Errorf("table %d: level %d, key %d, compression %d", id, t.Level, t.KeyID, t.Compression)
		}
	}
	return slices.Collect(maps.Keys(m.Tables)), nil
}

// checkEntries rejects empty entries behind the first. Zeros are an empty entry with a good checksum, of which Badger
// writes one at most, in front. At the second Badger would forget tables without a word.
//
//	8 bytes ‖ entries: length u32 ‖ CRC32C u32 ‖ that many bytes, big-endian
func checkEntries(f *os.File, end int64) error {
	const first = 8
	var head [8]byte
	for at := int64(first); at < end; {
		if _, err := f.ReadAt(head[:], at); err != nil {
			return err
		}
		size := binary.BigEndian.Uint32(head[:])
		if size == 0 && at > first {
			return fmt.Errorf("empty entry at byte %d", at)
		}
		at += int64(len(head)) + int64(size)
	}
	return nil
}

// writeManifest names all tables that are whole, on level 0, where they may overlap in any way.
//
//	"Bdgr" ‖ 0 u16 ‖ version 8 u16 ‖ length u32 ‖ CRC32C u32 ‖ change set as protobuf, numbers big-endian
func (c *check) writeManifest() error {
	var set pb.ManifestChangeSet
	for id, whole := range c.tables {
		if whole {
			set.Changes = append(set.Changes, &pb.ManifestChange{Id: id, Op: pb.ManifestChange_CREATE,
				Compression: uint32(c.opt.Compression)})
		}
	}
	changes, err := proto.Marshal(&set)
	if err != nil {
		return err
	}
	b := append([]byte("Bdgr"), 0, 0, 0, 8)
	b = binary.BigEndian.AppendUint32(b, uint32(len(changes)))
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(changes, castagnoli))
	path := filepath.Join(c.dir, badger.ManifestFilename)
	if err := os.WriteFile(path+".new", append(b, changes...), 0o600); err != nil {
		return err
	}
	if err := SyncPath(path + ".new"); err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	return SyncPath(c.dir)
}

// CheckTable verifies every checksum in an index table of an open database in dir. It returns the bytes read. Damage is
// an error that wraps damage.
func CheckTable(dir string, id uint64, damage error) (read int64, err error) {
	path := table.NewFilename(id, dir)
	info, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	c := check{dir: dir, damage: damage}
	err = guard(damage, func() {}, func() error { return c.checkTable(path, id, true, nil) })
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !Refused(err) {
		err = fmt.Errorf("%w: table %d: %w", damage, id, err)
	}
	return info.Size(), err
}

// checkTable verifies the checksum of an index table's index, and those of its blocks, within bounds that Badger takes
// for granted. Unless whole is set it reads only the blocks that Open needs, those with scanned keys and the last one.
//
//	blocks ‖ index ‖ its length u32 ‖ its checksum as protobuf ‖ length of that u32
//	block: entries ‖ offsets u32… ‖ their number u32 ‖ checksum as protobuf ‖ length of that u32
func (c *check) checkTable(path string, id uint64, whole bool, scanned []Scan) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // only read
	var from io.ReaderAt = f
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if whole {
		b, err := c.read(path)
		if err != nil {
			return err
		}
		from = bytes.NewReader(b)
	} else {
		exact(f)
	}
	size, index, sum, err := readIndex(from, info.Size())
	if err != nil {
		return err
	}
	if err := verify(index, sum); err != nil {
		return fmt.Errorf("index: %w", err)
	}
	if len(index) < 8 {
		return fmt.Errorf("index of %d bytes", len(index))
	}
	t := fb.GetRootAsTableIndex(index, 0) // its checksum is right: it is as Badger wrote it
	n := t.OffsetsLength()
	if n == 0 {
		return errors.New("no entries")
	}
	if c.last = max(c.last, t.MaxVersion()); !whole {
		c.skimmed[id] = t.MaxVersion()
	}
	var buf []byte
	for i := range n {
		var o, next fb.BlockOffset
		if !t.Offsets(&o, i) || uint64(o.Offset())+uint64(o.Len()) > uint64(size) {
			return fmt.Errorf("entry %d of the index is out of bounds", i)
		}
		var end []byte
		if i+1 < n && t.Offsets(&next, i+1) {
			end = next.KeyBytes()
		}
		if !whole && i+1 < n && !among(scanned, o.KeyBytes(), end) {
			continue
		}
		buf = slices.Grow(buf[:0], int(o.Len()))[:o.Len()]
		if _, err := from.ReadAt(buf, int64(o.Offset())); err != nil {
			return err
		}
		if err := checkBlock(buf); err != nil {
			return fmt.Errorf("block %d at byte %d: %w", i, o.Offset(), err)
		}
	}
	return nil
}

// among reports whether a block whose first key is first may hold scanned keys. The next block begins with next.
func among(scanned []Scan, first, next []byte) bool {
	for _, s := range scanned {
		begins := bytes.HasPrefix(first, s.Prefix) || bytes.Compare(first, s.Prefix) < 0
		if begins && bytes.Compare(next, s.Prefix) >= 0 {
			return true
		}
	}
	return false
}

// checkBlock verifies the checksum of a block.
func checkBlock(b []byte) error {
	data, sum, err := cutSized(b)
	if err != nil {
		return err
	}
	if err := verify(data, sum); err != nil {
		return err
	}
	if len(data) < 4 {
		return errors.New("too short")
	}
	if uint64(binary.BigEndian.Uint32(data[len(data)-4:]))*4 > uint64(len(data)-4) {
		return errors.New("offsets out of bounds")
	}
	return nil
}

// readIndex reads a table of a size without its blocks, of which it returns the size.
func readIndex(f io.ReaderAt, at int64) (blocks int64, index, sum []byte, err error) {
	last := func() ([]byte, error) {
		var size [4]byte
		if at -= int64(len(size)); at < 0 {
			return nil, errors.New("too short")
		}
		if _, err := f.ReadAt(size[:], at); err != nil {
			return nil, err
		}
		n := int64(binary.BigEndian.Uint32(size[:]))
		if n > min(at, maxTable) {
			return nil, fmt.Errorf("length %d is out of bounds", n)
		}
		b := make([]byte, n)
		at -= n
		_, err := f.ReadAt(b, at)
		return b, err
	}
	if sum, err = last(); err != nil {
		return 0, nil, nil, fmt.Errorf("checksum of the index: %w", err)
	}
	if index, err = last(); err != nil {
		return 0, nil, nil, fmt.Errorf("index: %w", err)
	}
	return at, index, sum, nil
}

// cutSized splits off the last part of b, which has its length behind it.
func cutSized(b []byte) (before, last []byte, err error) {
	n := len(b) - 4
	if n < 0 {
		return nil, nil, errors.New("too short")
	}
	size := binary.BigEndian.Uint32(b[n:])
	if uint64(size) > uint64(n) {
		return nil, nil, fmt.Errorf("length %d is out of bounds", size)
	}
	return b[:n-int(size)], b[n-int(size) : n], nil
}

func verify(data, sum []byte) error {
	var c pb.Checksum
	if err := proto.Unmarshal(sum, &c); err != nil {
		return err
	}
	if c.Algo != pb.Checksum_CRC32C {
		return fmt.Errorf("checksum of kind %d", c.Algo)
	}
	return y.VerifyChecksum(data, &c)
}
