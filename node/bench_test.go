package node_test

import (
	"bytes"
	"io"
	"slices"
	"syscall"
	"testing"
	"time"

	"walrus/client"
)

// BenchmarkSwarm stores and reads 200 MB on seven nodes in one process, over real sockets. It is for profiles of
// nodes and client.
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
		used := cpu(b)
		defer func() { b.ReportMetric(float64((cpu(b)-used).Milliseconds())/float64(b.N), "cpu-ms/op") }()
		for i := range b.N {
			data[0], data[1], data[2] = byte(i), byte(i>>8), byte(b.N) // a new blob each time
			res, err := cl.Store(b.Context(), bytes.NewReader(data), size, client.StoreOptions{})
			must(b, err)
			last = res
		}
	})
	b.Run("read", func(b *testing.B) {
		b.SetBytes(size)
		used := cpu(b)
		defer func() { b.ReportMetric(float64((cpu(b)-used).Milliseconds())/float64(b.N), "cpu-ms/op") }()
		for range b.N {
			_, err := cl.Read(b.Context(), last.BlobID, io.Discard, client.ReadOptions{})
			must(b, err)
		}
	})
}

// cpu returns the processor time that this process has used.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	must(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkLedgerStore stores blobs of 1 MiB, one after the other, on seven nodes in one process with the real
// ledger. It reports the median, the 99th percentile, the time of each phase and the processor time of a store; on a
// busy machine the processor time is the most reliable.
func BenchmarkLedgerStore(b *testing.B) {
	const size = 1 << 20
	c := newCluster(b, 7, 100)
	c.useEngine(b)
	c.useLoopback()
	defer c.stopAll()
	c.startAll()
	cn := c.client(0)
	defer func() { must(b, cn.Close()) }()
	cl := cn.Client()
	data := random(b, size)
	var took, encoding, uploading []time.Duration
	used := cpu(b)
	for i := 0; b.Loop(); i++ {
		data[0], data[1] = byte(i), byte(i>>8) // a new blob each time
		start := time.Now()
		res, err := cl.Store(b.Context(), bytes.NewReader(data), size, client.StoreOptions{})
		must(b, err)
		took, encoding, uploading = append(took, time.Since(start)), append(encoding, res.Encoding), append(uploading,
			res.Uploading)
	}
	b.ReportMetric(float64((cpu(b)-used).Microseconds())/1000/float64(len(took)), "cpu-ms/store")
	for name, list := range map[string][]time.Duration{"": took, "encode-": encoding, "upload-": uploading} {
		slices.Sort(list)
		b.ReportMetric(float64(list[len(list)/2].Microseconds())/1000, name+"p50-ms")
		b.ReportMetric(float64(list[len(list)*99/100].Microseconds())/1000, name+"p99-ms")
	}
}
