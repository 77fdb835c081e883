package badgerdisk

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"

	"github.com/dgraph-io/badger/v4/skl"
)

// logHeader: the size in bytes of the header of a write-ahead log or value log. It has the number of an encryption key,
// which is 0 here, and 12 random bytes that matter to encryption only.
const logHeader = 8 + 12

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checkHeader makes sure that a log has a header that Badger accepts.
func (c *check) checkHeader(path string) error {
	flags := os.O_RDWR
	if c.mode == Refuse {
		flags = os.O_RDONLY
	}
	f, err := os.OpenFile(path, flags, 0)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // where an error is returned already
	exact(f)                         // this page is also what Badger reads first
	var head [logHeader]byte
	n, err := f.ReadAt(head[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if n == logHeader && binary.BigEndian.Uint64(head[:]) == 0 {
		return nil
	}
	if c.mode == Refuse {
		return fmt.Errorf("%s: %w: wrong header of %d bytes", filepath.Base(path), c.damage, n)
	}
	c.note("%s: header of %d bytes was replaced", filepath.Base(path), n)
	clear(head[:8])
	if _, err := f.WriteAt(head[:], 0); err != nil {
		return err
	}
	return f.Close()
}

// checkValueLogs checks the headers. Unless the mode is Refuse it also adds an empty file behind the last one: Badger
// cuts the last value log at the first damaged entry, and the entries behind that one would be lost.
//
// Badger makes a new value log whenever it opens a database. A process killed just then leaves it empty: it is removed.
func (c *check) checkValueLogs() error {
	last := uint64(0)
	for id := range c.vlogs {
		last = max(last, id)
	}
	if path := filepath.Join(c.dir, c.vlogs[last]); c.mode == Refuse && len(c.vlogs) > 0 {
		info, err := os.Stat(path)
		if err == nil && info.Size() == 0 {
			delete(c.vlogs, last)
			last = 0
			for id := range c.vlogs {
				last = max(last, id)
			}
			err = os.Remove(path)
		}
		if err != nil {
			return err
		}
	}
	for id, name := range c.vlogs {
		path := filepath.Join(c.dir, name)
		if err := c.checkHeader(path); err != nil {
			return err
		}
		if err := c.removeUnused(path, id == last); err != nil {
			return err
		}
	}
	if len(c.vlogs) == 0 || c.mode == Refuse {
		return nil
	}
	info, err := os.Stat(filepath.Join(c.dir, c.vlogs[last]))
	if err != nil || info.Size() == logHeader {
		return err
	}
	path := filepath.Join(c.dir, fmt.Sprintf("%06d.vlog", last+1))
	return os.WriteFile(path, make([]byte, logHeader), 0o600)
}

// removeUnused removes a value log that has nothing behind its header, unless it is the last one. Badger would do so by
// cutting it to nothing first: killed then, it would leave what looks like a log that has lost everything.
func (c *check) removeUnused(path string, last bool) error {
	if last {
		return nil
	}
	info, err := os.Stat(path)
	if err != nil || info.Size() != logHeader {
		return err
	}
	return os.Remove(path)
}

// checkMem cuts a memtable's write-ahead log behind its last good entry, as Badger would, but without trusting the
// lengths in it. It also makes sure that the memtable has room for all entries: Badger ends the process if it has not,
// as after a change of the configuration.
func (c *check) checkMem(path string) error {
	b, err := c.read(path)
	if err != nil {
		return err
	}
	if len(b) <= logHeader { // made but never written; Badger stumbles over an empty one
		return os.Remove(path)
	}
	if err := c.checkHeader(path); err != nil {
		return err
	}
	end, need := logHeader, int64(0)
	for {
		n, size := memEntry(b[end:])
		if n == 0 {
			break
		}
		end += n
		need += size
	}
	c.opt.MemTableSize = max(c.opt.MemTableSize, need)
	if end == len(b) {
		return nil
	}
	if len(bytes.Trim(b[end:], "\x00")) > 0 {
		c.note("%s was cut at byte %d of %d, where an entry is damaged", filepath.Base(path), end, len(b))
	}
	return os.Truncate(path, int64(end))
}

// memEntry measures the entry at the beginning of b: its length, 0 if there is no good one, and its size in a memtable.
//
//	meta u8 ‖ user meta u8 ‖ key length ‖ value length ‖ expiry, as varints ‖ key ‖ value ‖ CRC32C u32
func memEntry(b []byte) (n int, size int64) {
	if len(b) < 2 {
		return 0, 0
	}
	at := 2
	var v [3]uint64
	for i := range v {
		x, k := binary.Uvarint(b[at:])
		if k <= 0 {
			return 0, 0
		}
		v[i] = x
		at += k
	}
	klen, vlen := v[0], v[1]
	if klen == 0 || klen > 1<<16 || vlen > maxTable || klen+vlen+crc32.Size > uint64(len(b)-at) {
		return 0, 0
	}
	at += int(klen + vlen)
	if binary.BigEndian.Uint32(b[at:]) != crc32.Checksum(b[:at], castagnoli) {
		return 0, 0
	}
	overhead := 2 + binary.MaxVarintLen64 + skl.MaxNodeSize + 8 // value header, node, alignment
	return at + crc32.Size, int64(klen+vlen) + int64(overhead)
}
