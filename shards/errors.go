package shards

import "errors"

var (
	// ErrSliver reports a sliver that does not match its root.
	ErrSliver = errors.New("invalid sliver")
	// ErrSymbol reports a symbol that its proof does not bind to its sliver.
	ErrSymbol = errors.New("invalid symbol")
	// ErrNotEnough reports too few slivers to decode, or symbols to rebuild.
	ErrNotEnough = errors.New("not enough")
	// ErrInconsistent is returned when slivers or symbols that match their roots contradict the metadata: whoever
	// encoded the blob did it wrongly, and the blob has no valid content.
	ErrInconsistent = errors.New("inconsistent encoding")
)
