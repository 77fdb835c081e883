package badgerdisk

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/dgraph-io/badger/v4"
)

// Mode says what Check does about damage.
type Mode int

const (
	// Refuse takes damage as an error. It changes only what a crash may leave: the ends of write-ahead logs, and files
	// without information.
	Refuse Mode = iota
	// Repair also replaces the headers of logs, accepts a manifest that ends within an entry, and keeps Badger from
	// cutting the last value log.
	Repair
	// Salvage repairs as well, leaves out damaged index tables, and with them their keys, and rebuilds a damaged manifest
	// from the tables that are left. That suits a database of keys that are written once; in another, old values of lost
	// keys would come back.
	Salvage
	// Patient is Salvage, but a disk that fails to read is no damage: it may read later.
	Patient
)

const (
	maxTable    = 1 << 30 // bytes of an index table or a write-ahead log; Badger's are some MiB
	maxFile     = 1 << 31 // the greatest number of a file
	maxVerified = 1 << 26 // bytes of the list of whole tables: those of some TiB

	memExt      = ".mem"    // of a write-ahead log
	tableExt    = ".sst"    // of an index table
	discardName = "DISCARD" // of a file that Badger makes anew
)

// check is one run of Check.
type check struct {
	dir      string
	opt      *badger.Options
	mode     Mode
	damage   error
	scanned  []Scan
	notes    []string        // a line for each repair
	tables   map[uint64]bool // whether it is whole, by number
	mems     []string
	vlogs    map[uint64]string
	verified map[uint64]stamp  // tables that were whole as they were then
	whole    map[uint64]stamp  // tables that are whole
	skimmed  map[uint64]uint64 // the last version in each table of which only a part was read
	last     uint64            // the last version in any table
}

// Scan is a set of keys that are read in order once the database is open: those that begin with Prefix, and if Last is
// not 0, only of so many of the last versions.
type Scan struct {
	Prefix []byte
	Last   uint64
}

// Check examines the files of the closed database that opt describes, repairs what mode allows, and adapts opt. It
// returns a line for each repair. An error means that the database cannot be used: it wraps damage, is ErrLocked, or is
// an error of the operating system.
//
// Badger trusts its files more than a node may. On some damage Open ends the process, on other damage a goroutine does
// so later, and some damaged tables are left out without a word.
//
// A table that was whole once, and whose file was not changed since, is not read again as a whole: only the index in
// it, a small part, and the blocks with scanned keys. So the cost does not grow with
// the database. Such a table may have decayed on the disk: CheckTable reads it again. A Get of a damaged block is an
// error, but an iterator leaves the block out: name in scanned what must not miss a key. Distrust ends the trust.
func Check(opt *badger.Options, mode Mode, damage error, scanned ...Scan) (repaired []string, err error) {
	unlock, err := Lock(opt.Dir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = unlock.Close() }() // nothing was written
	c := &check{
		dir: opt.Dir, opt: opt, mode: mode, damage: damage, scanned: scanned,
		tables: map[uint64]bool{}, vlogs: map[uint64]string{},
		verified: readVerified(opt.Dir), whole: map[uint64]stamp{}, skimmed: map[uint64]uint64{},
	}
	if err = guard(damage, func() {}, c.run); err == nil {
		_ = writeVerified(c.dir, c.whole) // without it the next Check reads more
	}
	return c.notes, err
}

// run begins with the tables: a database that is refused for one of them keeps its logs as they are.
func (c *check) run() error {
	if err := c.list(); err != nil {
		return err
	}
	if err := c.checkTables(); err != nil {
		return err
	}
	for _, name := range c.mems {
		if err := c.checkMem(filepath.Join(c.dir, name)); err != nil {
			return err
		}
	}
	return c.checkValueLogs()
}

func (c *check) note(format string, a ...any) {
	c.notes = append(c.notes, fmt.Sprintf(format, a...))
}

// list sorts the files by kind and removes those that carry no information: without encryption the key registry is
// empty, and nobody uses the discard statistics. Badger makes both anew.
func (c *check) list() error {
	files, err := os.ReadDir(c.dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		name := f.Name()
		switch name {
		case discardName, "KEYREGISTRY", "REWRITE-KEYREGISTRY", "MANIFEST-REWRITE", "LOCK":
			if err := os.RemoveAll(filepath.Join(c.dir, name)); err != nil {
				return err
			}
			continue
		}
		ext := filepath.Ext(name)
		if ext != tableExt && ext != memExt && ext != ".vlog" {
			continue
		}
		id, err := strconv.ParseUint(strings.TrimSuffix(name, ext), 10, 32)
		if err != nil || id >= maxFile || !f.Type().IsRegular() {
			return fmt.Errorf("%w: unexpected file %s", c.damage, name)
		}
		switch ext {
		case tableExt:
			c.tables[id] = false
		case memExt:
			c.mems = append(c.mems, name)
		case ".vlog":
			c.vlogs[id] = name
		}
	}
	return nil
}

// read reads a file of at most maxTable bytes.
func (c *check) read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() > maxTable {
		return nil, fmt.Errorf("%w: %s has %d bytes", c.damage, filepath.Base(path), info.Size())
	}
	b := make([]byte, info.Size())
	n, err := io.ReadFull(f, b)
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		err = nil
	}
	return b[:n], err
}
