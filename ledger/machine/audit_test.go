package machine

import (
	"fmt"
	"reflect"
	"slices"

	"walrus/ledger"
	"walrus/shards"
)

// census holds the counts of an audit over a whole state.
type census struct {
	wal    ledger.Amount
	counts map[ledger.Address][2]uint32 // storages and blobs owned
	sold   map[uint32]uint64            // bytes of storage that exist, by epoch
	infos  map[shards.BlobID]ledger.BlobInfo
	marks  map[shards.BlobID]bool
	now    uint32
	params ledger.Params
}

// audit checks what every state must satisfy, from its records alone.
func audit(m memory, g *ledger.Genesis) error {
	epoch, err := ledger.ReadEpoch(m)
	if err != nil {
		return err
	}
	supply, err := ledger.ReadSupply(m)
	if err != nil {
		return err
	}
	c := &census{
		wal: epoch.Leftover + supply.Burned, now: epoch.Epoch, params: g.Params(),
		counts: map[ledger.Address][2]uint32{}, sold: map[uint32]uint64{}, infos: map[shards.BlobID]ledger.BlobInfo{},
		marks: map[shards.BlobID]bool{},
	}
	for key, value := range m {
		if err := c.object(key, value); err != nil {
			return fmt.Errorf("key %x: %w", key, err)
		}
	}
	for key, value := range m {
		if err := c.offered(m, key, value); err != nil {
			return fmt.Errorf("key %x: %w", key, err)
		}
	}
	for key, value := range m {
		if err := c.derived(key, value); err != nil {
			return fmt.Errorf("key %x: %w", key, err)
		}
	}
	if c.wal != ledger.TotalSupply {
		return fmt.Errorf("there are %v", c.wal)
	}
	for owner, counts := range c.counts {
		if counts != [2]uint32{} {
			return fmt.Errorf("%s owns %v objects that its account does not count", owner, counts)
		}
	}
	if len(c.marks) > 0 {
		return fmt.Errorf("%d marks without info", len(c.marks))
	}
	for blob, info := range c.infos {
		if !info.IsZero() {
			return fmt.Errorf("blob %s has records but no info", blob)
		}
	}
	for e, bytes := range c.sold {
		if bytes > 0 {
			return fmt.Errorf("epoch %d has %d bytes of storage that were not sold", e, bytes)
		}
	}
	return nil
}

// object counts storages and blobs.
func (c *census) object(key string, value []byte) error {
	switch key[0] {
	case 'S':
		s, err := ledger.UnmarshalStorage(value)
		if err != nil {
			return err
		}
		if s.Start >= s.End || s.Bytes == 0 || s.Owner == (ledger.Address{}) {
			return fmt.Errorf("storage %+v", s)
		}
		c.wal += s.Deposit
		if s.Deposit != c.params.StorageDeposit() {
			return fmt.Errorf("storage %+v: deposit", s)
		}
		n := c.counts[s.Owner]
		c.counts[s.Owner] = [2]uint32{n[0] + 1, n[1]}
		return c.room(s.Start, s.End, s.Bytes)
	case 'B':
		b, err := ledger.UnmarshalBlob(value)
		if err != nil {
			return err
		}
		encoding, err := shards.NewParams(int(c.params.Shards))
		if err != nil {
			return err
		}
		owned := b.Owner != (ledger.Address{})
		if b.Bytes < uint64(encoding.EncodedSize(b.Size)) || b.Start > b.Registered || b.Registered > c.now ||
			b.Certified > c.now ||
			b.Certified != 0 && b.Certified < b.Registered || b.Shared && (b.Deletable || owned) || !b.Shared && b.Funds > 0 {
			return fmt.Errorf("blob %+v", b)
		}
		c.wal += b.Funds + b.Deposit
		if b.Deposit != c.params.BlobDeposit(b.Attributes) {
			return fmt.Errorf("blob %+v: deposit", b)
		}
		if owned {
			n := c.counts[b.Owner]
			c.counts[b.Owner] = [2]uint32{n[0], n[1] + 1}
		}
		if b.End > c.now {
			info := c.infos[b.BlobID]
			addRecordPlainly(&info, &b)
			c.infos[b.BlobID] = info
		}
		return c.room(b.Start, b.End, b.Bytes)
	case 'o':
		all, err := ledger.UnmarshalBonds(value)
		if err != nil {
			return err
		}
		for _, b := range all {
			if b.Amount < ledger.MinBond || b.Account == (ledger.Address{}) || b.Since > c.now || b.Until > c.now+1 ||
				b.Until != 0 && b.Return() <= c.now {
				return fmt.Errorf("bond %+v", b)
			}
			c.wal += b.Amount
		}
	case 'i':
		why, err := ledger.UnmarshalInvalidBlob(value)
		if err != nil {
			return err
		}
		if why.Epoch > c.now || why.Height == 0 {
			return fmt.Errorf("mark %+v", why)
		}
		c.marks[shards.BlobID([]byte(key[1:]))] = true
	}
	return nil
}

func (c *census) room(start, end uint32, bytes uint64) error {
	if end > c.now+c.params.MaxEpochsAhead {
		return fmt.Errorf("lasts until epoch %d, this is %d", end, c.now)
	}
	for e := max(start, c.now); e < end; e++ {
		c.sold[e] += bytes
	}
	return nil
}

// addRecordPlainly counts a record in the info of its blob ID, written the slow way.
func addRecordPlainly(info *ledger.BlobInfo, b *ledger.Blob) {
	certified := uint32(0)
	if b.Certified != 0 {
		certified = 1
		if info.InitialCertified == 0 || b.Certified < info.InitialCertified {
			info.InitialCertified = b.Certified
		}
	}
	if !b.Deletable {
		info.PermanentEnd = max(info.PermanentEnd, b.End)
		info.PermanentCertifiedEnd = max(info.PermanentCertifiedEnd, b.End*certified)
		return
	}
	for i := range info.Deletable {
		if d := &info.Deletable[i]; d.End == b.End {
			d.Registered++
			d.Certified += certified
			return
		}
	}
	info.Deletable = append(info.Deletable, ledger.DeletableEnd{End: b.End, Registered: 1, Certified: certified})
	slices.SortFunc(info.Deletable, func(a, b ledger.DeletableEnd) int { return int(a.End) - int(b.End) })
}

// derived compares what the state sums up with what was counted, and takes it off.
func (c *census) derived(key string, value []byte) error {
	switch key[0] {
	case 'a':
		a, err := ledger.UnmarshalAccount(value)
		if err != nil {
			return err
		}
		if a == (ledger.Account{}) || a.Balance > ledger.TotalSupply {
			return fmt.Errorf("account %+v", a)
		}
		address := ledger.Address([]byte(key[1:]))
		if counts := [2]uint32{a.Storages, a.Blobs}; counts != c.counts[address] {
			return fmt.Errorf("counts %v, there are %v", counts, c.counts[address])
		}
		delete(c.counts, address)
		c.wal += a.Balance
	case 'r':
		p, err := ledger.UnmarshalPot(value)
		if err != nil {
			return err
		}
		epoch := uint32(key[1])<<24 | uint32(key[2])<<16 | uint32(key[3])<<8 | uint32(key[4])
		if p == (ledger.Pot{}) || p.Sold > c.params.Capacity || p.Sold < c.sold[epoch] || epoch < c.now {
			return fmt.Errorf("pot %+v of epoch %d, this is %d, with %d bytes in use", p, epoch, c.now, c.sold[epoch])
		}
		delete(c.sold, epoch)
		c.wal += p.Rewards
	case 'b':
		i, err := ledger.UnmarshalBlobInfo(value)
		if err != nil {
			return err
		}
		if i.IsZero() {
			return fmt.Errorf("empty info")
		}
		blob := shards.BlobID([]byte(key[1:]))
		want := c.infos[blob]
		delete(c.infos, blob)
		i.Trim(c.now)
		// The first certificate may have been of a record that is gone, as long as the blob has been certified since.
		if i.InitialCertified > want.InitialCertified || (i.InitialCertified == 0) != (want.InitialCertified == 0) {
			return fmt.Errorf("initially certified %d, the records say %d", i.InitialCertified, want.InitialCertified)
		}
		i.InitialCertified, want.Invalid = want.InitialCertified, c.marks[blob]
		delete(c.marks, blob)
		if len(i.Deletable) == 0 {
			i.Deletable = nil
		}
		if !reflect.DeepEqual(i, want) {
			return fmt.Errorf("info %+v, the records say %+v", i, want)
		}
	}
	return nil
}

// offered checks that an offer is of its maker's object, and lasts no longer.
func (c *census) offered(m memory, key string, value []byte) error {
	if key[0] != 'O' {
		return nil
	}
	o, err := ledger.UnmarshalOffer(value)
	if err != nil {
		return err
	}
	id := ledger.ObjectID([]byte(key[1:]))
	s, errS := ledger.ReadStorage(m, id)
	b, errB := ledger.ReadBlob(m, id)
	if errS != nil && errB != nil || o.From != s.Owner && o.From != b.Owner || o.Until > max(s.End, b.End) ||
		o.To == (ledger.Address{}) {
		return fmt.Errorf("offer %+v", o)
	}
	return nil
}
