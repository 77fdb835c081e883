package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
)

// counts are the numbers of the records of a database: of blobs and certificates in meta, of slivers in a segment.
type counts [2]int64

// countedKinds are the kinds of records that are counted, ascending, and their places in counts.
var countedKinds = []struct {
	kind  byte
	place int
}{{keyBlob, 0}, {keyCertificate, 1}, {keySliver, 0}}

func (c *counts) add(key []byte, n int64) {
	for _, k := range countedKinds {
		if key[0] == k.kind {
			c[k.place] += n
		}
	}
}

// tally keeps the counts of a database in that database. Each batch of counted records has a number and carries the
// counts behind it in one of tallySlots records, in turn. A loss of power may lose any of the batches that were not
// synced. Open then misses a number, and the records are counted again in the background.
type tally struct {
	n      counts
	seq    uint64 // number of the last batch written
	synced uint64 // all batches up to this number are durable
	doubt  bool   // n may be wrong until the records have been counted
	// refused: the disk refused a write or a sync. What is visible now may differ from what the next Open finds.
	refused bool
	recount *recount // nil: none is under way
}

// recount is a count under way. Changes up to the cursor are added to it; later ones it will see.
type recount struct {
	cursor []byte
	n      counts
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

// loadTally reads the counts. Without doubt they equal the numbers of records.
func (d *database) loadTally() error {
	var keys [][]byte
	err := d.scan([]byte{keyTally}, nil, tallySlots+1, 0, func(k []byte) error {
		keys = append(keys, k)
		return nil
	})
	if err != nil {
		return err
	}
	t := tally{}
	seen := make(map[uint64]bool, len(keys))
	for _, k := range keys {
		v, err := d.record(k)
		if bytes.Equal(k, tallyKey(tallyRefused)) || errors.Is(err, ErrCorrupt) || err == nil && len(v) != tallySize {
			t.doubt = true
			continue
		}
		if err != nil {
			return err
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
	// What this process found is all that there is: nothing before it can be lost.
	d.mu.Lock()
	defer d.mu.Unlock()
	d.tally = t
	return nil
}

// change puts and deletes counted records, all or none, with their counts. An entry's delta says by how many it changes
// the number of records of its kind. The caller must keep others from changing counted records of this database.
func (d *database) change(batch ...entry) error {
	d.mu.Lock()
	crowded := d.tally.seq-d.tally.synced >= tallySlots-1
	d.mu.Unlock()
	if crowded {
		if err := d.sync(); err != nil {
			return err
		}
	}
	d.mu.Lock()
	n := d.tally.n
	for _, e := range batch {
		n.add(e.key, e.delta)
	}
	next := d.tally.seq + 1
	counted := d.tally.entry(next, n)
	d.mu.Unlock()

	full, err := d.keep(append(batch, counted))
	d.mu.Lock()
	d.tally.seq = next
	if err == nil {
		d.tally.n = n
		if r := d.tally.recount; r != nil {
			for _, e := range batch {
				if bytes.Compare(e.key, r.cursor) <= 0 {
					r.n.add(e.key, e.delta)
				}
			}
		}
	}
	d.mu.Unlock()
	if err == nil && full {
		err = d.sync()
	}
	return err
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

// count counts the records anew if the counts are in doubt. changes is the lock that callers of change hold; it is held
// for a page at a time. rest is called in between, and may end the count.
func (d *database) count(changes sync.Locker, rest func() error) error {
	if _, doubt := d.counts(); !doubt {
		return nil
	}
	r := &recount{}
	d.mu.Lock()
	d.tally.recount = r
	d.mu.Unlock()
	defer func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.tally.recount = nil
	}()
	for _, k := range countedKinds {
		r.move(d, []byte{k.kind}, 0)
		for last := false; !last; {
			keys := 0
			changes.Lock()
			at := r.cursor
			err := d.scan([]byte{k.kind}, at, batchKeys, 0, func(k []byte) error {
				keys++
				at = k
				return nil
			})
			if err == nil {
				r.move(d, at, keys)
			}
			changes.Unlock()
			if err == nil {
				err = rest()
			}
			if err != nil {
				return fmt.Errorf("count the records of %s: %w", d.path, err)
			}
			last = keys < batchKeys
		}
	}
	changes.Lock()
	defer changes.Unlock()
	d.mu.Lock()
	d.tally.n, d.tally.doubt = r.n, false
	d.mu.Unlock()
	return d.change(entry{key: tallyKey(tallyRefused), del: true})
}

// move takes a page of records into account.
func (r *recount) move(d *database, to []byte, keys int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	r.cursor = to
	r.n.add(to, int64(keys))
}
