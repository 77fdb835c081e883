package store

// engine is the little of a database that the store uses. Tests stand in front of it to make single steps fail.
// Calls after close are the caller's mistake; database prevents them.
type engine interface {
	// get calls fn with the value of key, valid only during the call. It returns ErrNotFound if there is none,
	// ErrCorrupt if reading it broke, or what fn returns. A damaged value may also come as a wrong or empty one.
	get(key []byte, fn func(value []byte) error) error
	// write applies all entries or none. After an error either may be the case.
	write(batch []entry) error
	// scan calls fn with up to limit keys that begin with prefix and are greater than after (nil: from the first),
	// in order, and with their values if asked. Keys and values are fn's to keep.
	scan(prefix, after []byte, limit int, values bool, fn func(key, value []byte) error) error
	// sync makes every write that returned before the call durable. After an error that is unknown, for good.
	sync() error
	// verify reads all of the index back.
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
