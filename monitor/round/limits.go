package round

import "walrus/certs"

const (
	// MaxNodes bounds the vector of an attestation: the largest committee.
	MaxNodes = certs.MaxMembers
	// MaxAnswers bounds the nodes that one monitor probes in a round, so that an attestation keeps to MaxAttestation.
	MaxAnswers = 1000
	// StrangerNodes: a monitor without weight probes so many nodes in a round, because its word does not count. It puts
	// StrangerQuestions questions to each, about StrangerBlobs blobs, and takes no samples of whole blobs. So a
	// thousand of them cost each of 100 nodes less than 0.1 % of 10 Mbit/s: docs/monitors.md has the account.
	StrangerNodes     = 3
	StrangerQuestions = 1
	StrangerBlobs     = 1
	// MaxAttestation bounds an attestation, in bytes: 2,521 with 1,000 nodes that all answer, 3,682 at the utmost.
	MaxAttestation = 4096
	// MaxReceipt bounds the node's signed answer in a rebuttal, in bytes: question, code and the payload's hash.
	MaxReceipt = 1024
	// MaxMessage bounds a message of the topic, in bytes: a proof of equivocation has two attestations.
	MaxMessage = 1 + 2 + 2*MaxAttestation
)
