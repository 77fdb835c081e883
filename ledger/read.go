package ledger

import (
	"errors"
	"fmt"

	"walrus/shards"
)

// ReadAccount reads the account of a; the zero Account if it was never paid.
func ReadAccount(r Reader, a Address) (Account, error) {
	return orZero(readKey[Account](r, KeyAccount(a), "account", a))
}

// ReadStorage reads a storage resource, or fails with ErrNotFound.
func ReadStorage(r Reader, id ObjectID) (Storage, error) {
	return readKey[Storage](r, KeyStorage(id), "storage resource", id)
}

// ReadBlob reads a blob's record, or fails with ErrNotFound.
func ReadBlob(r Reader, id ObjectID) (Blob, error) {
	return readKey[Blob](r, KeyBlob(id), "blob record", id)
}

// ReadBlobInfo reads the information on a blob ID; the zero BlobInfo if there is none.
func ReadBlobInfo(r Reader, id shards.BlobID) (BlobInfo, error) {
	return orZero(readKey[BlobInfo](r, KeyBlobInfo(id), "info of blob", id))
}

// ReadPot reads an epoch's pot; the zero Pot if it is empty.
func ReadPot(r Reader, epoch uint32) (Pot, error) {
	return orZero(readKey[Pot](r, KeyPot(epoch), "pot of epoch", epoch))
}

// ReadEpoch reads the current epoch, or fails with ErrNotFound if r does not read a ledger.
func ReadEpoch(r Reader) (EpochInfo, error) {
	return readKey[EpochInfo](r, KeyEpoch(), "the current", "epoch")
}

// ReadSupply reads the totals of WAL; the zero Supply if nothing was burned.
func ReadSupply(r Reader) (Supply, error) {
	return orZero(readKey[Supply](r, KeySupply(), "the", "supply"))
}

// ReadParams reads the network's parameters, or fails with ErrNotFound if r does not read a ledger.
func ReadParams(r Reader) (Params, error) {
	return readKey[Params](r, KeyParams(), "the network's", "parameters")
}

// ReadMember reads the committee's i-th member, or fails with ErrNotFound if there are not that many.
func ReadMember(r Reader, i uint16) (Member, error) {
	return readKey[Member](r, KeyMember(i), "member", i)
}

// readKey reads the value of key, or fails with ErrNotFound. what and id name it in errors.
func readKey[T any, P interface {
	*T
	formed
}](r Reader, key []byte, what string, id any) (T, error) {
	var none T
	b, err := r.Get(key)
	if err != nil {
		return none, fmt.Errorf("read %s %v: %w", what, id, err)
	}
	if b == nil {
		return none, fmt.Errorf("%s %v: %w", what, id, ErrNotFound)
	}
	v, err := read[T, P](what, b)
	if err != nil {
		return none, fmt.Errorf("read %v: %w", id, err)
	}
	return v, nil
}

// orZero replaces ErrNotFound by the zero value.
func orZero[T any](v T, err error) (T, error) {
	if errors.Is(err, ErrNotFound) {
		return v, nil
	}
	return v, err
}
