// Package round has the rules of a monitor's round: when it is, who probes whom, how an outcome is decided, and the
// signed messages that tell of it. It is pure: no clock, network, disk or chance. Callers pass the time, and
// unpredictable numbers come from the ledger's seed. Start with Assign, then Attestation, Probe and Book.
//
// Messages are gossiped on one topic. The first byte tells the kind. Integers are little-endian; a signature is Ed25519
// over a domain, the network ID and all bytes of the message before it. docs/monitors.md has every byte.
package round

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/crypto/blake2b"

	"walrus/certs"
)

const (
	// PerEpoch: an epoch has at least about this many rounds, so a day's epoch has rounds of ten minutes at most.
	PerEpoch = 144
	// PerMember: a small network costs each other little, and its people are told sooner. A hundred members make ten
	// minutes.
	PerMember = 6 * time.Second
	// MinLength and MaxLength bound a round. In five seconds three questions and a second try fit.
	MinLength = 5 * time.Second
	MaxLength = 10 * time.Minute
	// asking: the share of a round, in percent, in which probes begin. The rest is for answers.
	asking = 80
)

// Length returns the length of the rounds of a network, in whole seconds. It follows from the genesis: the duration of
// an epoch, and the number of the first members.
func Length(epoch time.Duration, members int) time.Duration {
	members = min(members, int(MaxLength/PerMember))
	return min(max(min(epoch/PerEpoch, time.Duration(members)*PerMember).Truncate(time.Second), MinLength), MaxLength)
}

// Number returns the number of the round that contains t: whole lengths since 1970. It is 0 before.
func Number(t time.Time, length time.Duration) uint64 {
	s, l := t.Unix(), int64(length/time.Second)
	if s < 0 || l < 1 {
		return 0
	}
	return uint64(s / l)
}

// maxNumber keeps Start within the range of time.Time; rounds of messages are compared with the clock before.
const maxNumber = 1 << 40

// Start returns the beginning of a round. Numbers beyond 2^40 count as that.
func Start(number uint64, length time.Duration) time.Time {
	return time.Unix(int64(min(number, maxNumber))*int64(length/time.Second), 0).UTC()
}

// Seed decides who probes whom in a round, and when. Nobody can predict it before the round.
type Seed [32]byte

const seedDomain = "walrus monitor seed 1\x00"

// NewSeed makes the seed of a round. appHash is the state's root after the newest block whose time is before the round
// begins. BLAKE2b-256 over domain ‖ network ID ‖ app hash ‖ round u64.
func NewSeed(network certs.NetworkID, appHash [32]byte, round uint64) Seed {
	b := append(make([]byte, 0, 128), seedDomain...)
	b = append(b, network[:]...)
	b = append(b, appHash[:]...)
	return blake2b.Sum256(binary.LittleEndian.AppendUint64(b, round))
}

// Key is an Ed25519 public key: the identity of a monitor or a storage node.
type Key [32]byte

// identity precedes an Ed25519 key in its peer ID: identity multihash of 36 bytes, key type 1, 32 bytes of key.
const identity = "\x00\x24\x08\x01\x12\x20"

// KeyOf returns the key in a peer ID. Other kinds of keys are an error.
func KeyOf(id peer.ID) (k Key, err error) {
	if len(id) != len(identity)+len(k) || id[:len(identity)] != identity {
		return k, fmt.Errorf("peer %s: not an Ed25519 key", id)
	}
	copy(k[:], id[len(identity):])
	return k, nil
}

// Peer returns the peer ID of the key.
func (k Key) Peer() peer.ID { return peer.ID(identity + string(k[:])) }

func (k Key) String() string { return k.Peer().String() }

// Offset returns how long after the beginning of the round a monitor begins to probe a node: spread evenly over the
// first 80 %. secret is known to the monitor alone, so that the node cannot be ready just then.
func Offset(secret [32]byte, number uint64, node Key, length time.Duration) time.Duration {
	b := append(secret[:len(secret):len(secret)], node[:]...)
	h := blake2b.Sum256(binary.LittleEndian.AppendUint64(b, number))
	span := uint64(length / 100 * asking)
	if span == 0 {
		return 0
	}
	return time.Duration(binary.LittleEndian.Uint64(h[:]) % span)
}
