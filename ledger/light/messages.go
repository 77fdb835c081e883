package light

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/cometbft/cometbft/crypto/ed25519"
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	"github.com/cometbft/cometbft/types"

	"walrus/certs"
	"walrus/ledger"
	"walrus/ledger/merkle"
)

// The protocols, one for each kind of request. A stream carries one request and one answer.
const (
	blockProtocol     = "ledger-block"
	handoversProtocol = "ledger-handovers"
	readProtocol      = "ledger-read"
	submitProtocol    = "ledger-submit"
	receiptProtocol   = "ledger-receipt"
	historyProtocol   = "ledger-history"
	aboutProtocol     = "ledger-about"
	objectsProtocol   = "ledger-objects"
	snapshotsProtocol = "ledger-snapshots"
	rangeProtocol     = "ledger-range"
	clockProtocol     = "ledger-clock"
	protocolVersion   = "1.0.0"
)

// blockRequest asks for a header; at height 0 for the latest.
type blockRequest struct{ Height uint64 }

func (m *blockRequest) form(f *form) { f.u64("height", &m.Height) }

type blockAnswer struct {
	Block   *types.LightBlock
	Trouble string
}

func (m *blockAnswer) form(f *form) {
	blockForm(f, "block", &m.Block)
	f.text("trouble", &m.Trouble)
}

// readRequest asks for values at a height. The node may wait for that height.
type readRequest struct {
	At
	Keys [][]byte
}

func (m *readRequest) form(f *form) {
	f.u64("height", &m.Height)
	f.flag("exact", &m.Exact)
	f.u8("depth of the top", &m.Top)
	if m.Top > merkle.MaxTopDepth {
		f.fail("the top of the tree down to depth %d: at most %d", m.Top, merkle.MaxTopDepth)
	}
	list(f, "keys", &m.Keys, MaxKeys, 4, func(f *form, k *[]byte) { f.bytes("key", k, MaxKeySize) })
}

type readAnswer struct {
	Reading
	Trouble string
}

func (m *readAnswer) form(f *form) {
	f.u64("height", &m.Height)
	blockForm(f, "block", &m.Block)
	list(f, "items", &m.Items, MaxKeys, 8, (*form).item)
	f.bytes("top", &m.Top, merkle.MaxTopSize)
	f.text("trouble", &m.Trouble)
}

func (f *form) item(i *Item) {
	present := i.Value != nil
	f.flag("presence", &present)
	f.bytes("value", &i.Value, maxValue)
	if !present && len(i.Value) > 0 {
		f.fail("an absent value has %d bytes", len(i.Value))
	}
	switch {
	case !present:
		i.Value = nil
	case i.Value == nil:
		i.Value = []byte{}
	}
	nested(f, "proof", &i.Proof, merkle.MaxProofSize,
		func(p merkle.Proof) ([]byte, error) { return p.Marshal(), nil }, merkle.UnmarshalProof)
}

// submitRequest submits a transaction. The node waits for it and answers as to a receiptRequest.
type submitRequest struct{ Tx []byte }

func (m *submitRequest) form(f *form) { f.bytes("transaction", &m.Tx, ledger.MaxTxSize) }

// receiptRequest asks for a receipt. With Wait the node waits until there is one.
type receiptRequest struct {
	ID   ledger.TxID
	Wait bool
}

func (m *receiptRequest) form(f *form) {
	f.fixed("transaction ID", m.ID[:])
	f.flag("wait", &m.Wait)
}

func (m *Inclusion) form(f *form) {
	f.bytes("transaction", &m.Tx, ledger.MaxTxSize)
	nested(f, "receipt", &m.Receipt, ledger.MaxReceiptSize,
		func(r ledger.Receipt) ([]byte, error) { return r.Marshal(), nil }, ledger.UnmarshalReceipt)
	nested(f, "header", &m.Header, maxHeader, marshalHeader, unmarshalHeader)
	blockForm(f, "next block", &m.Next)
	total := uint64(m.Total)
	f.u64("number of transactions", &total)
	if m.Total = int64(total); m.Total < 1 || m.Total > 1<<maxAunts {
		f.fail("a block of %d transactions", total)
	}
	auntsForm(f, &m.InData)
	auntsForm(f, &m.InNext)
}

func auntsForm(f *form, v *[][]byte) {
	list(f, "hashes", v, maxAunts, merkleHash, func(f *form, h *[]byte) {
		if f.reading {
			*h = make([]byte, merkleHash)
		} else if len(*h) != merkleHash {
			f.fail("a hash of %d bytes", len(*h))
			return
		}
		f.fixed("hash", *h)
	})
}

// merkleHash is the size of the hashes in proofs of transactions and results, in bytes.
const merkleHash = 32

// historyRequest asks for at most Limit transactions of an account before a position.
type historyRequest struct {
	Account ledger.Address
	Before  Position
	Limit   uint32
}

func (m *historyRequest) form(f *form) {
	f.fixed("account", m.Account[:])
	f.u64("height", &m.Before.Height)
	f.u32("index", &m.Before.Index)
	limitForm(f, &m.Limit, MaxHistory)
}

// aboutRequest asks for at most Limit transactions of any subject before a position. The answer is a historyAnswer.
type aboutRequest struct {
	About  ledger.Subject
	Before Position
	Limit  uint32
}

func (m *aboutRequest) form(f *form) {
	f.u8("kind", (*uint8)(&m.About.Kind))
	if !m.About.Kind.Valid() {
		f.fail("kind of subject %d is unknown", m.About.Kind)
	}
	f.fixed("subject", m.About.ID[:])
	f.u64("height", &m.Before.Height)
	f.u32("index", &m.Before.Index)
	limitForm(f, &m.Limit, MaxHistory)
}

func limitForm(f *form, limit *uint32, most uint32) {
	f.u32("limit", limit)
	if *limit < 1 || *limit > most {
		f.fail("limit is %d: must be 1 to %d", *limit, most)
	}
}

// historyAnswer is a page. More means that the node has more, whether or not the page is full. The node has
// everything from the height Oldest on.
type historyAnswer struct {
	Inclusions []Inclusion
	More       bool
	Oldest     uint64
}

func (m *historyAnswer) form(f *form) {
	list(f, "transactions", &m.Inclusions, MaxHistory, 64, func(f *form, i *Inclusion) { i.form(f) })
	f.flag("more", &m.More)
	f.u64("oldest height", &m.Oldest)
}

// objectsRequest asks for at most Limit objects of a list after one.
type objectsRequest struct {
	Listing
	After ledger.ObjectID
	Limit uint32
}

func (m *objectsRequest) form(f *form) {
	f.fixed("account", m.Account[:])
	f.flag("offers", &m.Offers)
	f.u64("height", &m.Height)
	f.fixed("after", m.After[:])
	limitForm(f, &m.Limit, MaxObjects)
}

type objectsAnswer struct{ Objects []Object }

func (m *objectsAnswer) form(f *form) {
	list(f, "objects", &m.Objects, MaxObjects, len(ledger.ObjectID{})+1, func(f *form, o *Object) {
		f.fixed("object ID", o.ID[:])
		f.flag("kind", &o.Blob)
	})
}

// snapshotsRequest asks for the heights whose state the node serves.
type snapshotsRequest struct{}

func (m *snapshotsRequest) form(*form) {}

type snapshotsAnswer struct{ Heights []uint64 }

func (m *snapshotsAnswer) form(f *form) {
	list(f, "heights", &m.Heights, MaxSnapshots, 8, func(f *form, h *uint64) { f.u64("height", h) })
}

// rangeRequest asks for the pairs of the state at a height with paths between First and Last, about Limit bytes of
// them.
type rangeRequest struct {
	Height      uint64
	First, Last merkle.Hash
	Limit       uint32
}

func (m *rangeRequest) form(f *form) {
	f.u64("height", &m.Height)
	f.fixed("first path", m.First[:])
	f.fixed("last path", m.Last[:])
	limitForm(f, &m.Limit, MaxRange)
	if m.First.Compare(m.Last) > 0 {
		f.fail("first path %s is above the last, %s", m.First, m.Last)
	}
}

type rangeAnswer struct{ Range }

func (m *rangeAnswer) form(f *form) {
	f.bytes("pairs", &m.Pairs, MaxRange)
	f.flag("more", &m.More)
	nested(f, "proof", &m.Proof, merkle.MaxRangeProofSize,
		func(p merkle.RangeProof) ([]byte, error) { return p.Marshal(), nil }, merkle.UnmarshalRangeProof)
}

func blockForm(f *form, name string, v **types.LightBlock) {
	nested(f, name, v, maxBlock, marshalBlock, unmarshalBlock)
}

func marshalBlock(b *types.LightBlock) ([]byte, error) {
	if b == nil {
		return nil, errors.New("it is missing")
	}
	pb, err := b.ToProto()
	if err != nil {
		return nil, err
	}
	return pb.Marshal()
}

// unmarshalBlock decodes a block. It refuses bytes on which CometBFT's own functions would panic or spend too long.
func unmarshalBlock(b []byte) (*types.LightBlock, error) {
	var pb cmtproto.LightBlock
	if err := pb.Unmarshal(b); err != nil {
		return nil, errors.New("not the expected protobuf message")
	}
	if pb.SignedHeader == nil || pb.SignedHeader.Header == nil || pb.SignedHeader.Commit == nil || pb.ValidatorSet == nil {
		return nil, errors.New("header, signatures or validators are missing")
	}
	if n := len(pb.ValidatorSet.Validators); n == 0 || n > certs.MaxMembers ||
		n != len(pb.SignedHeader.Commit.Signatures) {
		return nil, fmt.Errorf("%d validators with %d signatures: must be equally many, 1 to %d",
			n, len(pb.SignedHeader.Commit.Signatures), certs.MaxMembers)
	}
	lb, err := types.LightBlockFromProto(&pb)
	if err != nil {
		return nil, err
	}
	seen := make(map[string]bool, len(lb.ValidatorSet.Validators))
	for _, v := range lb.ValidatorSet.Validators {
		if _, ok := v.PubKey.(ed25519.PubKey); !ok || v.VotingPower <= 0 || seen[string(v.Address)] {
			return nil, errors.New("a validator has no power or no Ed25519 key, or appears twice")
		}
		seen[string(v.Address)] = true
	}
	return lb, nil
}

func marshalHeader(h *types.Header) ([]byte, error) {
	if h == nil {
		return nil, errors.New("it is missing")
	}
	return h.ToProto().Marshal()
}

func unmarshalHeader(b []byte) (*types.Header, error) {
	var pb cmtproto.Header
	if err := pb.Unmarshal(b); err != nil {
		return nil, errors.New("not the expected protobuf message")
	}
	h, err := types.HeaderFromProto(&pb)
	if err != nil {
		return nil, err
	}
	return &h, nil
}

// printable returns s with unprintable characters replaced, cut to maxText, so that a peer cannot write control
// sequences to a log or terminal.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s[:min(len(s), maxText)])
	for len(s) > maxText { // replacing may have made it longer
		_, n := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-n]
	}
	return s
}
