package wire

// Limits of the format. Every length and count that comes from a peer is checked against one of them, or against what
// the caller expects, before it sizes or indexes anything.
const (
	// MaxHeader bounds a header. The longest is a list of MaxIndices indices, 3 bytes each.
	MaxHeader = 64 << 10
	// MaxShards is the greatest number of shards, pairs, or symbols of an expanded sliver: n fits a uint16.
	MaxShards = 65535
	// MaxIndices bounds the pairs of a StorePairs and the targets of a GetSymbols, so that the list fits a header.
	MaxIndices = 16 << 10
	// MaxMetadata is the metadata of a blob in the largest network: type, length, 2 roots of 32 bytes for each pair.
	MaxMetadata = 1 + 8 + 64*MaxShards
	// MaxSliver bounds a sliver, in bytes: 16 TiB, the greatest blob. Sums of a few of them do not overflow an int64.
	MaxSliver = 1 << 44
	// MaxSymbols bounds the bytes of all symbols and proofs of one response. They are held in memory on both sides;
	// a blob with longer symbols is repaired from slivers.
	MaxSymbols = 256 << 20
	// MaxProof bounds the hashes in the Merkle path of a symbol: 2^16 leaves.
	MaxProof = 16
	// MaxConfirmation bounds a confirmation: a signature of 96 bytes, and what it signs.
	MaxConfirmation = 1 << 10
	// MaxCertificate bounds a certificate: a signature of 96 bytes, what it signs, and two bytes for each signer, of up to
	// 4096 storage nodes. It has to fit a gossip message.
	MaxCertificate = 10 << 10
	// MaxCertificates bounds a page of certificates: 2.5 MiB at worst, a few tens of KiB with a hundred nodes.
	MaxCertificates = 256
	// MaxErrorText bounds the text of an error, in bytes.
	MaxErrorText = 512
	// MaxStatusText bounds each text in a node status, in bytes; with MaxIncidents of them the header stays far
	// below MaxHeader.
	MaxStatusText = 256
	// MaxIncidents bounds the incidents in a node status.
	MaxIncidents = 64
	// MaxAddresses bounds the addresses in a node status.
	MaxAddresses = 16
	// MaxHistory bounds the points of a node's history: those of a day and of a month fit.
	MaxHistory = 1024
	// HistoryPointSize is the size of a point, in bytes.
	HistoryPointSize = 8 * 8
	// ObjectSize is the size of the ID of a blob's record, in bytes.
	ObjectSize = 32
	// HashSize is the size of a blob ID and of every hash in a proof.
	HashSize = 32
)
