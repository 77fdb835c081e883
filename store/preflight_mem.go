package store

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"os"
	"path/filepath"

	"github.com/dgraph-io/badger/v4/skl"
)

// checkMem cuts a memtable's write-ahead log behind its last good entry, as Badger would, but without believing
// the lengths that it says, and makes sure that the memtable is large enough for what is in it: Badger ends the
// process if it is not, as after a change of the configuration.
func (p *preflight) checkMem(path string) error {
	b, err := readBounded(path)
	if err != nil {
		return err
	}
	if len(b) <= logHeader { // Badger stumbles over an empty one, and there is nothing in it
		return os.Remove(path)
	}
	if err := p.checkHeader(path); err != nil {
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
	p.opt.MemTableSize = max(p.opt.MemTableSize, need)
	if end == len(b) {
		return nil
	}
	if len(bytes.Trim(b[end:], "\x00")) > 0 {
		p.note("%s was cut at byte %d of %d, where an entry is damaged", filepath.Base(path), end, len(b))
	}
	return os.Truncate(path, int64(end))
}

// memEntry reads an entry of a write-ahead log: its length, 0 if there is no good one, and what it takes in a
// memtable.
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
	if klen == 0 || klen > 1<<16 || vlen > maxTable || klen+vlen+crcSize > uint64(len(b)-at) {
		return 0, 0
	}
	at += int(klen + vlen)
	if binary.BigEndian.Uint32(b[at:]) != crc32.Checksum(b[:at], castagnoli) {
		return 0, 0
	}
	overhead := 2 + binary.MaxVarintLen64 + skl.MaxNodeSize + 8 // value header, node, alignment
	return at + crcSize, int64(klen+vlen) + int64(overhead)
}
