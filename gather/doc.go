// Package gather collects verified symbols of a blob from any k of its n holders. It decides who is asked next, who is
// slow, who lies, and when nobody is left to ask. A client recovers the columns of a quilt with it, and a storage node
// rebuilds its own slivers.
//
// The decisions are pure: plan is told what happened and when, and answers with the slivers to ask for. testdata holds
// its traces. Symbols does the work around it: it asks a Swarm, in goroutines, and verifies every symbol. Holders is
// the record of how each holder behaved; readers of whole rows and columns keep one too.
//
// The package does not connect, decode, store or log. Start with Symbols.
package gather
