package p2p

import (
	"fmt"
	"time"

	"walrus/p2p/internal/wire"
)

// Limits of the protocols: what one message can hold. They are the same for everybody.
const (
	// MaxMetadata bounds the metadata of a blob, in bytes: that of a network of 65535 shards.
	MaxMetadata = wire.MaxMetadata
	// MaxPairs bounds the sliver pairs of one StorePairs; more pairs take more requests.
	MaxPairs = wire.MaxIndices
	// MaxTargets bounds the targets of one Symbols.
	MaxTargets = wire.MaxIndices
	// MaxSymbolsBytes bounds the symbols and proofs of one Symbols, which both sides hold in memory.
	MaxSymbolsBytes = wire.MaxSymbols
	// MaxConfirmation bounds a confirmation, in bytes.
	MaxConfirmation = wire.MaxConfirmation
	// MaxCertificate bounds a certificate, in bytes, on streams and in gossip.
	MaxCertificate = wire.MaxCertificate
	// MaxCertificates bounds a page of Certificates.
	MaxCertificates = wire.MaxCertificates
	// MaxStatusText bounds each text in a NodeStatus, in bytes.
	MaxStatusText = wire.MaxStatusText
	// MaxIncidents bounds the incidents in a NodeStatus.
	MaxIncidents = wire.MaxIncidents
	// MaxAddresses bounds the addresses in a NodeStatus.
	MaxAddresses = wire.MaxAddresses
	// MaxHistory bounds the points of a node's history.
	MaxHistory = wire.MaxHistory
)

const (
	// writeSize is how much raw data goes into one write: less costs more CPU per byte (13 % at 64 KiB).
	writeSize = 256 << 10
	// smallPayload is what may follow a header in the same write. It is below the first receive window of every
	// transport (256 KiB), so that such a write does not wait for the peer.
	smallPayload = 64 << 10
	// readBuffer of a stream: headers fit in nearly always, longer reads go past it.
	readBuffer = 4 << 10
	// answerCost is what a request counts against the bytes in flight when its answer is in memory and its size is not known
	// beforehand: metadata of 1000 shards, roughly.
	answerCost = 64 << 10
	// idlePerPeer is how many idle streams are kept for one peer and protocol: enough for a burst of small requests.
	idlePerPeer = 16
	// uploadPatience is how many times longer than anyone else an uploader may stall: one that feeds many nodes in step
	// is held up by a dead one until it gives that one up, which takes it ProgressTime.
	uploadPatience = 3
	// refuseTime is how long an uploader whose stream broke waits for the peer's reason.
	refuseTime = 2 * time.Second
)

// Limits bound what peers can use of this host, and how long it waits for them. Start from DefaultLimits.
type Limits struct {
	// Connections kept: above High, those without protection are closed down to Low.
	ConnsLow, ConnsHigh int
	// Memory that libp2p may use for connections and streams, in bytes.
	Memory int64
	// ConnsPerIP is how many connections one public IP address may hold: a few nodes behind one NAT. Private and
	// loopback addresses are only bound by the total.
	ConnsPerIP int

	// Streams that one peer may have open to one protocol here.
	StreamsPerPeer int
	// Requests served at the same time, in all and for one peer; beyond that the answer is ErrBusy. A peer gets no
	// more than a quarter of what is free either.
	Requests, RequestsPerPeer int
	// Bytes in flight that requests hold in memory, likewise. A streamed sliver counts 256 KiB; what is in memory counts
	// whole, but no more than the limit for one peer.
	Bytes, BytesPerPeer int64

	// OpenTimeout bounds opening a stream, with dialing if there is no connection.
	OpenTimeout time.Duration
	// HeaderTimeout bounds the arrival of a request's header, from its first byte.
	HeaderTimeout time.Duration
	// ResponseTimeout bounds the wait for a response, and what a Backend may take for one that is not streamed.
	ResponseTimeout time.Duration
	// ProgressBytes of raw data must come from a peer in every ProgressTime spent waiting for it, or in three of them
	// for an upload; and a peer must take each 256 KiB we write within ProgressTime.
	ProgressBytes int64
	ProgressTime  time.Duration
	// IdleTimeout after which an unused stream is closed by the client; the server waits half as long again.
	IdleTimeout time.Duration
}

// DefaultLimits suit a storage node or gateway with 2 GiB of memory or more.
func DefaultLimits() Limits {
	return Limits{
		ConnsLow: 400, ConnsHigh: 600,
		Memory:     1 << 30,
		ConnsPerIP: 64,

		StreamsPerPeer: 320, // above RequestsPerPeer, so that the polite refusal comes first
		Requests:       1024, RequestsPerPeer: 256,
		Bytes: 512 << 20, BytesPerPeer: 64 << 20, // the latter is 256 streamed slivers

		OpenTimeout:     20 * time.Second,
		HeaderTimeout:   5 * time.Second,
		ResponseTimeout: 60 * time.Second, // a confirmation waits for the disk
		ProgressBytes:   64 << 10, ProgressTime: 20 * time.Second,
		IdleTimeout: 60 * time.Second,
	}
}

// Validate checks that every limit is positive and that those for one peer are not above those for all.
func (l Limits) Validate() error {
	for _, v := range []struct {
		name  string
		value int64
	}{
		{"conns low", int64(l.ConnsLow)}, {"conns high", int64(l.ConnsHigh)}, {"memory", l.Memory}, {"conns per IP", int64(l.ConnsPerIP)},
		{"streams per peer", int64(l.StreamsPerPeer)}, {"requests", int64(l.Requests)}, {"requests per peer", int64(l.RequestsPerPeer)},
		{"bytes", l.Bytes}, {"bytes per peer", l.BytesPerPeer}, {"progress bytes", l.ProgressBytes},
		{"open timeout", int64(l.OpenTimeout)}, {"header timeout", int64(l.HeaderTimeout)}, {"response timeout", int64(l.ResponseTimeout)},
		{"progress time", int64(l.ProgressTime)}, {"idle timeout", int64(l.IdleTimeout)},
	} {
		if v.value <= 0 {
			return fmt.Errorf("limits: %s is %d: must be positive", v.name, v.value)
		}
	}
	if l.ConnsLow > l.ConnsHigh || l.RequestsPerPeer > l.Requests || l.BytesPerPeer > l.Bytes {
		return fmt.Errorf("limits: a low or per-peer limit is above its high or total one")
	}
	return nil
}
