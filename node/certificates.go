package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/certs"
	"walrus/p2p"
	"walrus/shards"
	"walrus/store"
)

// checkCertificate decodes and verifies a certificate from a peer. If known, we have a certificate of the blob
// already, and this one was not verified.
func (n *Node) checkCertificate(raw []byte) (cert *certs.Certificate, known bool, err error) {
	if cert, err = certs.UnmarshalCertificate(raw); err != nil {
		return nil, false, err
	}
	if _, err := n.store.Certificate(cert.Blob); err == nil {
		return cert, true, nil
	}
	return cert, false, n.committee.ForEpoch(cert.Epoch).Verify(cert)
}

// record stores a verified certificate and counts the slivers we owe for it. The certificate is durable when it
// returns.
func (n *Node) record(cert *certs.Certificate, raw []byte, grace time.Duration) error {
	n.recording.Add(1) // the blob counts as known only after its debt is counted
	defer n.recording.Add(-1)
	if err := n.store.PutCertificate(cert.Blob, cert.Epoch, raw); err != nil {
		return err
	}
	err := n.store.Sync()
	return errors.Join(err, n.recount(cert.Blob, grace))
}

// recount compares the stored slivers of a certified blob with those that belong here, and updates the debts.
func (n *Node) recount(id shards.BlobID, grace time.Duration) error {
	if n.dead(id) {
		n.debts.forget(id)
		return nil
	}
	missing, err := n.missing(id)
	if err != nil {
		return err
	}
	owed := len(missing)
	_, noMetadata := n.store.Metadata(id)
	if _, noRecord := n.store.Blob(id); owed == 0 && (noMetadata != nil || noRecord != nil) {
		owed = 1 // without metadata slivers cannot be checked, without a record they do not expire: owe one
	}
	n.debts.set(id, owed, time.Now().Add(grace))
	return nil
}

// alive reports whether the ledger here has a live registration of blob id.
func (n *Node) alive(id shards.BlobID) bool {
	_, err := n.mayStore(id)
	return err == nil
}

// certified reports whether we hold a certificate of blob id.
func (n *Node) certified(id shards.BlobID) bool {
	_, err := n.store.Certificate(id)
	return err == nil
}

// validateGossip judges a certificate from the topic. Provably bad ones cost their sender; stale and known ones are
// not passed on. Our own have been verified before.
func (n *Node) validateGossip(_ context.Context, from peer.ID, data []byte) (p2p.Verdict, any) {
	if from == n.host.ID() {
		return p2p.Accept, nil
	}
	cert, known, err := n.checkCertificate(data)
	switch {
	case known:
		return p2p.Ignore, nil
	case err != nil:
		n.log.Warn("peer gossips a bad certificate", "peer", from.String(), "err", err)
		return p2p.Reject, nil
	case !n.alive(cert.Blob): // ended, or the ledger here is behind and will tell
		return p2p.Ignore, nil
	}
	return p2p.Accept, cert
}

// takeGossip records a certificate that validateGossip accepted.
func (n *Node) takeGossip(m p2p.Message) {
	cert, ok := m.Decoded.(*certs.Certificate)
	if !ok { // published by ourselves, who have it
		return
	}
	if err := n.record(cert, m.Data, n.cfg.Repair.Grace); err != nil {
		n.log.Error("cannot record a certificate", "err", err)
	}
}

// PutCertificate takes a certificate from a client and passes it on by gossip.
func (b backend) PutCertificate(ctx context.Context, raw []byte) error {
	cert, known, err := b.n.checkCertificate(raw)
	if err != nil {
		return fmt.Errorf("%w: %w", p2p.ErrBadRequest, err)
	}
	if known {
		return wireError(b.n.store.Sync()) // its record may not be durable yet
	}
	err = b.n.pending.await(ctx, func() error { _, err := b.n.mayStore(cert.Blob); return err })
	if err != nil {
		return err
	}
	if err := b.n.record(cert, raw, b.n.cfg.Repair.Grace); err != nil {
		return wireError(err)
	}
	if err := b.n.topic.Publish(ctx, raw); err != nil {
		b.n.log.Warn("cannot gossip a certificate; others learn of it when they compare", "blob", cert.Blob.String(), "err", err)
	}
	return nil
}

// Certificate of a blob.
func (b backend) Certificate(_ context.Context, id shards.BlobID) ([]byte, error) {
	raw, err := b.n.store.Certificate(id)
	if errors.Is(err, store.ErrCorrupt) {
		b.n.requestSync()
	}
	return raw, wireError(err)
}

// Certificates returns up to limit certificates after the given blob ID, in order of blob IDs.
func (b backend) Certificates(ctx context.Context, after shards.BlobID, limit int) (page [][]byte, more bool, err error) {
	ids, err := b.n.store.Certificates(after, limit+1)
	if err != nil {
		return nil, false, wireError(err)
	}
	if len(ids) > limit {
		ids, more = ids[:limit], true
	}
	for _, id := range ids {
		raw, err := b.n.store.Certificate(id)
		if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrCorrupt) {
			continue // another member has it
		}
		if err != nil {
			return nil, false, wireError(err)
		}
		page = append(page, raw)
	}
	return page, more, ctx.Err()
}
