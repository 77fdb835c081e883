package wire

// Limits of the format. Every length and count from a peer is checked, against one of them or against the caller's
// expectation, before it sizes or indexes anything.
const (
	// MaxHeader bounds a header, in bytes. The longest has MaxIndices indices of 3 bytes each.
	MaxHeader = 64 << 10
	// MaxShards bounds the shards, the pairs, and the symbols of an expanded sliver: each number fits a uint16.
	MaxShards = 65535
	// TokenSize is the size of an upload token, in bytes.
	TokenSize = 136
	// MaxIndices bounds the pairs of a StorePairs and the targets of a GetSymbols, so the list fits a header.
	MaxIndices = 16 << 10
	// MaxMetadata bounds metadata, in bytes. In the largest network it has a type, a length, and 64 bytes for each
	// pair.
	MaxMetadata = 1 + 8 + 64*MaxShards
	// MaxSliver bounds a sliver, in bytes: 16 TiB, the greatest blob. The sum of a few slivers does not overflow an
	// int64.
	MaxSliver = 1 << 44
	// MaxSymbols bounds all symbols and proofs of one response, in bytes. The one who asks holds them in memory. Longer
	// symbols are asked for part by part.
	MaxSymbols = 256 << 20
	// MaxSlivers bounds the slivers of one GetSymbols: each is read and expanded.
	MaxSlivers = 64
	// Sizes in bytes: of the nonce of a question, and of the signature of its answer.
	NonceSize     = 16
	SignatureSize = 64
	// MaxLeaves bounds the targets of a GetLeaves: 557 KB with the longest proofs.
	MaxLeaves = 1 << 10
	// MaxEvidence bounds the evidence that a blob is invalid, in bytes: a cell proof has four paths of MaxProof hashes, a
	// refutation certificate two bytes for each of up to 4096 signers.
	MaxEvidence = 10 << 10
	// MaxRefutation bounds a refutation, in bytes: the signed fields and a signature of 96 bytes.
	MaxRefutation = 1 << 10
	// MaxProof bounds the hashes in the Merkle path of a symbol, among 2^16 leaves.
	MaxProof = 16
	// MaxConfirmation bounds a confirmation, in bytes: the signed fields and a signature of 96 bytes.
	MaxConfirmation = 1 << 10
	// MaxCertificate bounds a certificate, in bytes: the signed fields, a signature of 96 bytes, and two bytes for each
	// of up to 4096 signers. A certificate must fit a gossip message.
	MaxCertificate = 10 << 10
	// MaxCertificates bounds a page of certificates: 2.5 MiB at worst, a few tens of KiB with a hundred nodes.
	MaxCertificates = 256
	// MaxFault bounds the evidence that convicts a node, in bytes: probe.MaxEvidence.
	MaxFault = 64 << 10
	// ScoreSize is the size of one member's scores, in bytes, and MaxScores bounds those of a committee.
	ScoreSize = 6
	MaxScores = 4 + ScoreSize*4096
	// MaxReceipts bounds a monitor's receipts of one node in one round, in bytes.
	MaxReceipts = 128 << 10
	// MaxErrorText bounds the text of an error, in bytes.
	MaxErrorText = 512
	// MaxStatusText bounds each text in a node status, in bytes. Even with MaxIncidents texts a header stays far below
	// MaxHeader.
	MaxStatusText = 256
	// MaxIncidents bounds the incidents in a node status.
	MaxIncidents = 64
	// MaxAddresses bounds the addresses in a node status.
	MaxAddresses = 16
	// MaxHistory bounds the points of a node's history. The points of a day and of a month fit.
	MaxHistory = 1024
	// Sizes in bytes: of a point of a node's history, of the ID of a blob's record, of a blob ID and every hash in a
	// proof.
	HistoryPointSize = 8 * 8
	ObjectSize       = 32
	HashSize         = 32
)
