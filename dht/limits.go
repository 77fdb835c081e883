package dht

import "time"

// Limits on what others can make us keep or do, and the paces of what we do by ourselves.
const (
	// maxBootstrap is far above any sensible list and bounds the first round of dials.
	maxBootstrap = 64
	// maxBookPeers × (maxPeerAddrs × maxAddrBytes + names and quotes) stays under maxBookBytes.
	maxBookPeers = 512
	// maxPeerAddrs is how many addresses of one peer we keep or dial. A dual-stack host with QUIC has about 8.
	maxPeerAddrs = 12
	maxAddrBytes = 256
	maxBookBytes = 2 << 20

	// bucketSize is Kademlia's k: how many servers keep a record, and how many neighbours of each distance one knows.
	bucketSize      = 20
	lightBucketSize = 8

	// maxRecords bounds the provider records kept for others, ~300 bytes each.
	maxRecords = 100_000
	// maxRecordsPerPeer keeps one announcer from filling the store.
	maxRecordsPerPeer = 10_000
	// recordValidity is how long a record lives without being announced again: a dead pin is forgotten in a day.
	recordValidity = 24 * time.Hour
	// recordAddrTTL is short since a storage node announces hourly: its old addresses should not outlive a move.
	recordAddrTTL = 2 * time.Hour
	// maxHolders is the most records one search returns.
	maxHolders = 1000

	// maxFoundQueue is how many peers seen by multicast wait to be dialled; more are dropped, they repeat themselves.
	maxFoundQueue = 32
	// maxEventQueue is how many new connections may wait to be written down.
	maxEventQueue = 256
	// maxErrorBytes bounds what one failed dial says.
	maxErrorBytes = 300
	// maxJoinDials is how many peers are dialled at once while joining.
	maxJoinDials = 8
	// joinSample is how many remembered peers are tried in one round of joining.
	joinSample = 32

	// dialTimeout bounds one dial while joining.
	dialTimeout = 10 * time.Second
	// reachTimeout bounds one attempt to find and dial a peer.
	reachTimeout = 15 * time.Second
	// headStart is how long known addresses are tried before the network is asked for newer ones: about one round
	// trip across the globe with its handshakes, so that a peer that has not moved costs no query.
	headStart = 500 * time.Millisecond
	// negativeTTL is how long a failed attempt answers for the next ones.
	negativeTTL = 2 * time.Second
	// maxFailures bounds the memory of failed attempts.
	maxFailures = 4096

	// The first retry to join follows after minRejoin, doubling to maxRejoin.
	minRejoin = 500 * time.Millisecond
	maxRejoin = 30 * time.Second
	// tableWait is how long a new connection may take to enter the table (identify and one query).
	tableWait = 3 * time.Second
	// tablePoll is how often the table is looked at while waiting; it has no notification.
	tablePoll = 20 * time.Millisecond
	// keepUp is how often bootstrap peers are dialled again once joined: one that restarted empty learns of us.
	keepUp = time.Minute
	// saveDelay gathers changes of the address book into one write.
	saveDelay = 10 * time.Second
	// Announcing repeats after minAnnounce, doubling to maxAnnounce: soon at first, while the network is forming
	// and the right keepers of the record are not in our table yet.
	minAnnounce = 15 * time.Second
	maxAnnounce = time.Hour
	// announceTimeout bounds one announcement.
	announceTimeout = time.Minute
)

// AnnounceEvery is how often an announced key must be announced again to stay findable.
const AnnounceEvery = recordValidity / 2
