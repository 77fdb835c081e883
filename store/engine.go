package store

// engine is a key-value database as the store uses it. Tests replace it to make single steps fail. Nothing may be
// called after close; the type database makes sure of that.
type engine interface {
	// get calls fn with the value of key, valid only during the call. It returns ErrNotFound if there is no value,
	// ErrCorrupt if reading failed, or the error of fn. A damaged value may also arrive as a wrong or empty one.
	get(key []byte, fn func(value []byte) error) error
	// write applies all entries or none. After an error nobody knows which.
	write(batch []entry) error
	// scan calls fn with up to limit keys that begin with prefix and are greater than after, in order, and with their
	// values if asked. A nil after starts at the first key. fn may keep keys and values.
	scan(prefix, after []byte, limit int, values bool, fn func(key, value []byte) error) error
	// sync makes every write that returned before the call durable. After an error the fate of those writes stays
	// unknown, even if a later sync succeeds.
	sync() error
	// verify reads the whole index back.
	verify() error
	// compact merges index tables if there are many.
	compact() error
	close() error
}

// entry is one key of a batch: a value to put or a deletion.
type entry struct {
	key, value []byte
	del        bool
}
