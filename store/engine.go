package store

// engine is a key-value database as the store uses it. Tests replace it to make single steps fail. Nothing may be
// called after close; the type database makes sure of that.
type engine interface {
	// get calls fn with the value of key, valid only during the call. It returns ErrNotFound if there is no value,
	// ErrCorrupt if reading failed, or the error of fn. A damaged value may also arrive as a wrong or empty one.
	get(key []byte, fn func(value []byte) error) error
	// write applies all entries or none. After an error nobody knows which.
	write(batch []entry) error
	// scan calls fn with up to limit keys that begin with prefix and are greater than after, in order. A nil after
	// starts at the first key. It leaves out keys that were last written at version since or before. fn may keep keys.
	scan(prefix, after []byte, limit int, since uint64, fn func(key []byte) error) error
	// sync makes every write that returned before the call durable. After an error the fate of those writes stays
	// unknown, even if a later sync succeeds.
	sync() error
	close() error
	index() index
}

// index is the sorted part of an engine.
type index interface {
	// version returns the version of the last write; versions grow, and survive.
	version() uint64
	// verify reads back the first table with a number greater than after. A table of 0 means that there is none.
	verify(after uint64) (table uint64, bytes int64, err error)
	// crowded reports that there are so many unmerged tables that compact is worth its time.
	crowded() bool
	// compact merges tables if there are many. They must have been verified: damage would end the process.
	compact() error
}

// entry is one key of a batch: a value to put or a deletion. delta and shifts are for change.
type entry struct {
	key, value []byte
	del        bool
	delta      counts
	shifts     []shift
}
