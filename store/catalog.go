package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"

	"walrus/shards"
)

// catalog keeps the small records: end epochs, certificates and the node's state.
type catalog struct {
	life      *lifetime  // constant, as are the next two
	incidents *incidents // of the store
	db        *database
	locks     locks

	ended  atomic.Uint32 // the last epoch whose blobs were dropped
	forgot atomic.Uint64 // segments below this number may hold slivers whose record was lost; 0 for none
}

// blob reads a blob's record: its end epoch and its life. Before format 4 there were no lives.
func (c *catalog) blob(id shards.BlobID) (end uint32, of life, err error) {
	rec, err := c.db.record(blobKey(keyBlob, id))
	if err == nil && len(rec) != 4 && len(rec) != 4+lifeSize {
		err = fmt.Errorf("%w: record of %d bytes", ErrCorrupt, len(rec))
	}
	if err != nil {
		return 0, 0, c.incidents.blame("blob record", Ref{Blob: id, Shard: -1}, -1, err, c.db.path)
	}
	if len(rec) > 4 {
		of = life(binary.BigEndian.Uint32(rec[4:]))
	}
	return binary.BigEndian.Uint32(rec), of, nil
}

// endEpoch reads when a blob ends.
func (c *catalog) endEpoch(id shards.BlobID) (uint32, error) {
	end, _, err := c.blob(id)
	return end, err
}

func blobEntry(id shards.BlobID, end uint32, of life) entry {
	b := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, end), uint32(of))
	return entry{key: blobKey(keyBlob, id), value: b}
}

// certificate reads a blob's certificate and its epoch.
func (c *catalog) certificate(id shards.BlobID) (cert []byte, epoch uint32, err error) {
	v, err := c.db.record(blobKey(keyCertificate, id))
	if err == nil && len(v) < 4 {
		err = fmt.Errorf("%w: record of %d bytes", ErrCorrupt, len(v))
	}
	if err != nil {
		return nil, 0, c.incidents.blame("certificate", Ref{Blob: id, Shard: -1}, -1, err, c.db.path)
	}
	return v[4:], binary.BigEndian.Uint32(v), nil
}

// list lists up to limit blobs that have a record of a kind, in order of ID, from the first ID above after.
func (c *catalog) list(kind byte, after shards.BlobID, limit int) ([]shards.BlobID, error) {
	if err := c.life.open(); err != nil {
		return nil, err
	}
	var ids []shards.BlobID
	err := c.db.scan([]byte{kind}, blobKey(kind, after), limit, 0, func(k []byte) error {
		if len(k) == 1+idSize {
			ids = append(ids, shards.BlobID(k[1:]))
		}
		return nil
	})
	return ids, c.life.closedError(err)
}

// unknown returns the error of a read that leaves open whether there is a record. A damaged one is one.
func unknown(err error) error {
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrCorrupt) {
		return nil
	}
	return err
}

// drop deletes the record, the certificate and the places of a blob, damaged or not. With that, what segments hold of
// it is dead, and counts no more. The caller holds the blob's lock.
func (c *catalog) drop(id shards.BlobID) error {
	_, known := c.endEpoch(id)
	_, _, certified := c.certificate(id)
	list, placed := c.places(id)
	if err := errors.Join(unknown(known), unknown(certified), unknown(placed)); err != nil {
		return err
	}
	if errors.Is(known, ErrNotFound) && errors.Is(certified, ErrNotFound) && placed == nil && len(list) == 0 {
		return nil
	}
	blob, cert := entry{key: blobKey(keyBlob, id), del: true}, entry{key: blobKey(keyCertificate, id), del: true}
	if !errors.Is(known, ErrNotFound) {
		blob.delta = counts{-1, 0}
	}
	if !errors.Is(certified, ErrNotFound) {
		cert.delta = counts{0, -1}
	}
	place := entry{key: blobKey(keyPlace, id), del: true}
	for _, e := range list {
		place.shifts = append(place.shifts, shift{e.segment, e.n.negative()})
	}
	if placed != nil {
		c.db.suspect() // by how much the damaged record has changed the accounts is not known
	}
	return c.db.change(blob, cert, place)
}
