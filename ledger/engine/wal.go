package engine

import (
	"reflect"

	"github.com/cometbft/cometbft/libs/autofile"
	"github.com/cometbft/cometbft/node"
)

// closeWAL closes the file of the write-ahead log, which CometBFT v0.40.0 forgets: two goroutines and a ticker would stay
// behind. There is no way to it but by its fields' names; when they are others some day, the file is left as it is.
// Consensus must have stopped.
func closeWAL(n *node.Node) {
	wal := field(field(field(reflect.ValueOf(n), "consensusState"), "wal"), "group")
	if wal.IsValid() && wal.Type() == reflect.TypeFor[*autofile.Group]() && !wal.IsNil() {
		_ = (*autofile.Group)(wal.UnsafePointer()).Head.Close() // it was flushed and synced when the log stopped
	}
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
