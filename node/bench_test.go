package node_test

import (
	"bytes"
	"io"
	"testing"

	"walrus/client"
)

// BenchmarkSwarm stores and reads 200 MB on seven nodes in one process, over real sockets: everything that a node and
// a client do, for profiles.
func BenchmarkSwarm(b *testing.B) {
	const size = 200_000_000
	c := newCluster(b, 7, 100)
	c.useLoopback()
	defer c.stopAll()
	c.startAll()
	cn := c.client(0)
	defer func() { must(b, cn.Close()) }()
	cl := cn.Client()
	data := random(b, size)
	var last *client.StoreResult
	b.Run("store", func(b *testing.B) {
		b.SetBytes(size)
		for i := range b.N {
			data[0], data[1], data[2] = byte(i), byte(i>>8), byte(b.N) // another blob each time
			res, err := cl.Store(b.Context(), bytes.NewReader(data), size, client.StoreOptions{})
			must(b, err)
			last = res
		}
	})
	b.Run("read", func(b *testing.B) {
		b.SetBytes(size)
		for range b.N {
			_, err := cl.Read(b.Context(), last.BlobID, io.Discard, client.ReadOptions{})
			must(b, err)
		}
	})
}
