package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
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
func (p *preflight) checkTables() error {
	named, err := p.manifest()
	if errors.Is(err, fs.ErrNotExist) && len(p.tables)+len(p.mems)+len(p.vlogs) == 0 {
		return nil // a new database
	}
	if err != nil && !p.salvage {
		return fmt.Errorf("%w: manifest: %w", ErrCorrupt, err)
	}
	// Badger deletes tables that it finds unnamed. After a crash they are what it was about to name, or what it had
	// just merged; after damage they are what is left.
	rebuild := err != nil
	for id := range p.tables {
		if !p.salvage || slices.Contains(named, id) {
			continue
		}
		// Badger deletes tables that it finds unnamed. After a crash they are what it was about to name, perhaps
		// not whole, or what it had merged; after damage they are what is left.
		if err != nil || checkTable(table.NewFilename(id, p.dir)) == nil {
			named, rebuild = append(named, id), true
		}
	}
	if err != nil {
		p.note("manifest was rebuilt: %v", err)
	}
	for _, id := range named {
		err := errors.New("missing")
		path := table.NewFilename(id, p.dir)
		if _, ok := p.tables[id]; ok {
			err = checkTable(path)
		}
		if err == nil {
			p.tables[id] = true
			continue
		}
		if !p.salvage {
			return fmt.Errorf("%w: table %d: %w", ErrCorrupt, id, err)
		}
		p.note("index table %d was left out: %v", id, err)
		rebuild = true
		if err := os.Rename(path, path+".corrupt"); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if rebuild {
		return p.writeManifest()
	}
	return nil
}

// manifest returns the tables that the manifest names. The replay is Badger's.
func (p *preflight) manifest() ([]uint64, error) {
	f, err := os.Open(filepath.Join(p.dir, badger.ManifestFilename))
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	m, end, err := badger.ReplayManifestFile(f, 0, *p.opt)
	if err == nil {
		err = checkEntries(f, end)
	}
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err != nil {
		return nil, err
	} else if info.Size() != end {
		// A crash while Badger appended looks like this, and so does damage; then tables would be lost.
		if p.salvage {
			return nil, fmt.Errorf("ends within an entry at byte %d", end)
		}
		p.note("manifest ended within an entry at byte %d", end)
	}
	for id, t := range m.Tables {
		if int(t.Level) >= p.opt.MaxLevels || t.KeyID != 0 || t.Compression != p.opt.Compression {
			return nil, fmt.Errorf("table %d: level %d, key %d, compression %d", id, t.Level, t.KeyID, t.Compression)
		}
	}
	return slices.Collect(maps.Keys(m.Tables)), nil
}

// checkEntries looks for empty entries: zeros are one with a good checksum, but Badger writes one at most, the first.
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
func (p *preflight) writeManifest() error {
	var set pb.ManifestChangeSet
	for id, whole := range p.tables {
		if whole {
			set.Changes = append(set.Changes, &pb.ManifestChange{Id: id, Op: pb.ManifestChange_CREATE,
				Compression: uint32(p.opt.Compression)})
		}
	}
	changes, err := proto.Marshal(&set)
	if err != nil {
		return err
	}
	b := append([]byte("Bdgr"), 0, 0, 0, 8)
	b = binary.BigEndian.AppendUint32(b, uint32(len(changes)))
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(changes, castagnoli))
	path := filepath.Join(p.dir, badger.ManifestFilename)
	if err := os.WriteFile(path+".new", append(b, changes...), 0o600); err != nil {
		return err
	}
	if err := syncPath(path + ".new"); err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	return syncPath(p.dir)
}

// checkTable verifies every checksum in an index table, within bounds that Badger takes for granted:
//
//	blocks ‖ index ‖ its length u32 ‖ its checksum as protobuf ‖ length of that u32
//	block: entries ‖ offsets u32… ‖ their number u32 ‖ checksum as protobuf ‖ length of that u32
func checkTable(path string) error {
	b, err := readBounded(path)
	if err != nil {
		return err
	}
	rest, sum, err := cutSized(b)
	if err != nil {
		return fmt.Errorf("checksum of the index: %w", err)
	}
	blocks, index, err := cutSized(rest)
	if err != nil {
		return fmt.Errorf("index: %w", err)
	}
	if err := verify(index, sum); err != nil {
		return fmt.Errorf("index: %w", err)
	}
	if len(index) < 8 {
		return fmt.Errorf("index of %d bytes", len(index))
	}
	t := fb.GetRootAsTableIndex(index, 0) // its checksum is right: what is in there is what Badger wrote
	if t.OffsetsLength() == 0 {
		return errors.New("no entries")
	}
	for i := range t.OffsetsLength() {
		var o fb.BlockOffset
		if !t.Offsets(&o, i) || uint64(o.Offset())+uint64(o.Len()) > uint64(len(blocks)) {
			return fmt.Errorf("entry %d of the index is out of bounds", i)
		}
		data, sum, err := cutSized(blocks[o.Offset():][:o.Len()])
		if err == nil {
			err = verify(data, sum)
		}
		if err == nil && len(data) < 4 {
			err = errors.New("too short")
		}
		if err == nil && uint64(binary.BigEndian.Uint32(data[len(data)-4:]))*4 > uint64(len(data)-4) {
			err = errors.New("offsets out of bounds")
		}
		if err != nil {
			return fmt.Errorf("part %d at byte %d: %w", i, o.Offset(), err)
		}
	}
	return nil
}

// cutSized splits b into what is before and what is in a last part that is followed by its length.
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
