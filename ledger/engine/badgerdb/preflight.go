package badgerdb

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/fb"
	"github.com/dgraph-io/badger/v4/pb"
	"github.com/dgraph-io/badger/v4/skl"
	"github.com/dgraph-io/badger/v4/table"
	"github.com/dgraph-io/badger/v4/y"
	"google.golang.org/protobuf/proto"
)

const (
	// maxFile bounds the files that are read whole, in bytes; Badger's have some MiB.
	maxFile = 1 << 30
	// logHeader is the size in bytes of what a log begins with: the number of an encryption key, which is 0, and 12 bytes
	// for encryption.
	logHeader = 8 + 12
)

// preflight looks at the files of a closed database before Badger sees them: on some damage Badger ends the process, and
// a damaged table it leaves out without a word. It adapts opt to what it finds. Errors wrap ErrCorrupt or ErrLocked.
func preflight(opt *badger.Options) error {
	unlock, err := lockDir(opt.Dir)
	if err != nil {
		return err
	}
	defer unlock()
	files, err := os.ReadDir(opt.Dir)
	if err != nil {
		return err
	}
	tables := 0
	for _, f := range files {
		path := filepath.Join(opt.Dir, f.Name())
		switch filepath.Ext(f.Name()) {
		case ".mem":
			err = checkMemtable(opt, path)
		case ".vlog":
			err = checkHeader(path)
		case ".sst":
			tables++
		default:
			err = removeSpare(f.Name(), path)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", f.Name(), err)
		}
	}
	return checkTables(opt, tables)
}

// removeSpare removes a file that says nothing: without encryption the key registry is empty, and the discard statistics
// are made anew.
func removeSpare(name, path string) error {
	switch name {
	case "DISCARD", "KEYREGISTRY", "REWRITE-KEYREGISTRY", "MANIFEST-REWRITE":
		return os.RemoveAll(path)
	}
	return nil
}

// checkHeader makes sure that a log begins as it should.
func checkHeader(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // only read
	var head [logHeader]byte
	if _, err := io.ReadFull(f, head[:]); err != nil {
		return fmt.Errorf("%w: too short", ErrCorrupt)
	}
	if binary.BigEndian.Uint64(head[:]) != 0 {
		return fmt.Errorf("%w: wrong header", ErrCorrupt)
	}
	return nil
}

// checkMemtable cuts a memtable's write-ahead log behind its last good entry, where a loss of power may leave anything,
// and makes sure that the memtable is large enough for what is in it, or Badger ends the process.
func checkMemtable(opt *badger.Options, path string) error {
	b, err := readFile(path)
	if err != nil {
		return err
	}
	if len(b) <= logHeader { // made but never written
		return os.Remove(path)
	}
	if binary.BigEndian.Uint64(b) != 0 {
		return fmt.Errorf("%w: wrong header", ErrCorrupt)
	}
	end, need := logHeader, int64(0)
	for {
		n, size := logEntry(b[end:])
		if n == 0 {
			break
		}
		end += n
		need += size
	}
	opt.MemTableSize = max(opt.MemTableSize, need)
	if end == len(b) {
		return nil
	}
	return os.Truncate(path, int64(end))
}

// logEntry measures the entry at the beginning of b: its length, 0 if there is no good one, and its size in a memtable.
//
//	meta u8 ‖ user meta u8 ‖ key length ‖ value length ‖ expiry, as varints ‖ key ‖ value ‖ CRC32C u32 big-endian
func logEntry(b []byte) (n int, size int64) {
	at := 2
	var lengths [3]uint64
	for i := range lengths {
		if at > len(b) {
			return 0, 0
		}
		v, k := binary.Uvarint(b[at:])
		if k <= 0 {
			return 0, 0
		}
		lengths[i] = v
		at += k
	}
	key, value := lengths[0], lengths[1]
	if key == 0 || key > 1<<16 || value > maxFile || key+value+crc32.Size > uint64(len(b)-at) {
		return 0, 0
	}
	at += int(key + value)
	if binary.BigEndian.Uint32(b[at:]) != crc32.Checksum(b[:at], crc32.MakeTable(crc32.Castagnoli)) {
		return 0, 0
	}
	overhead := 2 + binary.MaxVarintLen64 + skl.MaxNodeSize + 8 // header of the value, node, alignment
	return at + crc32.Size, int64(key+value) + int64(overhead)
}

// checkTables verifies the tables that the manifest names, of which there may be count files.
func checkTables(opt *badger.Options, count int) error {
	f, err := os.Open(filepath.Join(opt.Dir, badger.ManifestFilename))
	if errors.Is(err, fs.ErrNotExist) && count == 0 {
		return nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %s is missing", ErrCorrupt, badger.ManifestFilename)
	}
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // only read
	manifest, end, err := badger.ReplayManifestFile(f, 0, *opt)
	if err == nil {
		err = checkEntries(f, end)
	}
	if err != nil {
		return fmt.Errorf("%w: %s: %v", ErrCorrupt, badger.ManifestFilename, err)
	}
	for id, t := range manifest.Tables {
		if int(t.Level) >= opt.MaxLevels || t.KeyID != 0 || t.Compression != opt.Compression {
			return fmt.Errorf("%w: %s: level %d, key %d, compression %d of table %d", ErrCorrupt, badger.ManifestFilename,
				t.Level, t.KeyID, t.Compression, id)
		}
		name := table.NewFilename(id, opt.Dir)
		if err := checkTable(name); err != nil {
			return fmt.Errorf("%w: %s: %v", ErrCorrupt, filepath.Base(name), err)
		}
	}
	return nil
}

// checkEntries makes sure that the manifest's entries go on to its end, or Badger would forget tables without a word.
// Zeros make an empty entry with a good checksum, of which Badger writes one at most, the first.
//
//	8 bytes ‖ entries: length u32 ‖ CRC32C u32 ‖ that many bytes, big-endian
func checkEntries(f *os.File, end int64) error {
	const first = 8
	if size, err := f.Seek(0, io.SeekEnd); err != nil || size != end {
		return errors.Join(fmt.Errorf("it ends within an entry at byte %d", end), err)
	}
	var head [8]byte
	for at := int64(first); at < end; {
		if _, err := f.ReadAt(head[:], at); err != nil {
			return err
		}
		size := int64(binary.BigEndian.Uint32(head[:]))
		if size == 0 && at > first {
			return fmt.Errorf("empty entry at byte %d", at)
		}
		at += int64(len(head)) + size
	}
	return nil
}

// checkTable verifies every checksum of a table:
//
//	parts ‖ index ‖ its length u32 ‖ its checksum as protobuf ‖ length of that u32
//	part: entries ‖ offsets u32 … ‖ their number u32 ‖ checksum as protobuf ‖ length of that u32
func checkTable(path string) error {
	b, err := readFile(path)
	if err != nil {
		return err
	}
	rest, sum, ok := cutLast(b)
	parts, index, ok2 := cutLast(rest)
	if !ok || !ok2 || !sums(index, sum) || len(index) < 8 {
		return errors.New("the index is damaged")
	}
	t := fb.GetRootAsTableIndex(index, 0) // its checksum is right: it is as Badger wrote it
	if t.OffsetsLength() == 0 {
		return errors.New("the index is empty")
	}
	for i := range t.OffsetsLength() {
		var o fb.BlockOffset
		if !t.Offsets(&o, i) || uint64(o.Offset())+uint64(o.Len()) > uint64(len(parts)) {
			return fmt.Errorf("part %d is out of bounds", i)
		}
		data, sum, ok := cutLast(parts[o.Offset():][:o.Len()])
		if !ok || !sums(data, sum) {
			return fmt.Errorf("part %d at byte %d is damaged", i, o.Offset())
		}
	}
	return nil
}

// cutLast splits b into what is in front and what is last, which has its length behind it.
func cutLast(b []byte) (front, last []byte, ok bool) {
	n := len(b) - 4
	if n < 0 || uint64(binary.BigEndian.Uint32(b[n:])) > uint64(n) {
		return nil, nil, false
	}
	size := int(binary.BigEndian.Uint32(b[n:]))
	return b[:n-size], b[n-size : n], true
}

func sums(data, sum []byte) bool {
	var c pb.Checksum
	return proto.Unmarshal(sum, &c) == nil && c.Algo == pb.Checksum_CRC32C && y.VerifyChecksum(data, &c) == nil
}

// readFile reads a file of at most maxFile bytes.
func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxFile || !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: %d bytes", ErrCorrupt, info.Size())
	}
	return os.ReadFile(path)
}
