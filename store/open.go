package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"

	"walrus/internal/badgerdisk"
)

// formatVersion is the version of the on-disk format in doc.go; every database carries it.
// Version 1 kept no counts, version 2 no bytes that live: a segment was an end epoch, without a bound. Version 3 kept
// the accounts of segments in the segments, and had no lives.
const formatVersion = 4

// maxMoved bounds the damaged copies of one database.
const maxMoved = 1000

// opener opens databases.
type opener struct {
	cfg       Config
	log       *slog.Logger
	incidents *incidents // of the store
	usage     *usage     // of the store
	// running: the store is open. A database that the disk fails to read stays in place: the disk may read it later.
	running *atomic.Bool
}

// open opens or makes the database in path. A damaged database is moved aside and replaced. With salvage, a
// database that has lost some of its keys is used without them.
func (o opener) open(path string, salvage bool) (*database, error) {
	d, err := o.try(path, salvage)
	if err == nil || !damage(err) || o.running.Load() && badgerdisk.Unreadable(err) {
		return d, err
	}
	moved, merr := moveAside(path)
	if merr != nil {
		return nil, errors.Join(fmt.Errorf("open database %s: %w", path, err), merr)
	}
	o.log.Error("moved a damaged database aside: its contents must be fetched again",
		"path", path, "moved", moved, "err", err)
	o.incidents.add(Incident{Path: path, Moved: moved, Err: err})
	d, err = o.try(path, salvage)
	if err == nil {
		d.damaged = true
	}
	return d, err
}

func (o opener) try(path string, salvage bool) (*database, error) {
	if err := badgerdisk.MakeDir(path); err != nil {
		return nil, err
	}
	open := o.cfg.engine
	if open == nil {
		open = func(path string) (engine, error) { return o.badger(path, salvage) }
	}
	eng, err := open(path)
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", path, err)
	}
	d := newDatabase(path, eng)
	d.grew = o.usage.add
	counts := !salvage // meta does
	if err = d.checkFormat(counts); err == nil {
		err = d.loadMark()
		if counts {
			err = errors.Join(d.loadTally(), err)
		}
	}
	if b, ok := eng.(*badgerEngine); ok && b.repaired {
		d.damaged = true
		d.doubted.Store(true)
		d.suspect()
	}
	used, uerr := badgerdisk.Used(path)
	d.size.Store(used)
	err = errors.Join(err, uerr)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open database %s: %w", path, err), d.close())
	}
	return d, nil
}

// checkFormat refuses a database of a newer format. It marks a new one, and one of an older format, whose records must
// be counted, if it counts.
func (d *database) checkFormat(counts bool) error {
	key := []byte{keyFormat}
	v, err := d.record(key)
	if err != nil && !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrCorrupt) {
		return err
	}
	if err == nil && len(v) == 4 {
		if got := binary.BigEndian.Uint32(v); got > formatVersion {
			return fmt.Errorf("%w: %s has version %d, this program supports up to %d: use a newer program",
				ErrFormat, d.path, got, formatVersion)
		}
		if binary.BigEndian.Uint32(v) == formatVersion {
			return nil
		}
	}
	fresh := true
	err = d.scan(nil, nil, 1, 0, func([]byte) error {
		fresh = false
		return nil
	})
	if err != nil {
		return err
	}
	batch := []entry{{key: key, value: binary.BigEndian.AppendUint32(nil, formatVersion)}}
	if !fresh {
		batch = append(batch, markEntry(d.eng.index().version()))
		if counts {
			batch = append(batch, entry{key: tallyKey(tallyRefused)})
		}
	}
	if counts {
		return d.change(batch...)
	}
	return d.put(batch...)
}

// damage reports that the data is damaged. A database that we or the system refuse for another reason stays in place.
func damage(err error) bool {
	return !errors.Is(err, ErrFormat) && !errors.Is(err, ErrFull) && !errors.Is(err, ErrLocked) && !badgerdisk.Refused(err)
}

// moveAside renames a directory to the first free name of the form path.corrupt-n.
func moveAside(path string) (string, error) {
	for n := 1; n <= maxMoved; n++ {
		to := fmt.Sprintf("%s.corrupt-%d", path, n)
		if _, err := os.Lstat(to); errors.Is(err, os.ErrNotExist) {
			return to, os.Rename(path, to)
		}
	}
	return "", fmt.Errorf("move %s aside: there are %d damaged copies already: remove them", path, maxMoved)
}
