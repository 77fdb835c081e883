package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/dgraph-io/badger/v4"
)

// Badger trusts its own files more than a node may: on some damage Open ends the process, on other damage a
// goroutine does later. So its files are checked before it sees them, and what it would stumble over is taken away.
const (
	maxTable = 1 << 30 // bytes of an index table or a write-ahead log; Badger's are some MiB
	maxFile  = 1 << 31 // the greatest number of a file
)

// preflight is one check of a closed database.
type preflight struct {
	dir     string
	opt     *badger.Options
	salvage bool     // go on without a damaged table, else give up
	notes   []string // what was repaired
	tables  map[uint64]bool
	mems    []string
	vlogs   map[uint64]string
}

// checkDatabase looks at the files of the closed database that opt describes, repairs what it can, and adapts opt.
// It returns what it repaired. An error means the database cannot be used.
//
// With salvage, damaged index tables are left out, and with them their keys. That suits a database of keys that
// are written once; in another, old values of lost keys would come back.
func checkDatabase(opt *badger.Options, salvage bool) ([]string, error) {
	p := &preflight{dir: opt.Dir, opt: opt, salvage: salvage, tables: map[uint64]bool{}, vlogs: map[uint64]string{}}
	var faulted atomic.Bool
	err := guard(&faulted, func() error {
		if err := p.list(); err != nil {
			return err
		}
		if err := p.checkTables(); err != nil {
			return err
		}
		for _, name := range p.mems {
			if err := p.checkMem(filepath.Join(p.dir, name)); err != nil {
				return err
			}
		}
		return p.checkValueLogs()
	})
	return p.notes, err
}

func (p *preflight) note(format string, a ...any) {
	p.notes = append(p.notes, fmt.Sprintf(format, a...))
}

// list sorts the files by kind and removes those that say nothing: without encryption the key registry is
// empty, and the discard statistics serve a garbage collection that is not used. Badger makes both anew.
func (p *preflight) list() error {
	files, err := os.ReadDir(p.dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		name := f.Name()
		switch name {
		case "DISCARD", "KEYREGISTRY", "REWRITE-KEYREGISTRY", "MANIFEST-REWRITE", "LOCK":
			if err := os.RemoveAll(filepath.Join(p.dir, name)); err != nil {
				return err
			}
			continue
		}
		ext := filepath.Ext(name)
		if ext != ".sst" && ext != ".mem" && ext != ".vlog" {
			continue
		}
		id, err := strconv.ParseUint(strings.TrimSuffix(name, ext), 10, 32)
		if err != nil || id >= maxFile || !f.Type().IsRegular() {
			return fmt.Errorf("%w: unexpected file %s", ErrCorrupt, name)
		}
		switch ext {
		case ".sst":
			p.tables[id] = false
		case ".mem":
			p.mems = append(p.mems, name)
		case ".vlog":
			p.vlogs[id] = name
		}
	}
	return nil
}

// readBounded reads a file that must not be larger than maxTable.
func readBounded(path string) ([]byte, error) {
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
		return nil, fmt.Errorf("%w: %s has %d bytes", ErrCorrupt, filepath.Base(path), info.Size())
	}
	b := make([]byte, info.Size())
	n, err := io.ReadFull(f, b)
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		err = nil
	}
	return b[:n], err
}

// logHeader is what a write-ahead log or a value log begins with: the number of an encryption key, which is 0 here,
// and 12 random bytes that matter to encryption only.
const logHeader = 8 + 12

// checkHeader makes sure that a log has a header that Badger accepts.
func (p *preflight) checkHeader(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // where an error is returned already
	var head [logHeader]byte
	n, err := f.ReadAt(head[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if n == logHeader && binary.BigEndian.Uint64(head[:]) == 0 {
		return nil
	}
	p.note("%s: header of %d bytes was replaced", filepath.Base(path), n)
	clear(head[:8])
	if _, err := f.WriteAt(head[:], 0); err != nil {
		return err
	}
	return f.Close()
}

// checkValueLogs repairs the headers and puts an empty file behind the last. Badger cuts the last value log at the
// first damaged entry, and so would lose what follows; of the empty one there is nothing to cut.
func (p *preflight) checkValueLogs() error {
	last := uint64(0)
	for id, name := range p.vlogs {
		if err := p.checkHeader(filepath.Join(p.dir, name)); err != nil {
			return err
		}
		last = max(last, id)
	}
	if len(p.vlogs) == 0 {
		return nil
	}
	info, err := os.Stat(filepath.Join(p.dir, p.vlogs[last]))
	if err != nil || info.Size() == logHeader {
		return err
	}
	path := filepath.Join(p.dir, fmt.Sprintf("%06d.vlog", last+1))
	return os.WriteFile(path, make([]byte, logHeader), 0o600)
}
