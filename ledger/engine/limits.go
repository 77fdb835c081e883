package engine

import "time"

const (
	// maxTxs bounds the transactions of a block, in bytes as CometBFT counts them: some 2500 transfers. At a few MB/s
	// between nodes, or with many nodes on two cores, such a block is passed on and checked in well under a second.
	maxTxs = 512 << 10
	// maxBlock is the bound that CometBFT knows. A node picks from as much of what waits: from more than fits, so that
	// those who pay more come first.
	maxBlock = 4 << 20
	// maxEvidence bounds the evidence of misbehaviour in a block, in bytes.
	maxEvidence = 64 << 10
	// maxMessage bounds what one peer may have us collect into one message: a whole block, in a reply of block sync.
	maxMessage = maxBlock + 1<<20
	// maxPacket is the payload of one packet of the multiplexed connection, in bytes.
	maxPacket = 16 << 10
	// maxRate bounds what one peer sends us and we send it, in bytes per second.
	maxRate = 64 << 20

	// mempoolTxs and mempoolBytes bound the transactions that wait for a block here.
	mempoolTxs   = 20_000
	mempoolBytes = 32 << 20
	// mempoolSeen is of how many transactions we remember that we had them.
	mempoolSeen = 2 * mempoolTxs

	// blockQueue is how many replies of block sync wait for one peer: it asks for 20 at once.
	blockQueue = 24
	// txQueue is how many transactions wait for one peer.
	txQueue = 256

	// flushAfter is how long small packets to a peer wait for more.
	flushAfter = time.Millisecond

	// dialers bounds how many peers are dialed at the same time.
	dialers = 8
	// dialTimeout bounds finding and dialing a peer, and opening the stream.
	dialTimeout = 15 * time.Second
	// greetTimeout bounds the exchange at the beginning of a stream.
	greetTimeout = 5 * time.Second
	// writeTimeout is how long a peer may take nothing.
	writeTimeout = 10 * time.Second
	// sendTimeout is how long a message waits for room in a queue.
	sendTimeout = 10 * time.Second
	// pingInterval and pongTimeout find a dead peer behind a connection that looks alive.
	pingInterval, pongTimeout = 10 * time.Second, 8 * time.Second
	// retryFirst and retryMost bound the time between attempts to reach a peer.
	retryFirst, retryMost = 100 * time.Millisecond, 5 * time.Second
	// queryInterval is how often a peer is asked for votes that we may have missed. At the end we wait for one of them,
	// since the goroutines that ask look up only then.
	queryInterval = 200 * time.Millisecond
	// firstBeat is how soon after its start a network that stood still makes a block, though there may be nothing to do.
	firstBeat = time.Second
	// maxOld is after how many blocks from before its start, by its own clock, a node no longer hurries the next one.
	maxOld = 10
	// epochGrace is how much later than an epoch should end the block comes that lets it: clocks differ a little.
	epochGrace = 100 * time.Millisecond
	// endBeat is how soon the next block comes when an epoch should have ended and has not.
	endBeat = time.Second
	// stopTimeout bounds the end of consensus, which finishes the block it is at.
	stopTimeout = 20 * time.Second
)
