package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"

	"github.com/cometbft/cometbft/libs/autofile"
	"github.com/cometbft/cometbft/node"
)

// walFile: at this size in bytes the write-ahead log of consensus continues in a new file.
const walFile = 4 << 20

// wal bounds the write-ahead log. Recovery reads only the part after the end of the last block, which holds this
// node's votes for the block being made. CometBFT writes that end before the block is committed. Its own bound, 1 GB
// in files of 10 MB, counts bytes alone: it keeps far too much, and in a height of many rounds it could remove what
// recovery needs.
type wal struct {
	file int64 // walFile, except in tests; constant
	last int   // file in use when the block before was committed; owned by trim, starts at 0
}

// trim is called after each committed block by the goroutine that writes the log. It starts a new file if the current
// one is large, and removes files that recovery does not need. Recovery needs the end of this block. That was written
// after the block before had been committed, so files older than the file in use at that time do not have it.
func (w *wal) trim(n *node.Node) error {
	group := walGroup(n)
	if group == nil { // during block sync there is no log yet
		return nil
	}
	current := group.MaxIndex()
	if err := removeBefore(group.Head.Path, w.last); err != nil {
		return fmt.Errorf("trim the write-ahead log: %w", err)
	}
	w.last = current
	size, err := group.Head.Size()
	if err != nil {
		return fmt.Errorf("trim the write-ahead log: %w", err)
	}
	if size >= w.file {
		group.RotateFile() // panics on failure, as does every write to the log
	}
	return nil
}

// removeBefore removes the log's numbered files (path.000 and so on) whose number is less than first.
func removeBefore(path string, first int) error {
	files, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return err
	}
	for _, f := range files {
		number, ok := strings.CutPrefix(f.Name(), filepath.Base(path)+".")
		if i, err := strconv.ParseUint(number, 10, 31); !ok || err != nil || int(i) >= first {
			continue
		}
		if err := os.Remove(filepath.Join(filepath.Dir(path), f.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// closeWAL closes the write-ahead log's file, which CometBFT v0.40.0 forgets: two goroutines and a ticker would leak.
// Consensus must have stopped.
func closeWAL(n *node.Node) {
	if group := walGroup(n); group != nil {
		_ = group.Head.Close() // flushed and synced when the log stopped
	}
}

// walGroup returns the files of the write-ahead log; nil while it is not open. They are reachable only by reflection
// on field names. If CometBFT renames these, the log is no longer trimmed.
func walGroup(n *node.Node) *autofile.Group {
	group := field(field(field(reflect.ValueOf(n), "consensusState"), "wal"), "group")
	if !group.IsValid() || group.Type() != reflect.TypeFor[*autofile.Group]() || group.IsNil() {
		return nil
	}
	return (*autofile.Group)(group.UnsafePointer())
}

// field returns a field of the struct behind v, or the zero Value if there is none.
func field(v reflect.Value, name string) reflect.Value {
	for v.IsValid() && (v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface) {
		v = v.Elem()
	}
	if v.Kind() != reflect.Struct {
		return reflect.Value{}
	}
	return v.FieldByName(name)
}
