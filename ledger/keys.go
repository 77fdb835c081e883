package ledger

import (
	"encoding/binary"

	"walrus/shards"
)

// Reader reads the ledger's state. An absent key has a nil value.
type Reader interface {
	Get(key []byte) (value []byte, err error)
}

// Keys of the state: a letter and fixed fields, integers big-endian.

// KeyParams is the key of Params.
func KeyParams() []byte { return []byte{'p'} }

// KeyEpoch is the key of EpochInfo.
func KeyEpoch() []byte { return []byte{'e'} }

// KeySupply is the key of Supply.
func KeySupply() []byte { return []byte{'v'} }

// KeyPot is the key of an epoch's Pot.
func KeyPot(epoch uint32) []byte { return binary.BigEndian.AppendUint32([]byte{'r'}, epoch) }

// KeyAccount is the key of an Account.
func KeyAccount(a Address) []byte { return append([]byte{'a'}, a[:]...) }

// KeyStorage is the key of a Storage.
func KeyStorage(id ObjectID) []byte { return append([]byte{'S'}, id[:]...) }

// KeyBlob is the key of a Blob.
func KeyBlob(id ObjectID) []byte { return append([]byte{'B'}, id[:]...) }

// KeyOffer is the key of the Offer of an object.
func KeyOffer(id ObjectID) []byte { return append([]byte{'O'}, id[:]...) }

// KeyBlobInfo is the key of a BlobInfo.
func KeyBlobInfo(id shards.BlobID) []byte { return append([]byte{'b'}, id[:]...) }

// KeyInvalidBlob is the key of an InvalidBlob.
func KeyInvalidBlob(id shards.BlobID) []byte { return append([]byte{'i'}, id[:]...) }

// KeyBonds is the key of Bonds.
func KeyBonds() []byte { return []byte{'o'} }

// KeyMember is the key of the committee's i-th Member, from 0; the first absent one ends the committee.
func KeyMember(i uint16) []byte { return binary.BigEndian.AppendUint16([]byte{'m'}, i) }
