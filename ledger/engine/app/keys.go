package app

import (
	"encoding/binary"
	"errors"

	"walrus/ledger"
	"walrus/ledger/merkle"
)

// Keys in the database: a letter and fixed fields, integers big-endian.
//
//	m head                          height, time, root of the committed state, first height of the log: see head
//	m network                       network ID
//	m restoring                     present while a snapshot is restored: everything else is then incomplete
//	s ‖ key                         the state
//	o ‖ owner ‖ object ID           kind of the owned object: the letter of its key in the state
//	f ‖ receiver ‖ object ID        O: the object is offered to the receiver
//	n ‖ height ‖ 0 u32              the log: time and events of the block
//	n ‖ height ‖ 1 + index u32      the log: sender and receipt of a transaction
//	x ‖ transaction ID              height u64 ‖ index u32
//	h ‖ account ‖ height ‖ index    empty: the transaction concerns the account; the zero account stands for all
//	k ‖ height ‖ part u32           part of a snapshot
//	k ‖ height ‖ 2³²−1              header of a snapshot, written last
var (
	keyHead      = []byte("mhead")
	keyNetwork   = []byte("mnetwork")
	keyRestoring = []byte("mrestoring")
	stateEnd     = []byte{'s' + 1}
	snapshotKeys = []byte{'k'}
	snapshotEnd  = []byte{'k' + 1}

	letterStorage = ledger.KeyStorage(ledger.ObjectID{})[0]
	letterBlob    = ledger.KeyBlob(ledger.ObjectID{})[0]
	letterOffer   = ledger.KeyOffer(ledger.ObjectID{})[0]
)

func stateKey(key []byte) []byte { return append([]byte{'s'}, key...) }

// Letters of the indexes by account.
const (
	listObjects = 'o' // that it owns
	listOffers  = 'f' // to it
)

func listKey(list byte, a ledger.Address) []byte { return append([]byte{list}, a[:]...) }

func txKey(id ledger.TxID) []byte { return append([]byte{'x'}, id[:]...) }

// logKey returns the log's key of a block, at index 0, or of the transaction at index-1 in it.
func logKey(height uint64, index uint32) []byte { return position([]byte{'n'}, height, index) }

func historyKey(a ledger.Address, p Position) []byte {
	return position(append([]byte{'h'}, a[:]...), p.Height, p.Index)
}

// snapshotHeader is the part number that stands for a snapshot's header.
const snapshotHeader = 1<<32 - 1

func snapshotKey(height uint64, part uint32) []byte { return position([]byte{'k'}, height, part) }

func position(b []byte, height uint64, index uint32) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(b, height), index)
}

// parsePosition reads the position at the end of a key.
func parsePosition(b []byte) (p Position, ok bool) {
	if len(b) < 12 {
		return p, false
	}
	b = b[len(b)-12:]
	return Position{binary.BigEndian.Uint64(b), binary.BigEndian.Uint32(b[8:])}, true
}

// Position is a place in the chain.
type Position struct {
	Height uint64
	Index  uint32 // of the transaction in its block
}

// head describes the last commit.
//
//	1 u8 ‖ height u64 ‖ time i64 ‖ root ‖ kept u64, big-endian
type head struct {
	height uint64
	time   int64
	root   merkle.Hash
	kept   uint64 // first height whose log is complete
}

const (
	headVersion = 1
	headSize    = 1 + 8 + 8 + len(merkle.Hash{}) + 8
)

func (h head) marshal() []byte {
	b := make([]byte, 0, headSize)
	b = append(b, headVersion)
	b = binary.BigEndian.AppendUint64(b, h.height)
	b = binary.BigEndian.AppendUint64(b, uint64(h.time))
	b = append(b, h.root[:]...)
	return binary.BigEndian.AppendUint64(b, h.kept)
}

func unmarshalHead(b []byte) (h head, err error) {
	if len(b) != headSize || b[0] != headVersion {
		return h, errors.New("the record of its root is missing or has another version")
	}
	h.height = binary.BigEndian.Uint64(b[1:])
	h.time = int64(binary.BigEndian.Uint64(b[9:]))
	copy(h.root[:], b[17:])
	h.kept = binary.BigEndian.Uint64(b[headSize-8:])
	return h, nil
}
