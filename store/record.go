package store

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"walrus/shards"
)

// Keys of the databases; doc.go describes them.
const (
	keyFormat      = 'f'
	keyBlob        = 'b'
	keyCertificate = 'c'
	keyState       = 'x'
	keyMetadata    = 'm'
	keySliver      = 's'
	keySegment     = 'd'
	keyTally       = 'n'
	keyMark        = 'v'
	keyUsage       = 'u'
)

const (
	crcSize = 4
	// segmentSize is the size of a segment in bytes: the greatest strip of a sliver. Each segment is one value.
	segmentSize = 512 << 10
	// maxSegmentSize bounds the segment size in a sliver record.
	maxSegmentSize = 1 << 20
	// maxSliver bounds the size of a sliver, in bytes: no blob is longer.
	maxSliver = shards.MaxLength

	idSize         = len(shards.BlobID{})
	sliverKeySize  = 1 + 2 + idSize + 1
	segmentKeySize = sliverKeySize + 8 + 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum covers the key too, to detect a value that belongs to another key.
func checksum(key, payload []byte) uint32 {
	return crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, payload)
}

// seal appends the checksum to payload, in place if there is room.
func seal(key, payload []byte) []byte {
	return binary.BigEndian.AppendUint32(payload, checksum(key, payload))
}

// unseal returns the payload of value, which it aliases.
func unseal(key, value []byte) ([]byte, error) {
	n := len(value) - crcSize
	if n < 0 {
		return nil, fmt.Errorf("%w: value of %d bytes", ErrCorrupt, len(value))
	}
	if binary.BigEndian.Uint32(value[n:]) != checksum(key, value[:n]) {
		return nil, fmt.Errorf("%w: checksum of %d bytes is wrong", ErrCorrupt, n)
	}
	return value[:n:n], nil
}

func blobKey(kind byte, id shards.BlobID) []byte { return append([]byte{kind}, id[:]...) }

func stateKey(key string) []byte { return append([]byte{keyState}, key...) }

func sliverKey(r Ref) []byte {
	k := make([]byte, 0, segmentKeySize)
	k = binary.BigEndian.AppendUint16(append(k, keySliver), uint16(r.Shard))
	return append(append(k, r.Blob[:]...), byte(r.Axis))
}

// segmentKey returns the key of one segment of one write of r.
func segmentKey(r Ref, write uint64, index uint32) []byte {
	k := sliverKey(r)
	k[0] = keySegment
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(k, write), index)
}

// parseSliverKey reads the Ref of a sliver's or a segment's key.
func parseSliverKey(k []byte) (Ref, bool) {
	if len(k) < sliverKeySize {
		return Ref{}, false
	}
	r := Ref{Shard: int(binary.BigEndian.Uint16(k[1:])), Axis: shards.Axis(k[sliverKeySize-1])}
	copy(r.Blob[:], k[3:])
	return r, r.check() == nil
}

func parseSegmentKey(k []byte) (r Ref, write uint64, ok bool) {
	if len(k) != segmentKeySize {
		return Ref{}, 0, false
	}
	r, ok = parseSliverKey(k)
	return r, binary.BigEndian.Uint64(k[sliverKeySize:]), ok
}

// sliver is a sliver's record. It exists only if all segments do.
type sliver struct {
	size    int64
	segment int    // bytes of each segment but the last
	write   uint64 // the random number of the writer
}

const sliverRecordSize = 8 + 4 + 8

func (v sliver) marshal() []byte {
	b := make([]byte, 0, sliverRecordSize+crcSize)
	b = binary.BigEndian.AppendUint64(b, uint64(v.size))
	b = binary.BigEndian.AppendUint32(b, uint32(v.segment))
	return binary.BigEndian.AppendUint64(b, v.write)
}

func unmarshalSliver(b []byte) (sliver, error) {
	if len(b) != sliverRecordSize {
		return sliver{}, fmt.Errorf("%w: record of %d bytes", ErrCorrupt, len(b))
	}
	size, segment := binary.BigEndian.Uint64(b), binary.BigEndian.Uint32(b[8:])
	if size > maxSliver || segment == 0 || segment > maxSegmentSize {
		return sliver{}, fmt.Errorf("%w: sliver of %d bytes in segments of %d", ErrCorrupt, size, segment)
	}
	return sliver{size: int64(size), segment: int(segment), write: binary.BigEndian.Uint64(b[12:])}, nil
}

// segments returns the number of segments.
func (v sliver) segments() uint32 { return uint32((v.size + int64(v.segment) - 1) / int64(v.segment)) }

// segmentLen returns the length of segment i in bytes.
func (v sliver) segmentLen(i uint32) int {
	return int(min(int64(v.segment), v.size-int64(i)*int64(v.segment)))
}
