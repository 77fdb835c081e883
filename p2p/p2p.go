// Package p2p opens the one libp2p host of a process and runs our own protocols on it: requests about blobs, requests
// about nodes, and gossip in topics. It moves and bounds bytes, and decides nothing about their meaning. A Backend
// supplies a node's answers. Package dht finds peers and their addresses.
//
// Start with New. Then call Host.Serve on a storage node, the request methods of Host on a client, and
// Host.Join on every node that takes part in gossip.
package p2p
