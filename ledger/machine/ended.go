package machine

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"

	"walrus/ledger"
	"walrus/shards"
)

const (
	// maxEndedPerBlock bounds the objects that a block removes because they have ended. Later blocks remove the rest.
	// One takes some 120 µs, commit included, on two busy cores.
	maxEndedPerBlock = 500
	// maxEndedBytes: a block removes no further object once it has removed this many bytes of values. Most records have
	// 148 bytes, but one with all attributes 16 KiB.
	maxEndedBytes = 1 << 20
)

// Ends is the index of a state's storage resources and records by their end. It follows from the state.
type Ends interface {
	// Ended lists objects that have ended by an epoch (End ≤ epoch), in the order of Ended.Compare: all, or the first
	// limit.
	Ended(epoch uint32, limit int) ([]Ended, error)
}

// Ended names an object and the epoch at whose start it ends.
type Ended struct {
	End  uint32
	ID   ledger.ObjectID
	Blob bool // a blob's record; false: a storage resource
}

// Compare orders objects by end, then by ID.
func (e Ended) Compare(f Ended) int {
	return cmp.Or(cmp.Compare(e.End, f.End), bytes.Compare(e.ID[:], f.ID[:]))
}

// ListEnded implements Ends for states in memory: it looks at every value. Keys are as in the tree.
func ListEnded(values map[string][]byte, epoch uint32, limit int) (list []Ended, err error) {
	for key, value := range values {
		e := Ended{Blob: key[0] == ledger.KeyBlob(ledger.ObjectID{})[0]}
		switch key[0] {
		case ledger.KeyStorage(e.ID)[0]:
			s, err := ledger.UnmarshalStorage(value)
			if err != nil {
				return nil, err
			}
			e.End = s.End
		case ledger.KeyBlob(e.ID)[0]:
			b, err := ledger.UnmarshalBlob(value)
			if err != nil {
				return nil, err
			}
			e.End = b.End
		default:
			continue
		}
		if e.End <= epoch {
			copy(e.ID[:], key[1:])
			list = append(list, e)
		}
	}
	slices.SortFunc(list, Ended.Compare)
	return list[:min(len(list), limit)], nil
}

// errIndex means that the index does not belong to the state.
var errIndex = errors.New("the state does not have it: the index of ends is damaged")

// removeEnded removes what has ended, in the order of Ends: a bounded number, and the rest in later blocks. Deposits go
// back to the owners. The funds and the deposit of a record without owner go into the pot of the current epoch.
func (k *block) removeEnded(ends Ends) error {
	list, err := ends.Ended(k.epoch.Epoch, maxEndedPerBlock)
	if err != nil {
		return fmt.Errorf("list what has ended by epoch %d: %w", k.epoch.Epoch, err)
	}
	removed := 0
	for _, e := range list {
		if removed >= maxEndedBytes {
			break
		}
		remove := k.removeEndedStorage
		if e.Blob {
			remove = k.removeEndedBlob
		}
		size, err := remove(e)
		if err == nil {
			err = k.dropOffer(e.ID)
		}
		if err != nil {
			return fmt.Errorf("remove object %s, which ends in epoch %d: %w", e.ID, e.End, err)
		}
		removed += size
	}
	return nil
}

// removeEndedStorage removes a storage resource and returns the size of its value.
func (k *block) removeEndedStorage(e Ended) (size int, err error) {
	s := k.storages.slot(e.ID)
	if err := k.storages.load(e.ID, s); err != nil {
		return 0, err
	}
	v := s.value
	if !s.present || v.End != e.End || v.End > k.epoch.Epoch {
		return 0, errIndex
	}
	s.drop()
	k.events = append(k.events, ledger.Event{Kind: ledger.EventStorageEnded, To: v.Owner, Object: e.ID, Bytes: v.Bytes,
		Epoch: k.epoch.Epoch, End: v.End, Deposit: -int64(v.Deposit)})
	return len(v.Marshal()), k.disown(v.Owner, v.Deposit, 1, 0)
}

// removeEndedBlob removes a record and returns the size of its value.
func (k *block) removeEndedBlob(e Ended) (size int, err error) {
	s := k.blobs.slot(e.ID)
	if err := k.blobs.load(e.ID, s); err != nil {
		return 0, err
	}
	b := s.value
	if !s.present || b.End != e.End || b.End > k.epoch.Epoch {
		return 0, errIndex
	}
	s.drop()
	k.events = append(k.events, ledger.Event{Kind: ledger.EventBlobEnded, To: b.Owner, Amount: b.Funds, Object: e.ID,
		Blob: b.BlobID, Size: b.Size, Bytes: b.Bytes, Deletable: b.Deletable, Epoch: k.epoch.Epoch, End: b.End,
		Deposit: -int64(b.Deposit)})
	if err := k.trimInfo(b.BlobID); err != nil {
		return 0, err
	}
	size = len(b.Marshal())
	if b.Owner == (ledger.Address{}) { // shared, or given up
		return size, k.addRewards(b.Funds + b.Deposit)
	}
	return size, k.disown(b.Owner, b.Deposit, 0, 1)
}

// disown takes objects off their owner's counts, and gives their deposit back.
func (k *block) disown(owner ledger.Address, deposit ledger.Amount, storages, blobs uint32) error {
	s := k.accounts.slot(owner)
	err := k.accounts.load(owner, s)
	if err != nil {
		return err
	}
	a := s.value
	if a.Storages < storages || a.Blobs < blobs {
		return fmt.Errorf("%s owns %d storage resources and %d blobs: the counts are wrong", owner, a.Storages, a.Blobs)
	}
	a.Storages, a.Blobs = a.Storages-storages, a.Blobs-blobs
	if a.Balance, err = a.Balance.Add(deposit); err != nil {
		return err
	}
	if a == (ledger.Account{}) {
		s.drop()
	} else {
		s.put(a)
	}
	return nil
}

// dropOffer removes the offer of an object, if there is one.
func (k *block) dropOffer(id ledger.ObjectID) error {
	s := k.offers.slot(id)
	if err := k.offers.load(id, s); err != nil || !s.present {
		return err
	}
	s.drop()
	return nil
}

// trimInfo drops the expired parts of a blob's info.
func (k *block) trimInfo(id shards.BlobID) error {
	s := k.infos.slot(id)
	if err := k.infos.load(id, s); err != nil {
		return err
	}
	info := s.value
	info.Trim(k.epoch.Epoch)
	if info.IsZero() {
		s.drop()
	} else {
		s.put(info)
	}
	return nil
}
