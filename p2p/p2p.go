// Package p2p is the one libp2p host of a process with everything that our own protocols need: the request/response
// protocols for blobs and for nodes, and the gossip of certificates. It moves and bounds bytes; it decides nothing about
// their meaning. Peers, addresses and the DHT are found elsewhere; what a node answers comes from a Backend.
//
// Start with New, then Host.Serve on a storage node, the request methods of Host on a client, and
// Host.Join on every node that takes part in gossip.
package p2p
