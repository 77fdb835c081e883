package store

import (
	"errors"
	"fmt"
	"log/slog"
)

// Config of a store. Start from Default.
type Config struct {
	// Dir is the directory of the store; made if missing. One process at a time may use it.
	Dir string
	// Logger receives the warnings of Open and of the databases; nil discards.
	Logger *slog.Logger
	// MemTable is the size in bytes of each database's write buffer. Each open database touches at most about
	// three of them; a buffer of 4 MiB indexes some 12 GB of slivers before it is flushed.
	MemTable int64
	// ValueLog is the size in bytes of a file of sliver data. All files stay open, so at 512 MiB a store of 1 TB needs
	// some 2000 file descriptors.
	ValueLog int64
	// Limit bounds the disk space of the store in bytes, including the overhead of its databases. Beyond it new data is
	// refused with ErrFull, but small records are still kept. The default 0 means no limit but the disk.
	Limit int64
	// Segment is the size in bytes at which a segment is full. The default 0 chooses it by the size of the disk and the
	// limit.
	Segment int64
	// Open bounds the segments that are open at a time, but for those being written. Each takes some 0.3 MiB of memory,
	// ten goroutines, and a file descriptor for each ValueLog of its size.
	Open int
	// MinFree is a reserve of free disk space in bytes. New data is refused with ErrFull when less is free, small
	// records when less than half of it is free; Open wants an eighth. It must not be zero in production: the
	// databases write through memory maps, where a full disk is a fatal signal, not an error. The default leaves room for
	// the ledger, which takes transactions until 512 MiB are free.
	MinFree int64

	// engine opens a database in place of Badger, for tests.
	engine func(path string) (engine, error)
}

// Default is the configuration of a node that keeps its data in dir.
func Default(dir string) Config {
	return Config{Dir: dir, MemTable: 4 << 20, ValueLog: 512 << 20, Open: 32, MinFree: 1 << 30}
}

// Bounds of the configuration.
const (
	minMemTable = 1 << 20
	maxMemTable = 256 << 20
	minValueLog = 1 << 20
	maxValueLog = 1 << 30
	// A segment is a 128th of the disk, within these bounds.
	segmentParts = 128
	minSegment   = 8 << 20
	maxSegment   = 4 << 30
)

// Validate reports the first field out of bounds.
func (c Config) Validate() error {
	switch {
	case c.Dir == "":
		return errors.New("store: no directory given")
	case c.MemTable < minMemTable || c.MemTable > maxMemTable:
		return fmt.Errorf("store: memtable of %d bytes: must be between %d and %d", c.MemTable, minMemTable, maxMemTable)
	case c.ValueLog < minValueLog || c.ValueLog > maxValueLog:
		return fmt.Errorf("store: value log of %d bytes: must be between %d and %d", c.ValueLog, minValueLog, maxValueLog)
	case c.Segment != 0 && (c.Segment < 1<<20 || c.Segment > maxSegment):
		return fmt.Errorf("store: segment of %d bytes: must be between %d and %d", c.Segment, 1<<20, int64(maxSegment))
	case c.Open < 1:
		return fmt.Errorf("store: %d open segments: must be at least 1", c.Open)
	case c.Limit < 0:
		return fmt.Errorf("store: limit of %d bytes: must not be negative", c.Limit)
	case c.MinFree < 0:
		return fmt.Errorf("store: minimum free space of %d bytes: must not be negative", c.MinFree)
	}
	return nil
}
