package client

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"

	"walrus/shards"
)

// A row's cache file: a header (magic, blob ID, index u32, size u64, little endian), the row in the plain order of its
// symbols, and a checksum u32 for each block. A row is verified against the blob ID before it is written. Later reads
// only have to detect damage by the disk: CRC-32C is enough for that, and many times faster than the hashes. One
// checksum per block lets a small range be read without the rest.
const (
	cacheMagic  = "walrow1\n"
	cacheHeader = len(cacheMagic) + 32 + 4 + 8
	cacheBlock  = 64 << 10
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errRotten marks a cache file whose content has changed since it was written.
var errRotten = errors.New("the cached row is damaged")

func cacheFileHeader(id shards.BlobID, index int, size int64) []byte {
	b := append([]byte(cacheMagic), id[:]...)
	b = binary.LittleEndian.AppendUint32(b, uint32(index))
	return binary.LittleEndian.AppendUint64(b, uint64(size))
}

// cacheFileSize returns the file size for a row of size bytes.
func cacheFileSize(size int64) int64 {
	return int64(cacheHeader) + size + 4*((size+cacheBlock-1)/cacheBlock)
}

// writeCacheFile writes row index of blob id to f.
func writeCacheFile(f io.Writer, id shards.BlobID, index int, r row, size int64) error {
	if _, err := f.Write(cacheFileHeader(id, index, size)); err != nil {
		return err
	}
	sums := &blockSums{w: f}
	if _, err := r.writeTo(sums, 0, size); err != nil {
		return err
	}
	_, err := f.Write(sums.end())
	return err
}

// blockSums passes bytes on and computes a checksum for each block.
type blockSums struct {
	w    io.Writer
	n    int // bytes so far in the current block
	sum  uint32
	sums []byte
}

func (s *blockSums) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		k := min(cacheBlock-s.n, len(rest))
		s.sum = crc32.Update(s.sum, castagnoli, rest[:k])
		s.n += k
		rest = rest[k:]
		if s.n == cacheBlock {
			s.cut()
		}
	}
	return s.w.Write(p)
}

func (s *blockSums) cut() {
	s.sums = binary.LittleEndian.AppendUint32(s.sums, s.sum)
	s.n, s.sum = 0, 0
}

func (s *blockSums) end() []byte {
	if s.n > 0 {
		s.cut()
	}
	return s.sums
}

// cachedRow is a row in an open cache file. The file may have been removed from its folder meanwhile.
type cachedRow struct {
	f      *os.File
	layout shards.Layout
	sums   []byte
	drop   func(error) // takes the damaged file out of the cache
}

// openCacheFile opens a row's file. Errors wrap errRotten if its content is not what was written.
func openCacheFile(path string, id shards.BlobID, index int, layout shards.Layout,
	drop func(error)) (*cachedRow, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	size := layout.Size()
	head, sums := make([]byte, cacheHeader), make([]byte, cacheFileSize(size)-size-int64(cacheHeader))
	_, err = f.ReadAt(head, 0)
	if err == nil {
		_, err = f.ReadAt(sums, int64(cacheHeader)+size)
	}
	if err != nil || !bytes.Equal(head, cacheFileHeader(id, index, size)) {
		_ = f.Close()
		return nil, fmt.Errorf("%w: %s", errRotten, path)
	}
	return &cachedRow{f: f, layout: layout, sums: sums, drop: drop}, nil
}

// put is never called, because the row is filled.
func (c *cachedRow) put(int, []byte) error { return errors.ErrUnsupported }

// get reads the symbols' parts one by one: one block of the file for each symbol.
func (c *cachedRow) get(t int, strip []byte) error {
	width := int64(c.layout.StripWidth(t))
	for k := range int64(c.layout.Symbols) {
		off := k*c.layout.SymbolSize + int64(t)*int64(c.layout.Width)
		w := fill{p: strip[k*width : (k+1)*width]}
		if _, err := c.writeTo(&w, off, off+width); err != nil {
			return err
		}
	}
	return nil
}

// cacheChunk bounds the bytes of a file read at once.
const cacheChunk = 16 * cacheBlock

func (c *cachedRow) writeTo(w io.Writer, off, end int64) (done int64, err error) {
	size := c.layout.Size()
	first := off / cacheBlock * cacheBlock
	buf := make([]byte, min(cacheChunk, min(size, (end+cacheBlock-1)/cacheBlock*cacheBlock)-first))
	for off < end {
		start := off / cacheBlock * cacheBlock
		chunk := buf[:min(int64(len(buf)), size-start)]
		if _, err := c.f.ReadAt(chunk, int64(cacheHeader)+start); err != nil {
			return done, fmt.Errorf("%w: %w", errRotten, err)
		}
		for b := 0; b < len(chunk); b += cacheBlock {
			block := int((start + int64(b)) / cacheBlock)
			if crc32.Checksum(chunk[b:min(b+cacheBlock, len(chunk))],
				castagnoli) != binary.LittleEndian.Uint32(c.sums[4*block:]) {
				return done, fmt.Errorf("%w: block %d of %s", errRotten, block, c.f.Name())
			}
		}
		n, err := w.Write(chunk[off-start : min(int64(len(chunk)), end-start)])
		if done += int64(n); err != nil {
			return done, err
		}
		off += int64(n)
	}
	return done, nil
}

func (c *cachedRow) release() { _ = c.f.Close() }
