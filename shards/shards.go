// Package shards implements RedStuff, the erasure code of Walrus: blob ↔ sliver pairs, recovery symbols with their
// Merkle proofs, metadata, blob IDs, and the mapping of pairs to shards. It is pure: no network, no disk of its own,
// no clock. Start with Params, then Encoder. The vectors in testdata hold it to the original, bit by bit.
//
// Package fft16 has the arithmetic, package treehash the hashing. A code is applied to vectors: the symbols of a row
// or a column packed side by side, in parts that fit a core's cache.
package shards
