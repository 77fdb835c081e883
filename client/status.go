package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/certs"
	"walrus/ledger"
	"walrus/p2p"
	"walrus/shards"
)

// BlobStatus reports what the ledger and, shard by shard, the nodes know of a blob.
type BlobStatus struct {
	BlobID      shards.BlobID
	Size        uint64             // bytes of the blob; 0 if no node has its metadata
	EncodedSize int64              // bytes that all nodes store together
	Certificate *certs.Certificate // nil: no node has one, or the ledger no longer accepts it
	Signers     *certs.Committee   // of the certificate's epoch; nil without a certificate
	Shards      []ShardStatus      // by shard
	Bad         []BadNode          // nodes that lied or did not answer

	// LedgerErr gives the reason if the ledger's part, the following fields, is missing.
	LedgerErr      error
	Epoch          uint32          // current epoch
	Info           ledger.BlobInfo // all records of the blob together
	EndEpoch       uint32          // epoch at whose start the last registration ends; 0 if all have
	CertifiedEnd   uint32          // epoch at whose start the last certified registration ends; 0 if there is none
	CertifiedEpoch uint32          // epoch of the first certificate; 0 if there is none
	Permanent      bool            // a permanent record is certified: nobody can delete the blob
	Own            []OwnedBlob     // our records of the blob
	// Invalid says why the ledger has marked the blob; nil: it has not. An invalid blob counts as neither registered nor
	// certified.
	Invalid *InvalidBlobError
}

// States of a sliver, for ShardStatus.
const (
	Stored      = "stored"
	Missing     = "missing"
	Corrupt     = "corrupt"
	Repairing   = "repairing"
	Unreachable = "unreachable"
)

// ShardStatus holds the state of one shard's sliver pair, as its node reports it.
type ShardStatus struct {
	Shard     int     `json:"shard"`
	Pair      int     `json:"pair"`
	Node      peer.ID `json:"node"`
	Name      string  `json:"name"`
	Primary   string  `json:"primary"`
	Secondary string  `json:"secondary"`
}

// BlobStatus asks the ledger and every node about blob id. It returns ErrNotFound if the ledger has no live
// registration of it, or if the ledger cannot be asked and a quorum of shards does not know it. It returns
// *NotEnoughError if too few answer to tell.
func (c *Client) BlobStatus(ctx context.Context, id shards.BlobID) (*BlobStatus, error) {
	epoch, all, err := c.chain.Committees(ctx)
	if err != nil {
		return nil, fmt.Errorf("blob status: %w", err)
	}
	com, err := all.At(epoch)
	if err != nil {
		return nil, fmt.Errorf("blob status: %w", err)
	}
	params := com.Params()
	st := &BlobStatus{BlobID: id, Shards: make([]ShardStatus, params.Shards())}
	if st.LedgerErr = c.recordStatus(ctx, st); errors.Is(st.LedgerErr, ErrNotFound) {
		return nil, fmt.Errorf("blob status %s: %w", id, st.LedgerErr)
	}
	for i := range st.Shards {
		m := com.Owner(i)
		st.Shards[i] = ShardStatus{Shard: i, Pair: params.PairOnShard(id, i), Node: m.Node, Name: m.Name,
			Primary: Unreachable, Secondary: Unreachable}
	}
	c.askSlivers(ctx, com, all, st)
	if st.LedgerErr == nil && st.CertifiedEnd == 0 { // an old certificate, of a record that has ended or was deleted
		st.Certificate, st.Signers = nil, nil
	}
	if st.Invalid != nil { // nodes give nothing of it
		if cell := st.Invalid.Cell; cell != nil {
			st.Size, st.EncodedSize = cell.Length, params.EncodedSize(cell.Length)
		}
		return st, nil
	}
	// a node's word proves nothing: without the ledger, the blob exists if its certificate or its metadata does
	meta, _, err := c.metadata(ctx, com, id, "blob status "+id.String())
	if err != nil && st.Certificate == nil && st.LedgerErr != nil {
		return nil, err
	}
	if meta != nil {
		st.Size, st.EncodedSize = meta.Length, params.EncodedSize(meta.Length)
	}
	return st, nil
}

// recordStatus fills in the ledger's part. It returns ErrNotFound if no registration of the blob is live.
func (c *Client) recordStatus(ctx context.Context, st *BlobStatus) error {
	k, r, err := c.nowBy(ctx, c.chain.Peek, [][]byte{ledger.KeyBlobInfo(st.BlobID), ledger.KeyInvalidBlob(st.BlobID)})
	if err != nil {
		return err
	}
	if st.Info, err = ledger.ReadBlobInfo(r, st.BlobID); err != nil {
		return err
	}
	st.Epoch, st.EndEpoch, st.CertifiedEnd = k.epoch, st.Info.RegisteredUntil(k.epoch), st.Info.CertifiedUntil(k.epoch)
	st.Permanent = st.Info.PermanentCertifiedEnd > k.epoch && !st.Info.Invalid
	if st.CertifiedEnd > 0 {
		st.CertifiedEpoch = st.Info.InitialCertified
	}
	if st.Info.Invalid {
		if err := invalidBlob(r, st.BlobID); !errors.As(err, &st.Invalid) {
			return err
		}
		return c.ownRecords(ctx, st, &k)
	}
	if st.EndEpoch == 0 {
		return missing(&st.Info, k.epoch)
	}
	return c.ownRecords(ctx, st, &k)
}

// ownRecords adds our records of the blob.
func (c *Client) ownRecords(ctx context.Context, st *BlobStatus, k *known) error {
	if k.account.Blobs == 0 {
		return nil
	}
	own, err := c.ListBlobs(ctx, false)
	for _, b := range own {
		if b.BlobID == st.BlobID {
			st.Own = append(st.Own, b)
		}
	}
	return err
}

// askSlivers asks every node of com which slivers of the blob it has.
func (c *Client) askSlivers(ctx context.Context, com *certs.Committee, all certs.Committees, st *BlobStatus) {
	var mu sync.Mutex
	tally := c.nodes.ask(ctx, com, func(ctx context.Context, i int, m *certs.Member) (any, error) {
		s, err := c.nodes.BlobStatus(ctx, m.Node, st.BlobID)
		if err != nil {
			return nil, err
		}
		mu.Lock()
		defer mu.Unlock()
		st.record(m, s)
		if len(s.Certificate) > 0 && st.Certificate == nil {
			cert, signers, err := verifiedCertificate(all, st.BlobID, s.Certificate)
			if err != nil {
				return nil, err
			}
			st.Certificate, st.Signers = cert, signers
		}
		if !s.Metadata && len(s.Certificate) == 0 {
			return nil, p2p.ErrNotFound
		}
		return nil, nil
	}, func(answers) bool { return false })
	st.Bad = tally.bad
}

// record notes the answer of node m for its own shards.
func (st *BlobStatus) record(m *certs.Member, s p2p.BlobStatus) {
	for _, shard := range m.Shards {
		st.Shards[shard].Primary, st.Shards[shard].Secondary = Missing, Missing
	}
	for _, x := range s.Slivers {
		if !slices.Contains(m.Shards, x.Shard) {
			continue
		}
		st.Shards[x.Shard].Primary, st.Shards[x.Shard].Secondary = sliverState(x.Primary, x), sliverState(x.Secondary, x)
	}
}

func sliverState(stored bool, s p2p.ShardState) string {
	switch {
	case stored:
		return Stored
	case s.Repairing:
		return Repairing
	case s.Corrupt:
		return Corrupt
	}
	return Missing
}
