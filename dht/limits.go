package dht

import "time"

// Limits on the memory and work that others can cause, and the pauses between our own actions.
const (
	// maxBootstrap bounds the first round of dials; it is far above any sensible list.
	maxBootstrap = 64
	// maxBookPeers × (maxPeerAddrs × maxAddrBytes + names and quotes) stays under maxBookBytes.
	// All members of a large committee fit.
	maxBookPeers = 1024
	// maxPeerAddrs bounds the addresses of one peer that are kept or dialled. A dual-stack host with QUIC has about
	// 8.
	maxPeerAddrs = 12
	maxAddrBytes = 256
	maxBookBytes = 4 << 20

	// maxProven bounds the proven addresses of one peer that are dialled, and maxDialled the claimed ones of each round
	// after them. The swarm dials 8 addresses of a peer at once: good ones must not wait behind bad ones that do not
	// answer.
	maxProven  = 4
	maxDialled = 4
	// maxClaimed bounds the addresses of one peer that are taken from one answer; maxClaims bounds the addresses taken
	// from all answers to one search.
	maxClaimed = 8
	maxClaims  = 128
	// maxStored bounds the addresses of a stranger in the peerstore, beyond which no claims are added.
	maxStored = 16
	// claimPause collects answers to a search before they are dialled.
	claimPause = 50 * time.Millisecond

	// searchPause separates two searches for a peer that nobody knew.
	searchPause = 250 * time.Millisecond

	// maxGroupPerBucket and maxGroupInTable bound the strangers of one IP group in a bucket of the routing table, and in
	// all of it.
	maxGroupPerBucket = 5
	maxGroupInTable   = 10

	// bucketSize is Kademlia's k: the number of servers that keep a record, and of neighbours known at each distance.
	bucketSize      = 20
	lightBucketSize = 8

	// maxRecords bounds the provider records kept for others, ~500 bytes each. A full store drops the oldest record of
	// the network that has the most.
	maxRecords = 100_000
	// maxRecordsPerPeer bounds the records of one announcer; maxRecordsPerNet bounds the records of all announcers in a
	// /24 of IPv4 or a /32 of IPv6. More are refused.
	maxRecordsPerPeer = 10_000
	maxRecordsPerNet  = 20_000
	// announceRate bounds the records of one announcer, or of a /24 of IPv4 or a /32 of IPv6, that are read in a second,
	// and announceBurst those after a pause. All records that one may have are read in 200 s; a record takes some 30 µs.
	announceRate, announceBurst = 50, 256
	// maxPaced bounds the announcers that are remembered for this, some 200 bytes each.
	maxPaced = 4096
	// recordValidity is the lifetime of a record that is not announced again: a dead pin is forgotten in a day.
	recordValidity = 24 * time.Hour
	// recordAddrTTL is the lifetime of addresses in records: as long as that of the records. A peer that pins blobs
	// announces each of them once a day, and may be known to nobody else. Addresses of a peer that has moved cost a
	// dial each.
	recordAddrTTL = recordValidity
	// maxHolders bounds the records that one search returns.
	maxHolders = 1000

	// maxFoundQueue bounds the peers found by multicast that wait to be dialled. More are dropped; they announce
	// again.
	maxFoundQueue = 32
	// maxEventQueue bounds the new connections that wait to be written down.
	maxEventQueue = 256
	// maxErrorBytes bounds the text of one failed dial's error.
	maxErrorBytes = 300
	// maxJoinDials bounds the peers dialled at once while joining.
	maxJoinDials = 8
	// joinSample is the number of remembered peers tried in one round of joining.
	joinSample = 32

	// dialTimeout bounds one dial while joining.
	dialTimeout = 10 * time.Second
	// reachTimeout bounds one attempt to find and dial a peer.
	reachTimeout = 15 * time.Second
	// punchTime bounds the wait for the hole punch after a relayed connection. It takes well under a second over TCP, and
	// 5 s over QUIC.
	punchTime = 10 * time.Second
	// headStart: known addresses are tried for this long before the network is asked for newer ones. It is about one
	// round trip across the globe with its handshakes, so that a peer that has not moved costs no query.
	headStart = 500 * time.Millisecond
	// negativeTTL: for this long after a failed attempt, further ones return its error.
	negativeTTL = 2 * time.Second
	// maxFailures bounds the failed attempts remembered.
	maxFailures = 4096

	// minRejoin is the pause before the first retry to join. It doubles up to maxRejoin.
	minRejoin = 500 * time.Millisecond
	maxRejoin = 30 * time.Second
	// tableWait bounds the wait for a new connection to enter the table (identify and one query).
	tableWait = 3 * time.Second
	// tablePoll is the pause between looks at the table, which has no notifications.
	tablePoll = 20 * time.Millisecond
	// keepUp is the pause between dials of bootstrap peers after joining: one that restarted empty then learns of us.
	keepUp = time.Minute
	// saveDelay collects changes of the address book into one write.
	saveDelay = 10 * time.Second
	// minAnnounce is the pause after the first announcement. It doubles up to maxAnnounce: short at first, while the
	// network is forming and the record's right keepers are not in our table yet.
	minAnnounce = 15 * time.Second
	maxAnnounce = time.Hour
	// announceTimeout bounds one announcement.
	announceTimeout = time.Minute
)

// AnnounceEvery is the greatest pause between announcements of a key that is to stay findable.
const AnnounceEvery = recordValidity / 2
