// Package gather gets a blob's verified bytes from any k of its n holders, some of them slow, some lying. It decides
// which holder is asked next, which is too slow to count on, which is not asked again, and when the fetch is complete
// or impossible. A client reads rows and recovers the columns of a quilt with it; a storage node rebuilds its own
// slivers.
//
// The decisions are pure step functions, without clock, network or goroutines. There are two plans: one for symbols
// (traces: testdata/symbols-*.txt), and Rows for whole rows written out in order (testdata/rows-*.txt). Both keep what
// they know of each holder in Holders.
//
// Symbols runs the first plan: it asks a Swarm and verifies every symbol. Callers of Rows fetch and verify the rows
// themselves. Metadata asks pinners for a blob's metadata. The package does not connect, decode, store or log. Start
// with Symbols.
package gather
