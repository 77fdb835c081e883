package store

import (
	"errors"
	"fmt"

	"walrus/shards"
)

// PutState keeps a value of up to 256 KiB for the node, under a name of up to 256 bytes. An empty value removes the
// name.
func (s *Store) PutState(key string, value []byte) error {
	if key == "" || len(key) > maxStateKey || len(value) > maxState {
		return fmt.Errorf("put state %.64q: %d bytes of name and %d of value: the limits are %d and %d",
			key, len(key), len(value), maxStateKey, maxState)
	}
	if err := s.space.forRecord(); err != nil {
		return fmt.Errorf("put state %q: %w", key, err)
	}
	e := entry{key: stateKey(key), value: value, del: len(value) == 0}
	if err := s.catalog.db.put(e); err != nil {
		return fmt.Errorf("put state %q: %w", key, s.life.closedError(err))
	}
	return nil
}

// State returns the value of a name. Errors: ErrNotFound, ErrCorrupt.
func (s *Store) State(key string) ([]byte, error) {
	if err := s.life.open(); err != nil {
		return nil, err
	}
	v, err := s.catalog.db.record(stateKey(key))
	if errors.Is(err, ErrCorrupt) {
		err = s.incidents.blame("state", Ref{Blob: shards.BlobID{}, Shard: -1}, -1, fmt.Errorf("%q: %w", key, err), s.catalog.db.path)
	}
	if err != nil {
		return nil, fmt.Errorf("state %q: %w", key, s.life.closedError(err))
	}
	return v, nil
}

// StateKeys lists up to limit names of state that begin with prefix, in order, from the first name above after.
func (s *Store) StateKeys(prefix, after string, limit int) ([]string, error) {
	if err := s.life.open(); err != nil {
		return nil, err
	}
	var from []byte
	if after != "" {
		from = stateKey(after)
	}
	var keys []string
	err := s.catalog.db.scan(stateKey(prefix), from, limit, 0, func(k []byte) error {
		keys = append(keys, string(k[1:]))
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list state %q: %w", prefix, s.life.closedError(err))
	}
	return keys, nil
}
