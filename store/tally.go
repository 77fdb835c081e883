package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// counts hold two numbers. Of meta: blobs, certificates. Of a segment, its account: slivers, and the bytes that live,
// by weight.
type counts [2]int64

func (c *counts) add(d counts) {
	for i := range c {
		c[i] += d[i]
	}
}

func (c counts) negative() counts { return counts{-c[0], -c[1]} }

// shift changes the account of a segment. The account is the sum of what the places of all blobs say of it.
type shift struct {
	segment uint64
	n       counts
}

// countedKinds are the kinds of records that are counted, ascending.
var countedKinds = []byte{keyBlob, keyCertificate, keyPlace}

// What Badger takes beside keys and values, in bytes, by measurement: for each key, and once for a segment.
const (
	keyOverhead     = 16
	segmentOverhead = 256 << 10
)

// weight returns the bytes that a sliver takes on the disk.
func (v sliver) weight() int64 {
	const record = sliverKeySize + sliverRecordSize + crcSize + keyOverhead
	const extent = extentKeySize + crcSize + 2*keyOverhead // in the index, and in the log of values
	return v.size + int64(int(v.extents())*extent+record)
}

// metadataWeight returns the bytes that metadata of n bytes takes.
func metadataWeight(n int) int64 {
	return int64(n + 1 + idSize + lifeSize + crcSize + 2*keyOverhead)
}

// countOf returns by how much a record counts, and what it adds to accounts. A damaged one of places adds nothing.
func (d *database) countOf(key []byte) (counts, []shift, error) {
	switch key[0] {
	case keyBlob:
		return counts{1, 0}, nil, nil
	case keyCertificate:
		return counts{0, 1}, nil, nil
	}
	rec, err := d.record(key)
	var list []place
	if err == nil {
		list, err = unmarshalPlaces(rec)
	}
	shifts := make([]shift, len(list))
	for i, e := range list {
		shifts[i] = shift{e.segment, e.n}
	}
	return counts{}, shifts, unknown(err)
}

// tally keeps the counts of meta, and the accounts of segments, in meta. Each batch of counted records has a number and
// carries the counts behind it in one of tallySlots records, in turn. A loss of power may lose any of the batches that
// were not synced. Open then misses a number, and the records are counted again in the background.
type tally struct {
	n      counts
	seq    uint64 // number of the last batch written
	synced uint64 // all batches up to this number are durable
	doubt  bool   // n may be wrong until the records have been counted
	// refused: the disk refused a write or a sync. What is visible now may differ from what the next Open finds.
	refused bool
	recount *recount // nil: none is under way
	// accounts of the segments that are there. Those of others are not kept.
	accounts map[uint64]counts
}

// recount is a count under way. Changes up to the cursor are added to it; later ones it will see.
type recount struct {
	cursor   []byte
	n        counts
	accounts map[uint64]counts
}

func (r *recount) add(n counts, shifts []shift) {
	r.n.add(n)
	for _, s := range shifts {
		sum := r.accounts[s.segment]
		sum.add(s.n)
		r.accounts[s.segment] = sum
	}
}

func accountKey(segment uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{keyAccount}, segment)
}

func accountEntry(segment uint64, n counts) entry {
	b := binary.BigEndian.AppendUint64(nil, uint64(n[0]))
	return entry{key: accountKey(segment), value: binary.BigEndian.AppendUint64(b, uint64(n[1]))}
}

// account returns what lives in a segment.
func (d *database) account(segment uint64) counts {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.tally.accounts[segment]
}

// openAccount begins to keep the account of a segment: with what is on the disk, or with nothing.
func (d *database) openAccount(segment uint64) error {
	v, err := d.record(accountKey(segment))
	if err := unknown(err); err != nil {
		return err
	}
	var n counts
	if err == nil && len(v) == 16 {
		n = counts{int64(binary.BigEndian.Uint64(v)), int64(binary.BigEndian.Uint64(v[8:]))}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if !errors.Is(err, ErrNotFound) && len(v) != 16 {
		d.tally.doubt = true
	}
	d.tally.accounts[segment] = n
	return nil
}

// dropAccount ends the account of a segment that is removed.
func (d *database) dropAccount(segment uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.tally.accounts, segment)
}

const (
	// tallySlots bounds the batches between two syncs, less one.
	tallySlots = 1024
	// tallyRefused numbers a record that exists while the records must be counted by the next Open.
	tallyRefused = 0xffff
	tallySize    = 8 + 8 + 1 + 2*8
)

func tallyKey(slot uint64) []byte {
	return binary.BigEndian.AppendUint16([]byte{keyTally}, uint16(slot))
}

// entry returns the record of batch seq, behind which the counts are n.
func (t *tally) entry(seq uint64, n counts) entry {
	b := make([]byte, 0, tallySize+crcSize)
	b = binary.BigEndian.AppendUint64(b, seq)
	b = binary.BigEndian.AppendUint64(b, t.synced)
	flag := byte(0)
	if t.doubt || t.refused {
		flag = 1
	}
	b = append(b, flag)
	for _, n := range n {
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	}
	return entry{key: tallyKey(seq % tallySlots), value: b}
}

// tallyLast: the counts are looked for among that many of the last writes at most, before all writes. An index table
// has all versions of a record since the last merge, so to look through all of them costs more, the more was written.
const tallyLast = 4 * tallySlots

// loadTally reads the counts. Without doubt they equal the numbers of records.
func (d *database) loadTally() error {
	version := d.eng.index().version()
	t := tally{doubt: true} // as long as what was written is older
	for last := uint64(8); t.doubt; last *= 2 {
		since := version - min(version, last)
		if last > tallyLast {
			since = 0
		}
		var err error
		if t, err = d.readTally(since); err != nil {
			return err
		}
		if since == 0 {
			break
		}
	}
	// What this process found is all that there is: nothing before it can be lost.
	d.mu.Lock()
	defer d.mu.Unlock()
	d.tally = t
	return nil
}

// readTally reads the counts from the records written behind version since.
func (d *database) readTally(since uint64) (t tally, err error) {
	refused := tallyKey(tallyRefused)
	keys := [][]byte{refused}
	err = d.scan([]byte{keyTally}, nil, tallySlots+1, since, func(k []byte) error {
		if !bytes.Equal(k, refused) {
			keys = append(keys, k)
		}
		return nil
	})
	if err != nil {
		return t, err
	}
	t.accounts = map[uint64]counts{}
	seen := make(map[uint64]bool, len(keys))
	for _, k := range keys {
		v, err := d.record(k)
		if bytes.Equal(k, refused) && errors.Is(err, ErrNotFound) {
			continue
		}
		if bytes.Equal(k, refused) && err == nil || errors.Is(err, ErrCorrupt) || err == nil && len(v) != tallySize {
			t.doubt = true
			continue
		}
		if err != nil {
			return t, err
		}
		seq := binary.BigEndian.Uint64(v)
		seen[seq] = true
		if seq < t.seq {
			continue
		}
		t.seq, t.synced, t.refused = seq, binary.BigEndian.Uint64(v[8:]), v[16] != 0
		t.n = counts{int64(binary.BigEndian.Uint64(v[17:])), int64(binary.BigEndian.Uint64(v[25:]))}
	}
	for seq := t.synced + 1; seq < t.seq && !t.doubt; seq++ {
		t.doubt = !seen[seq]
	}
	t.doubt = t.doubt || t.refused || t.seq == 0
	t.refused = false
	return t, nil
}

// change puts and deletes counted records, all or none, with their counts. An entry's delta says by how much it changes
// them.
func (d *database) change(batch ...entry) error {
	full, err := d.tallied(batch)
	if err == nil && full {
		err = d.sync()
	}
	return err
}

// tallied is change without a sync. It reports whether one is due.
func (d *database) tallied(batch []entry) (full bool, err error) {
	d.changing.Lock()
	defer d.changing.Unlock()
	d.mu.Lock()
	crowded := d.tally.seq-d.tally.synced >= tallySlots-1
	d.mu.Unlock()
	if crowded {
		if err := d.sync(); err != nil {
			return false, err
		}
	}
	d.mu.Lock()
	n := d.tally.n
	accounts := map[uint64]counts{}
	for _, e := range batch {
		n.add(e.delta)
		for _, s := range e.shifts {
			sum, changed := accounts[s.segment]
			if !changed {
				var kept bool
				if sum, kept = d.tally.accounts[s.segment]; !kept {
					continue
				}
			}
			sum.add(s.n)
			accounts[s.segment] = sum
		}
	}
	next := d.tally.seq + 1
	all := append(slices.Clip(batch), d.tally.entry(next, n))
	d.mu.Unlock()
	for segment, n := range accounts {
		all = append(all, accountEntry(segment, n))
	}

	full, err = d.keep(all)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.tally.seq = next
	if err == nil {
		d.tally.n = n
		for segment, n := range accounts {
			if _, kept := d.tally.accounts[segment]; kept {
				d.tally.accounts[segment] = n
			}
		}
		if r := d.tally.recount; r != nil {
			for _, e := range batch {
				if bytes.Compare(e.key, r.cursor) <= 0 {
					r.add(e.delta, e.shifts)
				}
			}
		}
	}
	return full, err
}

// counts returns the numbers of records. In doubt they may be wrong.
func (d *database) counts() (n counts, doubt bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.tally.n, d.tally.doubt
}

// suspect makes the records be counted again.
func (d *database) suspect() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.tally.doubt = true
}

// count counts the records anew if the counts are in doubt. Changes wait for a page at a time. rest is called in
// between, and may end the count.
func (d *database) count(rest func() error) error {
	if _, doubt := d.counts(); !doubt {
		return nil
	}
	r := &recount{accounts: map[uint64]counts{}}
	d.mu.Lock()
	d.tally.recount = r
	d.mu.Unlock()
	defer func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.tally.recount = nil
	}()
	for _, kind := range countedKinds {
		d.mu.Lock()
		r.cursor = []byte{kind}
		d.mu.Unlock()
		for last := false; !last; {
			n, err := d.countPage(r, kind)
			if err == nil {
				err = rest()
			}
			if err != nil {
				return fmt.Errorf("count the records of %s: %w", d.path, err)
			}
			last = n == 0
		}
	}
	d.changing.Lock()
	d.mu.Lock()
	d.tally.n = r.n
	found := slices.Collect(maps.Keys(d.tally.accounts))
	for _, segment := range found {
		d.tally.accounts[segment] = r.accounts[segment]
	}
	d.mu.Unlock()
	d.changing.Unlock()
	return d.confirm(found)
}

// confirm writes the accounts that were found by counting, and ends the doubt. Meanwhile they may change again.
func (d *database) confirm(found []uint64) error {
	for page := range slices.Chunk(found, batchKeys/2) {
		if err := d.putAccounts(page); err != nil {
			return err
		}
	}
	d.mu.Lock()
	d.tally.doubt = false
	d.mu.Unlock()
	return d.change(entry{key: tallyKey(tallyRefused), del: true})
}

func (d *database) putAccounts(list []uint64) error {
	d.changing.Lock()
	defer d.changing.Unlock()
	var batch []entry
	for _, segment := range list {
		batch = append(batch, accountEntry(segment, d.account(segment)))
	}
	return d.put(batch...)
}

// countPage counts the next records of a kind. It returns their number.
func (d *database) countPage(r *recount, kind byte) (int, error) {
	d.changing.Lock()
	defer d.changing.Unlock()
	var keys [][]byte
	err := d.scan([]byte{kind}, r.cursor, batchKeys/4, 0, func(k []byte) error {
		keys = append(keys, k)
		return nil
	})
	if err != nil || len(keys) == 0 {
		return 0, err
	}
	page := recount{accounts: map[uint64]counts{}}
	for _, k := range keys {
		n, shifts, err := d.countOf(k)
		if err != nil {
			return 0, err
		}
		page.add(n, shifts)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	r.cursor = keys[len(keys)-1]
	r.add(page.n, nil)
	for segment, n := range page.accounts {
		r.add(counts{}, []shift{{segment, n}})
	}
	return len(keys), nil
}
