package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// formatVersion is the version of the on-disk format in doc.go; every database carries it.
const formatVersion = 1

// maxMoved bounds the copies of one database that were moved aside.
const maxMoved = 1000

// openDatabase opens or makes the database in path. One that is damaged is moved aside and replaced.
//
// salvage tells whether it may go on without some of its keys.
func (s *Store) openDatabase(path string, salvage bool) (*database, error) {
	d, err := s.tryDatabase(path, salvage)
	if err == nil || !damage(err) {
		return d, err
	}
	moved, merr := moveAside(path)
	if merr != nil {
		return nil, errors.Join(fmt.Errorf("open database %s: %w", path, err), merr)
	}
	s.log.Error("a damaged database was moved aside: what it held must be fetched again",
		"path", path, "moved", moved, "err", err)
	s.incidents.add(Incident{Path: path, Moved: moved, Err: err})
	return s.tryDatabase(path, salvage)
}

func (s *Store) tryDatabase(path string, salvage bool) (*database, error) {
	if err := makeDir(path); err != nil {
		return nil, err
	}
	open := s.cfg.engine
	if open == nil {
		open = func(path string) (engine, error) { return s.openBadger(path, salvage) }
	}
	eng, err := open(path)
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", path, err)
	}
	d := newDatabase(path, eng)
	err = d.checkFormat()
	if err == nil {
		err = eng.compact()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open database %s: %w", path, err), d.close())
	}
	return d, nil
}

// makeDir makes a directory that outlives a loss of power, unless it is there.
func makeDir(path string) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	if err := os.MkdirAll(path, 0o750); err != nil {
		return err
	}
	return syncPath(filepath.Dir(path))
}

// openBadger checks the files before Badger sees them.
func (s *Store) openBadger(path string, salvage bool) (engine, error) {
	opt := badgerOptions(path, s.cfg, s.log)
	if !salvage {
		// The small records of meta change, and only in the index does Badger reclaim what they were before.
		opt = opt.WithValueThreshold(s.cfg.MemTable / 8)
	}
	repaired, err := checkDatabase(&opt, salvage)
	if err != nil {
		return nil, err
	}
	for _, r := range repaired {
		s.log.Warn("a damaged file of a database was repaired", "path", path, "repair", r)
		s.incidents.add(Incident{Path: path, Err: fmt.Errorf("%w: %s", ErrCorrupt, r)})
	}
	return openBadger(opt)
}

// checkFormat refuses a database of a newer format and marks a new one.
func (d *database) checkFormat() error {
	key := []byte{keyFormat}
	v, err := d.record(key)
	if err != nil && !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrCorrupt) {
		return err
	}
	if err == nil && len(v) == 4 {
		if got := binary.BigEndian.Uint32(v); got > formatVersion {
			return fmt.Errorf("%w: %s has version %d and this program knows up to %d: use a newer program",
				ErrFormat, d.path, got, formatVersion)
		}
		return nil
	}
	return d.put(entry{key: key, value: binary.BigEndian.AppendUint32(nil, formatVersion)})
}

// damage tells data that is damaged from a system that refuses to open it.
func damage(err error) bool {
	if errors.Is(err, ErrFormat) || errors.Is(err, ErrFull) {
		return false
	}
	for _, r := range refusals {
		// Badger keeps only the text of an error's cause.
		if errors.Is(err, r) || strings.Contains(err.Error(), r.Error()) {
			return false
		}
	}
	return true
}

// moveAside renames a directory to the first free name of the form path.corrupt-n.
func moveAside(path string) (string, error) {
	for n := 1; n <= maxMoved; n++ {
		to := fmt.Sprintf("%s.corrupt-%d", path, n)
		if _, err := os.Lstat(to); errors.Is(err, os.ErrNotExist) {
			return to, os.Rename(path, to)
		}
	}
	return "", fmt.Errorf("move %s aside: %d damaged copies are there: remove them", path, maxMoved)
}
