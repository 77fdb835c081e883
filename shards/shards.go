// Package shards is RedStuff, the erasure code of Walrus: blob ↔ sliver pairs, recovery symbols with their Merkle
// proofs, metadata, blob IDs, and the mapping of pairs to shards. It is pure: no network, no disk of its own, no
// clock. Start with Params, then Encoder; bit-exactness with the original is held by the vectors in testdata.
//
// The arithmetic is in package fft16 and the hashing in package treehash. A code is applied to vectors, the symbols of
// a row or a column packed side by side, and in parts that fit a core's cache.
package shards
