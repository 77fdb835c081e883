// Package shards is RedStuff, the erasure code of Walrus: blob ↔ sliver pairs, recovery symbols with their Merkle
// proofs, metadata, blob IDs, and the mapping of pairs to shards. It is pure: no network, no disk of its own, no
// clock. Start with Params, then Encoder; bit-exactness with the original is held by the vectors in testdata.
package shards
