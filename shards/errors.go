package shards

import "errors"

var (
	// ErrSliver reports a sliver that does not match its root.
	ErrSliver = errors.New("invalid sliver")
	// ErrSymbol reports a symbol that its proof does not bind to its sliver.
	ErrSymbol = errors.New("invalid symbol")
	// ErrNotEnough reports too few slivers to decode, or symbols to rebuild.
	ErrNotEnough = errors.New("not enough")
	// ErrInconsistent reports slivers or symbols that match their roots but contradict the metadata: the blob was
	// encoded wrongly and has no valid content.
	ErrInconsistent = errors.New("inconsistent encoding")
	// ErrProof reports a cell proof or line proof that proves nothing.
	ErrProof = errors.New("invalid proof")
)
