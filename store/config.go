package store

import (
	"errors"
	"fmt"
	"log/slog"
)

// Config of a store. Start from Default.
type Config struct {
	// Dir is the directory that holds everything; made if missing. One process at a time.
	Dir string
	// Logger receives what Open moved aside and the database's warnings; nil discards.
	Logger *slog.Logger
	// MemTable is the size in bytes of each database's write buffer. Each open database touches at most about
	// three of them; one of 4 MiB indexes some 12 GB of slivers before it is flushed.
	MemTable int64
	// ValueLog is the size in bytes at which a file of sliver data is full and the next begun. All files stay open,
	// so at 512 MiB a store of 1 TB needs some 2000 file descriptors.
	ValueLog int64
	// Limit is the most disk space in bytes that the store may use, its databases' overhead included: beyond it new data is
	// refused with ErrFull, and small records are still kept. Default 0: no limit but the disk.
	Limit int64
	// MinFree is the free disk space in bytes below which new data is refused with ErrFull, and below half of which small
	// records are, too; Open wants an eighth of it.
	// It must not be zero in production: the databases write through memory maps, where a full disk is a
	// fatal signal, not an error.
	MinFree int64

	// engine opens a database in place of Badger, for tests.
	engine func(path string) (engine, error)
}

// Default is the configuration of a node that keeps its data in dir.
func Default(dir string) Config {
	return Config{Dir: dir, MemTable: 4 << 20, ValueLog: 512 << 20, MinFree: 256 << 20}
}

// Bounds of the configuration.
const (
	minMemTable = 1 << 20
	maxMemTable = 256 << 20
	minValueLog = 1 << 20
	maxValueLog = 1 << 30
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
	case c.Limit < 0:
		return fmt.Errorf("store: limit of %d bytes: must not be negative", c.Limit)
	case c.MinFree < 0:
		return fmt.Errorf("store: least free space of %d bytes: must not be negative", c.MinFree)
	}
	return nil
}
