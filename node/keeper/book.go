package keeper

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/certs"
	"walrus/p2p"
	"walrus/shards"
	"walrus/store"
)

// pageSize is the number of certificates, or of blobs, read at once.
const pageSize = p2p.MaxCertificates

// book keeps the certificates, and counts the slivers owed for them.
type book struct {
	shelf     *shelf
	chain     chain
	debts     *debts
	reach     *reach
	kept      *kept
	resync    bell                // asks for a full comparison with other members
	fresh     bell                // tells of new certificates
	recent    recent              // blobs whose certificates were recorded lately: others may still gossip them
	check     func(shards.BlobID) // compares the cells of a newly certified blob later
	young     func(shards.BlobID) // what is missing of a newly certified blob is not owed yet
	recording atomic.Int64        // certificates not yet counted, because their recording is under way
	log       *slog.Logger
}

// examine decodes a certificate from outside and judges it by the ledger here. It stops at the first fact that
// decides, and verifies the signature last.
func (b *book) examine(raw []byte) (cert *certs.Certificate, f facts) {
	if cert, f.err = certs.UnmarshalCertificate(raw); f.err != nil {
		return nil, f
	}
	if here, err := b.shelf.Certificate(cert.Blob); err == nil {
		f.known, f.replay = true, bytes.Equal(here, raw) && !b.recent.has(cert.Blob)
		return cert, f
	}
	if f.certified = b.chain.certified(cert.Blob) == nil; f.certified {
		f.err = b.verify(cert)
	}
	return cert, f
}

// verify checks the signatures of a certificate.
func (b *book) verify(cert *certs.Certificate) error {
	at, err := b.shelf.seats.at(cert.Epoch)
	if err != nil {
		return err
	}
	return at.Verify(cert)
}

// record stores a verified certificate and counts the slivers we owe for it. The certificate is durable when it
// returns.
func (b *book) record(cert *certs.Certificate, raw []byte, grace time.Duration) error {
	b.recording.Add(1) // the blob counts as known only after its debt is counted
	defer b.recording.Add(-1)
	b.recent.add(cert.Blob)
	b.young(cert.Blob)
	defer b.fresh.ring()
	if err := b.shelf.PutCertificate(cert.Blob, cert.Epoch, raw); err != nil {
		return err
	}
	err := b.shelf.Sync()
	b.check(cert.Blob)
	return errors.Join(err, b.recount(cert.Blob, grace))
}

// gossipTime bounds the time for which honest nodes may still pass on a certificate that is recorded here.
const gossipTime = 2 * time.Minute

// recent remembers blobs for one to two gossipTime. The ledger bounds their number: each was certified on it.
type recent struct {
	mu           sync.Mutex
	begun        time.Time // of the newer generation; guarded by mu, as is the next
	newer, older map[shards.BlobID]bool
}

func (r *recent) add(id shards.BlobID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.turn()
	r.newer[id] = true
}

func (r *recent) has(id shards.BlobID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.turn()
	return r.newer[id] || r.older[id]
}

// turn forgets the older generation once the newer one has lasted. r.mu is held.
func (r *recent) turn() {
	switch age := time.Since(r.begun); {
	case age > 2*gossipTime:
		r.begun, r.newer, r.older = time.Now(), map[shards.BlobID]bool{}, nil
	case age > gossipTime:
		r.begun, r.newer, r.older = time.Now(), map[shards.BlobID]bool{}, r.newer
	}
}

// stock counts the parts of a certified blob that are here.
type stock struct {
	missing          int // slivers
	metadata, record bool
}

// owed counts the slivers to repair. Slivers that cannot be checked for lack of metadata, or would be dropped early for
// lack of a record, count as one.
func (s stock) owed() int {
	if s.missing == 0 && (!s.metadata || !s.record) {
		return 1
	}
	return s.missing
}

// lacks counts the slivers of a certified blob that belong here and are not stored.
func (b *book) lacks(id shards.BlobID) (int, error) {
	if b.chain.owesNothing(id) {
		return 0, nil
	}
	missing, err := b.shelf.missingNow(id)
	if err != nil && !errors.Is(err, p2p.ErrUnavailable) {
		return 0, err
	}
	_, noMetadata := b.shelf.Metadata(id)
	_, noRecord := b.shelf.Blob(id)
	// without the ledger our shards are not known: the blob stays a debt until repair can count it
	have := stock{missing: len(missing), metadata: noMetadata == nil && err == nil, record: noRecord == nil}
	return have.owed(), nil
}

// recount compares the stored slivers of a certified blob with those that belong here, and updates the debts.
func (b *book) recount(id shards.BlobID, grace time.Duration) error {
	n, err := b.lacks(id)
	if err != nil {
		return err
	}
	b.debts.set(id, n, time.Now().Add(grace))
	if n > 0 {
		b.rate(id, nil)
	}
	return b.kept.count(id, n)
}

// verifyWhole counts what a blob lacks that was whole. If that cannot be read, it counts as one sliver.
func (b *book) verifyWhole(id shards.BlobID) (int, error) {
	n, err := b.lacks(id)
	if errors.Is(err, store.ErrClosed) {
		return 0, err
	}
	if err != nil {
		b.log.Error("cannot count the slivers of a blob", "blob", id.String(), "err", err)
		n = 1
	}
	if n == 0 {
		return 0, nil
	}
	b.debts.set(id, n, time.Now())
	return n, b.kept.count(id, n)
}

// expect writes down that slivers of a certified blob may be missing, before they are removed.
func (b *book) expect(id shards.BlobID) error {
	if !b.shelf.certified(id) || b.kept.owes(id) {
		return nil
	}
	if err := b.kept.count(id, 1); err != nil {
		return err
	}
	return b.shelf.Sync()
}

// rate tells the debts at what risk a blob is, as far as is known here. lacking lists members that do not have it.
func (b *book) rate(id shards.BlobID, lacking map[peer.ID]bool) {
	raw, err := b.shelf.Certificate(id)
	if err != nil {
		return
	}
	cert, err := certs.UnmarshalCertificate(raw)
	if err != nil {
		return
	}
	then, err := b.shelf.seats.at(cert.Epoch)
	if err != nil {
		return
	}
	now, err := b.shelf.seats.now()
	if err != nil {
		return
	}
	refs, err := b.shelf.missing(id, now)
	if err != nil {
		return
	}
	missing := map[int]bool{}
	for _, ref := range refs {
		missing[ref.Shard] = true
	}
	away := func(node peer.ID) bool { return lacking[node] || b.reach.isAway(node) }
	b.debts.rate(id, surviving(signedShards(cert, then.Committee), now, away, missing))
}

// owe makes a certified blob due for repair at once.
func (b *book) owe(id shards.BlobID) {
	if err := b.recount(id, 0); err != nil {
		b.log.Error("cannot count the slivers of a blob", "blob", id.String(), "err", err)
	}
}

// eachOf calls fn for every blob of a list that is read in pages.
func eachOf(list func(after shards.BlobID, limit int) ([]shards.BlobID, error), fn func(shards.BlobID) error) error {
	var after shards.BlobID
	for {
		ids, err := list(after, pageSize)
		if err != nil {
			return err
		}
		for _, id := range ids {
			if err := fn(id); err != nil {
				return err
			}
		}
		if len(ids) < pageSize {
			return nil
		}
		after = ids[len(ids)-1]
	}
}

// Certificate of a blob.
func (b *book) Certificate(_ context.Context, id shards.BlobID) ([]byte, error) {
	if b.chain.invalid(id) {
		return nil, errInvalid
	}
	raw, err := b.shelf.Certificate(id)
	if errors.Is(err, store.ErrCorrupt) {
		b.resync.ring()
	}
	return raw, wireError(err)
}

// Certificates returns up to limit certificates after the given blob ID, in order of blob IDs.
func (b *book) Certificates(ctx context.Context, after shards.BlobID, limit int) (page [][]byte, more bool, err error) {
	ids, err := b.shelf.Certificates(after, limit+1)
	if err != nil {
		return nil, false, wireError(err)
	}
	if len(ids) > limit {
		ids, more = ids[:limit], true
	}
	for _, id := range ids {
		raw, err := b.shelf.Certificate(id)
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
