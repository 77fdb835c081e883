package app

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"walrus/ledger"
	"walrus/ledger/merkle"
)

// Keys in the database: a letter and fixed fields, integers big-endian.
//
//	m head                          height, time, root of the committed state, first height of the log: see head
//	m network                       network ID
//	m restoring                     present while a state is restored: everything else is then incomplete; see Trusted
//	p ‖ SHA-256 of the key          the state, in the order of the tree's paths: length u16 ‖ key ‖ value
//	t ‖ place                       page of the tree: see merkle.Place
//	s ‖ key                         the state as versions before kept it
//	o ‖ owner ‖ object ID           kind of the owned object: the letter of its key in the state
//	f ‖ receiver ‖ object ID        O: the object is offered to the receiver
//	q ‖ end u32 ‖ object ID         kind of the object that ends: the letter of its key in the state
//	n ‖ height ‖ 0 u32              the log: time and events of the block
//	n ‖ height ‖ 1 + index u32      the log: sender and receipt of a transaction
//	x ‖ transaction ID              height u64 ‖ index u32
//	h ‖ account ‖ height ‖ index    empty: the transaction concerns the account; the zero account stands for all
//	g ‖ kind ‖ ID ‖ height ‖ index  empty: the transaction concerns the blob (kind 2) or the object (kind 3)
//	k ‖ unit u8                     progress of a restoration: the next path, empty when the unit is complete
var (
	keyHead      = []byte("mhead")
	keyNetwork   = []byte("mnetwork")
	keyRestoring = []byte("mrestoring")
	stateKeys    = []byte{'p'}
	stateEnd     = []byte{'p' + 1}
	pageKeys     = []byte{'t'}
	pageEnd      = []byte{'t' + 1}
	oldStateKeys = []byte{'s'}
	oldStateEnd  = []byte{'s' + 1}
	unitKeys     = []byte{'k'}
	unitEnd      = []byte{'k' + 1}

	letterStorage = ledger.KeyStorage(ledger.ObjectID{})[0]
	letterBlob    = ledger.KeyBlob(ledger.ObjectID{})[0]
	letterOffer   = ledger.KeyOffer(ledger.ObjectID{})[0]
)

func stateKey(key []byte) []byte { return pathKey(sha256.Sum256(key)) }

// endKey returns the beginning of the keys of all objects that end at the start of an epoch.
func endKey(end uint32) []byte { return binary.BigEndian.AppendUint32([]byte{'q'}, end) }

func pathKey(path merkle.Hash) []byte { return append([]byte{'p'}, path[:]...) }

func pageKey(at merkle.Place) []byte { return append([]byte{'t'}, at.Bytes()...) }

// record returns the database's value of a pair of the state.
func record(key, value []byte) []byte {
	b := make([]byte, 0, 2+len(key)+len(value))
	return append(append(binary.BigEndian.AppendUint16(b, uint16(len(key))), key...), value...)
}

// parseRecord is the inverse of record. It checks that the key belongs to the database's.
func parseRecord(at, record []byte) (key, value []byte, err error) {
	key, value, ok := cutRecord(record)
	if !ok || !bytes.Equal(stateKey(key), at) {
		return nil, nil, errRecordAt(at)
	}
	return key, value, nil
}

// cutRecord splits a record, whose memory key and value share.
func cutRecord(record []byte) (key, value []byte, ok bool) {
	if len(record) < 2 || len(record)-2 < int(binary.BigEndian.Uint16(record)) {
		return nil, nil, false
	}
	n := 2 + int(binary.BigEndian.Uint16(record))
	return record[2:n:n], record[n:len(record):len(record)], true
}

func errRecordAt(at []byte) error {
	return fmt.Errorf("%w: the record at %x does not have the key that belongs there%s", ErrMismatch, at, advice)
}

// Letters of the indexes by account.
const (
	listObjects = 'o' // that it owns
	listOffers  = 'f' // to it
)

func listKey(list byte, a ledger.Address) []byte { return append([]byte{list}, a[:]...) }

func txKey(id ledger.TxID) []byte { return append([]byte{'x'}, id[:]...) }

// logKey returns the log's key of a block, at index 0, or of the transaction at index-1 in it.
func logKey(height uint64, index uint32) []byte { return position([]byte{'n'}, height, index) }

// historyOf returns what the keys of a subject's history begin with.
func historyOf(s ledger.Subject) []byte {
	if s.Kind == ledger.SubjectAccount {
		return append([]byte{'h'}, s.ID[:]...)
	}
	return append([]byte{'g', byte(s.Kind)}, s.ID[:]...)
}

func historyKey(s ledger.Subject, p Position) []byte {
	return position(historyOf(s), p.Height, p.Index)
}

func unitKey(unit byte) []byte { return []byte{'k', unit} }

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
//	2 u8 ‖ height u64 ‖ time i64 ‖ root ‖ kept u64 ‖ keys u64, big-endian
//
// Version 1 has no keys, and belongs to a state under oldStateKeys, without pages.
type head struct {
	height uint64
	time   int64
	root   merkle.Hash
	kept   uint64 // first height whose log is complete
	keys   uint64 // of the state
	old    bool   // version 1
}

const (
	headVersion = 2
	oldHeadSize = 1 + 8 + 8 + len(merkle.Hash{}) + 8
	headSize    = oldHeadSize + 8
)

func (h head) marshal() []byte {
	b := make([]byte, 0, headSize)
	b = append(b, headVersion)
	b = binary.BigEndian.AppendUint64(b, h.height)
	b = binary.BigEndian.AppendUint64(b, uint64(h.time))
	b = append(b, h.root[:]...)
	b = binary.BigEndian.AppendUint64(b, h.kept)
	return binary.BigEndian.AppendUint64(b, h.keys)
}

func unmarshalHead(b []byte) (h head, err error) {
	switch {
	case len(b) == headSize && b[0] == headVersion:
		h.keys = binary.BigEndian.Uint64(b[oldHeadSize:])
	case len(b) == oldHeadSize && b[0] == 1:
		h.old = true
	default:
		return h, errors.New("the record of its root is missing or has another version")
	}
	h.height = binary.BigEndian.Uint64(b[1:])
	h.time = int64(binary.BigEndian.Uint64(b[9:]))
	copy(h.root[:], b[17:])
	h.kept = binary.BigEndian.Uint64(b[oldHeadSize-8:])
	return h, nil
}
