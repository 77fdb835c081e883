package keeper

import (
	"errors"
	"fmt"

	"walrus/p2p"
	"walrus/shards"
	"walrus/store"
)

// shelf finds our slivers on the disk.
type shelf struct {
	*store.Store
	seats  *seats
	params shards.Params
}

// certified reports whether we hold a certificate of blob id.
func (s *shelf) certified(id shards.BlobID) bool {
	_, err := s.Certificate(id)
	return err == nil
}

// metadata reads and decodes the metadata of a blob that is here.
func (s *shelf) metadata(id shards.BlobID) (*shards.Metadata, error) {
	raw, err := s.Metadata(id)
	if err != nil {
		return nil, err
	}
	return shards.UnmarshalMetadata(s.params, id, raw)
}

// missing lists the slivers of blob id that belong here in the epoch of a seat and are not stored.
func (s *shelf) missing(id shards.BlobID, at seat) ([]store.Ref, error) {
	var refs []store.Ref
	for _, ref := range at.slivers(id) {
		ok, err := s.HasSliver(ref)
		if err != nil && !errors.Is(err, store.ErrCorrupt) {
			return nil, err
		}
		if !ok {
			refs = append(refs, ref)
		}
	}
	return refs, nil
}

// missingNow lists the slivers of blob id that belong here in the current epoch and are not stored.
func (s *shelf) missingNow(id shards.BlobID) ([]store.Ref, error) {
	at, err := s.seats.now()
	if err != nil {
		return nil, err
	}
	return s.missing(id, at)
}

// durable verifies that every sliver of blob id that belongs here in the epoch of a seat is on the disk.
func (s *shelf) durable(id shards.BlobID, at seat) error {
	if _, err := s.Metadata(id); err != nil {
		return wireError(err)
	}
	missing, err := s.missing(id, at)
	if err != nil {
		return wireError(err)
	}
	if len(missing) > 0 {
		return fmt.Errorf("%w: %d of %d slivers are missing", p2p.ErrNotFound, len(missing), len(axes)*len(at.shards))
	}
	if err := s.Sync(); err != nil {
		return wireError(err)
	}
	// another goroutine's failed sync removes slivers that were not durable yet: look again
	if missing, err = s.missing(id, at); err != nil {
		return wireError(err)
	}
	if len(missing) > 0 {
		return fmt.Errorf("%w: the disk lost %d slivers: send them again", p2p.ErrUnavailable, len(missing))
	}
	return nil
}

// locate names a sliver by its shard; ErrNotOwner if that shard is not ours in the current epoch.
func (s *shelf) locate(id shards.BlobID, axis shards.Axis, index int) (store.Ref, error) {
	if index < 0 || index >= s.params.Shards() || !axis.Valid() {
		return store.Ref{}, fmt.Errorf("%w: no %s sliver %d among %d", p2p.ErrBadRequest, axis, index, s.params.Shards())
	}
	at, err := s.seats.now()
	if err != nil {
		return store.Ref{}, err
	}
	shard := s.params.ShardOfPair(id, s.params.PairOfSliver(axis, index))
	if !at.owns(shard) {
		return store.Ref{}, fmt.Errorf("%w: shard %d", p2p.ErrNotOwner, shard)
	}
	return store.Ref{Blob: id, Shard: shard, Axis: axis}, nil
}
