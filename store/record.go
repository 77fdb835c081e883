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
	keyExtent      = 'd'
	keyTally       = 'n'
	keyMark        = 'v'
	keyUsage       = 'u'
	keyPlace       = 'p'
	keyAccount     = 'a'
	keyListed      = 'i'
	keyNext        = 'h'
	keyEnded       = 'e'
	keyForgot      = 'k'
)

const (
	crcSize = 4
	// extentSize is the size of an extent in bytes: the greatest strip of a sliver. Each extent is one value.
	extentSize = 512 << 10
	// maxExtentSize bounds the extent size in a sliver record.
	maxExtentSize = 1 << 20
	// maxSliver bounds the size of a sliver, in bytes: no blob is longer.
	maxSliver = shards.MaxLength

	idSize        = len(shards.BlobID{})
	sliverKeySize = 1 + 2 + idSize + 1
	lifeSize      = 4
	extentKeySize = sliverKeySize + 8 + 4
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

// keyBlobID returns the blob of the key of metadata, a sliver, or a record in meta.
func keyBlobID(k []byte) (id shards.BlobID, ok bool) {
	if len(k) == 1+idSize || len(k) == 1+idSize+lifeSize && k[0] == keyMetadata {
		return shards.BlobID(k[1 : 1+idSize]), true
	}
	r, ok := parseSliverKey(k)
	return r.Blob, ok && k[0] == keySliver
}

// metadataKey returns the key of a blob's metadata. That of life 0 is as formats before 4 had it.
func metadataKey(id shards.BlobID, of life) []byte {
	k := blobKey(keyMetadata, id)
	if of == 0 {
		return k
	}
	return binary.BigEndian.AppendUint32(k, uint32(of))
}

// metadataLife returns the life in the key of metadata.
func metadataLife(k []byte) life {
	if len(k) < 1+idSize+lifeSize {
		return 0
	}
	return life(binary.BigEndian.Uint32(k[1+idSize:]))
}

func stateKey(key string) []byte { return append([]byte{keyState}, key...) }

func sliverKey(r Ref) []byte {
	k := make([]byte, 0, extentKeySize)
	k = binary.BigEndian.AppendUint16(append(k, keySliver), uint16(r.Shard))
	return append(append(k, r.Blob[:]...), byte(r.Axis))
}

// extentKey returns the key of one extent of one write of r.
func extentKey(r Ref, write uint64, index uint32) []byte {
	k := sliverKey(r)
	k[0] = keyExtent
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(k, write), index)
}

// parseSliverKey reads the Ref of a sliver's or an extent's key.
func parseSliverKey(k []byte) (Ref, bool) {
	if len(k) < sliverKeySize {
		return Ref{}, false
	}
	r := Ref{Shard: int(binary.BigEndian.Uint16(k[1:])), Axis: shards.Axis(k[sliverKeySize-1])}
	copy(r.Blob[:], k[3:])
	return r, r.check() == nil
}

// sliver is a sliver's record. It exists only if all extents do.
type sliver struct {
	size   int64
	extent int    // bytes of each extent but the last
	write  uint64 // the blob's life, and 32 random bits of the writer
}

// life returns the life of the blob in which the sliver was written.
func (v sliver) life() life { return life(v.write >> 32) }

const sliverRecordSize = 8 + 4 + 8

func (v sliver) marshal() []byte {
	b := make([]byte, 0, sliverRecordSize+crcSize)
	b = binary.BigEndian.AppendUint64(b, uint64(v.size))
	b = binary.BigEndian.AppendUint32(b, uint32(v.extent))
	return binary.BigEndian.AppendUint64(b, v.write)
}

func unmarshalSliver(b []byte) (sliver, error) {
	if len(b) != sliverRecordSize {
		return sliver{}, fmt.Errorf("%w: record of %d bytes", ErrCorrupt, len(b))
	}
	size, extent := binary.BigEndian.Uint64(b), binary.BigEndian.Uint32(b[8:])
	if size > maxSliver || extent == 0 || extent > maxExtentSize {
		return sliver{}, fmt.Errorf("%w: sliver of %d bytes in extents of %d", ErrCorrupt, size, extent)
	}
	return sliver{size: int64(size), extent: int(extent), write: binary.BigEndian.Uint64(b[12:])}, nil
}

// extents returns the number of extents.
func (v sliver) extents() uint32 { return uint32((v.size + int64(v.extent) - 1) / int64(v.extent)) }

// extentLen returns the length of extent i in bytes.
func (v sliver) extentLen(i uint32) int {
	return int(min(int64(v.extent), v.size-int64(i)*int64(v.extent)))
}
