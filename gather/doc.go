// Package gather gets a blob's verified bytes from any k of its n holders, some of them slow, some lying. It decides
// who is asked next, who is no longer counted on, who is not asked again, and when it is done or impossible. A client
// reads rows and recovers the columns of a quilt with it, and a storage node rebuilds its own slivers.
//
// The decisions are pure step functions, without clock, network or goroutines. There are two plans: one for symbols,
// whose traces are testdata/symbols-*.txt, and Rows for whole rows written out in order, testdata/rows-*.txt. Both keep
// their knowledge of each holder in Holders.
//
// Symbols runs the first plan: it asks a Swarm and verifies every symbol. Whoever uses Rows fetches and verifies the
// rows. The package does not connect, decode, store or log. Start with Symbols.
package gather
