package engine

import (
	"time"

	"walrus/ledger"
)

const (
	// maxTxs bounds the transactions of a block, in bytes as CometBFT counts them: some 2500 transfers. At a few MB/s
	// between nodes, or with many nodes on two cores, such a block is passed on and checked in well under a second.
	maxTxs = 512 << 10
	// maxBlock is CometBFT's bound on a block, in bytes.
	maxBlock = 4 << 20
	// maxEvidence bounds the evidence of misbehaviour in a block, in bytes.
	maxEvidence = 64 << 10
	// maxMessage bounds one message that we collect from a peer, in bytes: a whole block, in a reply of block sync.
	maxMessage = maxBlock + 1<<20
	// maxPacket is the payload of one packet of the multiplexed connection, in bytes.
	maxPacket = 16 << 10
	// maxRate bounds the traffic with one peer in each direction, in bytes per second.
	maxRate = 64 << 20

	// degree is the number of peers to which a node passes a transaction on. If each of many nodes passes it on to 8
	// that are random, all but one in 3,000 get it.
	degree = 8
	// batchBytes and batchTxs bound the transactions in one message. One transaction always fits.
	batchBytes, batchTxs = ledger.MaxTxSize, 256
	// neighbourBytes bounds the transactions queued for one peer, and those that came from it and wait to be checked:
	// two full blocks each.
	neighbourBytes = 2 * maxTxs
	// remindEvery is the number of blocks between reminders, and remindBytes their size, a quarter of a block: see
	// gossip.remind.
	remindEvery, remindBytes = 16, maxTxs / 4

	// blockQueue is the number of block sync replies queued for one peer, which asks for 20 at once.
	blockQueue = 24
	// txQueue is the number of messages with transactions queued for one peer.
	txQueue = 4

	// trustEpochs is the trust period in epochs: the time in which a client may believe a header, and in which evidence of
	// double signing counts.
	trustEpochs = 2
	// DefaultRetain is Config.Retain by default: 30 days, longer than two epochs of 14 days.
	DefaultRetain = 30 * 24 * time.Hour

	// flushAfter is the time that small packets to a peer wait for more.
	flushAfter = time.Millisecond

	// dialers bounds the peers dialed at the same time.
	dialers = 8
	// dialTimeout bounds finding and dialing a peer, and opening the stream.
	dialTimeout = 15 * time.Second
	// greetTimeout bounds the exchange at the beginning of a stream.
	greetTimeout = 5 * time.Second
	// writeTimeout: a peer that accepts no bytes for this long is cut off.
	writeTimeout = 10 * time.Second
	// sendTimeout bounds the wait of a message for room in a queue.
	sendTimeout = 10 * time.Second
	// pingInterval and pongTimeout find a dead peer behind a connection that looks alive.
	pingInterval, pongTimeout = 10 * time.Second, 8 * time.Second
	// retryFirst and retryMost bound the time between attempts to reach a peer.
	retryFirst, retryMost = 100 * time.Millisecond, 5 * time.Second
	// queryInterval is the pause between queries to a peer for votes that we may have missed. Shutdown waits for one
	// interval, because the querying goroutines notice the end only then.
	queryInterval = 200 * time.Millisecond
	// firstBeat: a network that starts again makes a block after this time, even without transactions.
	firstBeat = time.Second
	// maxOld: after this many blocks from before its start, by its own clock, a node no longer hurries the next one.
	maxOld = 10
	// epochGrace delays the block that may end an epoch past its scheduled end, because clocks differ a little.
	epochGrace = 100 * time.Millisecond
	// endBeat is the pause between blocks while an epoch is overdue.
	endBeat = time.Second
	// stopTimeout bounds the shutdown of consensus, which finishes its current block.
	stopTimeout = 20 * time.Second
)
