package p2p

import (
	"fmt"
	"time"

	"walrus/p2p/internal/wire"
)

// Limits on one message of the protocols. All peers share them.
const (
	// MaxMetadata bounds the metadata of a blob, in bytes. A network of 65535 shards needs this much.
	MaxMetadata = wire.MaxMetadata
	// UploadTokenSize is the size of an upload token, in bytes.
	UploadTokenSize = wire.TokenSize
	// InlinePairs bounds the pairs, in bytes, that are sent with their request. Before others the node is asked.
	InlinePairs = smallPayload
	// MaxPairs bounds the sliver pairs of one StorePairs. More pairs need more requests.
	MaxPairs = wire.MaxIndices
	// MaxTargets bounds the targets of one Symbols.
	MaxTargets = wire.MaxIndices
	// MaxSlivers bounds the slivers of one SymbolQuery.
	MaxSlivers = wire.MaxSlivers
	// MaxLeaves bounds the targets of one Leaves.
	MaxLeaves = wire.MaxLeaves
	// MaxEvidence bounds the evidence that a blob is invalid, in bytes.
	MaxEvidence = wire.MaxEvidence
	// MaxSymbolsBytes bounds the symbols and proofs of one Symbols, in bytes. The one who asks holds them in memory.
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
	// MaxFault bounds the evidence that convicts a node, in bytes.
	MaxFault = wire.MaxFault
	// MaxReceipts bounds a monitor's receipts of one node in one round, in bytes.
	MaxReceipts = wire.MaxReceipts
	// MaxRoundMessage bounds a message about a round in gossip, in bytes. An attestation has 4096 at most; a proof of
	// equivocation has two.
	MaxRoundMessage = 8195
	// MaxHistory bounds the points of a node's history.
	MaxHistory = wire.MaxHistory
)

const (
	// writeSize is the raw data of one write, in bytes. Smaller writes cost more CPU: 13 % at 64 KiB.
	writeSize = 256 << 10
	// smallPayload bounds a payload sent in the same write as its header. It is below the first receive window of every
	// transport (256 KiB), so the write does not wait for the peer.
	smallPayload = 64 << 10
	// readBuffer sizes the read buffer of a stream. Nearly all headers fit in; longer reads bypass it.
	readBuffer = 4 << 10
	// answerCost counts against the bytes in flight for an answer in memory whose size is not known beforehand.
	// Metadata of 1000 shards is about this long.
	answerCost = 64 << 10
	// idlePerPeer bounds the idle streams kept for one peer and protocol. A burst of small requests needs no more.
	idlePerPeer = 16
	// uploadPatience multiplies the time for which an uploader may stall. An uploader that feeds many nodes in step is
	// held up by a dead node for ProgressTime, until it gives that node up.
	uploadPatience = 3
	// refuseTime bounds an uploader's wait for the peer's reason after the stream broke.
	refuseTime = 2 * time.Second
)

// Limits bound the resources that peers can use here, and the time this host waits for them. Start from DefaultLimits.
type Limits struct {
	// Conns bounds connections.
	Conns ConnLimits
	// Dials bounds new connections that this host makes. The zero value: no bound.
	Dials DialLimits
	// Memory bounds libp2p's memory for connections and streams, in bytes. The streams that strangers and payers open get
	// three eighths of it at most; each takes 256 KiB.
	Memory int64

	// StreamsPerPeer bounds the streams that one peer may have open to one protocol here.
	StreamsPerPeer int
	// Requests and RequestsPerPeer bound the requests served at the same time, in all and for one peer. Further
	// requests get ErrBusy. A quarter of all is kept for protected peers, an eighth for payers, and an eighth for
	// strangers. A peer gets at most a quarter of the room that is free for its class; the peers of one account, or the
	// strangers of one network, half of it.
	Requests, RequestsPerPeer int
	// Bytes and BytesPerPeer bound the bytes in flight in the same way. A streamed sliver counts 256 KiB. Data in
	// memory counts in full, up to BytesPerPeer.
	Bytes, BytesPerPeer int64

	// OpenTimeout bounds the opening of a stream, including the dial if there is no connection.
	OpenTimeout time.Duration
	// HeaderTimeout bounds the arrival of a request's header, from its first byte.
	HeaderTimeout time.Duration
	// ResponseTimeout bounds the wait for a response, and a Backend's time for a response that is not streamed.
	ResponseTimeout time.Duration
	// ProgressBytes of raw data must arrive from a peer in every ProgressTime spent waiting for it, or in three times
	// ProgressTime for an upload. In return, a peer must take each 256 KiB we write within ProgressTime.
	ProgressBytes int64
	ProgressTime  time.Duration
	// IdleTimeout bounds the life of an unused stream at the client. The server waits half as long again.
	IdleTimeout time.Duration
}

// ConnLimits bound connections. Strangers are all peers that are not protected. Limits per address and network concern
// only the connections that strangers dialled.
type ConnLimits struct {
	// Connections above High are trimmed until Low are left to strangers. Protected peers are never trimmed.
	Low, High int
	// Strangers bounds the connections that strangers dialled; StrangersOut bounds our connections to strangers.
	Strangers, StrangersOut int
	// Members is the number of connections for which room is kept beside the strangers'.
	Members int
	// Handshakes bounds the accepted connections that have not proved an identity yet.
	Handshakes int
	// PerIP bounds the strangers at one IPv4 address or IPv6 /56: a few nodes behind one NAT. PerNet bounds them in a
	// /24 or a /48, and PerBlock in an IPv6 /32.
	PerIP, PerNet, PerBlock int
	// All bounds the connections together, protected peers' included; strangers that dial us get nine tenths of it. 0: the
	// other bounds are enough. A small router forgets connections when it has too many.
	All int
	// LimitPrivate applies the limits per address and network to private and loopback addresses, too. By default only
	// Strangers bounds these: they cannot come from the Internet, and all containers, or a whole devnet, may share one.
	LimitPrivate bool
}

// DialLimits bound the peers dialled: Burst at once, and PerSecond on average. A third of the burst is kept for
// protected peers. A dial beyond the limits waits for its turn.
type DialLimits struct {
	PerSecond float64
	Burst     int
}

// HomeLimits suit a host behind a small router, whose table of connections is short: at most 150 connections, and one
// new one a second on average. The burst lets it reach a whole committee at the start.
func HomeLimits() Limits {
	l := DefaultLimits()
	l.Conns.All, l.Conns.Low, l.Conns.High = homeConns, homeConns*2/3, homeConns*4/5
	l.Conns.Strangers, l.Conns.StrangersOut = homeConns/2, homeConns/2
	l.Dials = DialLimits{PerSecond: homeDialsPerSecond, Burst: homeConns}
	return l
}

const (
	homeConns          = 150
	homeDialsPerSecond = 1
)

// DefaultLimits suit a storage node or gateway with 2 GiB of memory or more.
func DefaultLimits() Limits {
	return Limits{
		Conns:  DefaultConnLimits(),
		Memory: 1 << 30,

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

// DefaultConnLimits are part of DefaultLimits.
func DefaultConnLimits() ConnLimits {
	return ConnLimits{
		Low: 400, High: 600,
		Strangers: 600, StrangersOut: 300,
		Members: 1024, Handshakes: 512,
		PerIP: 32, PerNet: 64, PerBlock: 128,
	}
}

// Validate checks that every limit is positive, and that no limit for a part is above the limit for the whole.
func (l Limits) Validate() error {
	for _, v := range []struct {
		name  string
		value int64
	}{
		{"conns low", int64(l.Conns.Low)}, {"conns high", int64(l.Conns.High)}, {"conns of strangers", int64(l.Conns.Strangers)},
		{"conns to strangers", int64(l.Conns.StrangersOut)}, {"conns of members", int64(l.Conns.Members)}, {"handshakes", int64(l.Conns.Handshakes)},
		{"conns per IP", int64(l.Conns.PerIP)}, {"conns per net", int64(l.Conns.PerNet)}, {"conns per block", int64(l.Conns.PerBlock)},
		{"memory", l.Memory},
		{"streams per peer", int64(l.StreamsPerPeer)}, {"requests", int64(l.Requests)}, {"requests per peer", int64(l.RequestsPerPeer)},
		{"bytes", l.Bytes}, {"bytes per peer", l.BytesPerPeer}, {"progress bytes", l.ProgressBytes},
		{"open timeout", int64(l.OpenTimeout)}, {"header timeout", int64(l.HeaderTimeout)}, {"response timeout", int64(l.ResponseTimeout)},
		{"progress time", int64(l.ProgressTime)}, {"idle timeout", int64(l.IdleTimeout)},
	} {
		if v.value <= 0 {
			return fmt.Errorf("limits: %s is %d: must be positive", v.name, v.value)
		}
	}
	if l.Conns.All < 0 || l.Dials.Burst < 0 || l.Dials.PerSecond < 0 || (l.Dials.Burst > 0) != (l.Dials.PerSecond > 0) {
		return fmt.Errorf("limits: %d connections in all, dials %+v: must not be negative, and dials need a rate and a burst", l.Conns.All, l.Dials)
	}
	for _, v := range []struct {
		part, whole string
		low, high   int64
	}{
		{"conns low", "conns high", int64(l.Conns.Low), int64(l.Conns.High)},
		{"conns per IP", "conns per net", int64(l.Conns.PerIP), int64(l.Conns.PerNet)},
		{"conns per net", "conns per block", int64(l.Conns.PerNet), int64(l.Conns.PerBlock)},
		{"requests per peer", "requests", int64(l.RequestsPerPeer), int64(l.Requests)},
		{"bytes per peer", "bytes", l.BytesPerPeer, l.Bytes},
	} {
		if v.low > v.high {
			return fmt.Errorf("limits: %s is %d, above %s, which is %d: lower it", v.part, v.low, v.whole, v.high)
		}
	}
	return nil
}
