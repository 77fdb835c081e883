package machine

import (
	"cmp"
	"slices"

	"walrus/ledger"
)

// changeInfo applies change to the info of the record's blob ID, and drops its expired parts before and after.
func (x *run) changeInfo(b *ledger.Blob, change func(i *ledger.BlobInfo)) {
	info := x.info(b.BlobID)
	info.Trim(x.now()) // copies the list of ends, so that change may write to it
	change(&info)
	info.Trim(x.now())
	x.setInfo(b.BlobID, info)
}

// addRecord counts a record, certified or not.
func addRecord(i *ledger.BlobInfo, b *ledger.Blob) {
	certified := b.Certified != 0
	if !b.Deletable {
		i.PermanentEnd = max(i.PermanentEnd, b.End)
		if certified {
			i.PermanentCertifiedEnd = max(i.PermanentCertifiedEnd, b.End)
		}
		return
	}
	at, found := slices.BinarySearchFunc(i.Deletable, b.End,
		func(d ledger.DeletableEnd, end uint32) int { return cmp.Compare(d.End, end) })
	if !found {
		i.Deletable = slices.Insert(i.Deletable, at, ledger.DeletableEnd{End: b.End})
	}
	i.Deletable[at].Registered++
	if certified {
		i.Deletable[at].Certified++
	}
}

// removeRecord undoes addRecord for a deletable record. A permanent record stays counted, because its end only moves
// later.
func removeRecord(i *ledger.BlobInfo, b *ledger.Blob) {
	for at := range i.Deletable {
		if d := &i.Deletable[at]; b.Deletable && d.End == b.End {
			d.Registered--
			if b.Certified != 0 {
				d.Certified--
			}
		}
	}
}
