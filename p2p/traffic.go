package p2p

import (
	"sync/atomic"

	"github.com/libp2p/go-libp2p/core/network"
)

// traffic counts the bytes of this package's stream protocols, asked and served. Those of the ledger, of gossip and of the
// way into the network are others'.
type traffic struct{ received, sent atomic.Uint64 }

// Traffic is how many bytes the stream protocols have received and sent since the host was opened.
func (h *Host) Traffic() (received, sent uint64) {
	return h.traffic.received.Load(), h.traffic.sent.Load()
}

// countedStream counts what goes through a stream.
type countedStream struct {
	network.Stream
	traffic *traffic
}

func (s countedStream) Read(b []byte) (int, error) {
	n, err := s.Stream.Read(b)
	s.traffic.received.Add(uint64(n))
	return n, err
}

func (s countedStream) Write(b []byte) (int, error) {
	n, err := s.Stream.Write(b)
	s.traffic.sent.Add(uint64(n))
	return n, err
}
