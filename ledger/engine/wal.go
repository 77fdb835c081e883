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

// walFile is the size in bytes from which consensus' write-ahead log goes on in a new file.
const walFile = 4 << 20

// wal bounds the write-ahead log. Recovery needs no more of it than what comes after the end of the last block: with that
// a node knows again what it has voted for in the block that is being made. CometBFT writes that end before the block is
// committed, and never looks at what is before it. Its own bound, 1 GB in files of 10 MB, goes by size alone: it keeps
// far more than that, and of a height that takes many rounds it could remove what is needed.
type wal struct {
	file int64 // walFile, but in tests; constant
	last int   // the file that was written to when the block before was committed; owned by trim, which begins with 0
}

// trim is called when a block has been committed, by the goroutine that writes the log. It begins a new file when the
// current one is large, and removes those that recovery does not need: the end of this block was written after the one
// before had been committed, to a file that was not older than the one of that moment.
func (w *wal) trim(n *node.Node) error {
	group := walGroup(n)
	if group == nil { // blocks are fetched, and there is no log yet
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
		group.RotateFile() // panics when it cannot, as all that writes to the log does
	}
	return nil
}

// removeBefore removes the files of a log whose number is less than first: path.000 and so on.
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

// closeWAL closes the file of the write-ahead log, which CometBFT v0.40.0 forgets: two goroutines and a ticker would stay
// behind. Consensus must have stopped.
func closeWAL(n *node.Node) {
	if group := walGroup(n); group != nil {
		_ = group.Head.Close() // it was flushed and synced when the log stopped
	}
}

// walGroup has the files of the write-ahead log; nil while it is not open. There is no way to it but by its fields' names;
// when they are others some day, the log is left as it is.
func walGroup(n *node.Node) *autofile.Group {
	group := field(field(field(reflect.ValueOf(n), "consensusState"), "wal"), "group")
	if !group.IsValid() || group.Type() != reflect.TypeFor[*autofile.Group]() || group.IsNil() {
		return nil
	}
	return (*autofile.Group)(group.UnsafePointer())
}

// field is the field of the struct behind v, or nothing if there is none.
func field(v reflect.Value, name string) reflect.Value {
	for v.IsValid() && (v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface) {
		v = v.Elem()
	}
	if v.Kind() != reflect.Struct {
		return reflect.Value{}
	}
	return v.FieldByName(name)
}
