package p2p

import (
	"sync/atomic"

	"github.com/libp2p/go-libp2p/core/network"
)

// traffic counts the bytes of this package's stream protocols, as client and as server. It leaves out the ledger,
// gossip and the DHT.
type traffic struct{ received, sent atomic.Uint64 }

// Traffic returns the bytes that the stream protocols have received and sent since the host was opened.
func (h *Host) Traffic() (received, sent uint64) {
	return h.traffic.received.Load(), h.traffic.sent.Load()
}

// countedStream counts the bytes of a stream.
type countedStream struct {
	network.Stream
	traffic *traffic
}

// counted counts the bytes of a stream, unless they stay in this process.
func (h *Host) counted(st network.Stream) network.Stream {
	if _, own := st.(*selfStream); own {
		return st
	}
	return countedStream{st, &h.traffic}
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
