package gateway

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/certs"
	"walrus/client"
	"walrus/gateway/pages"
	"walrus/ledger"
	"walrus/shards"
)

// maxHead bounds the bytes of a blob read to guess its type, and shown of a text.
const maxHead = 4 << 10

// quiltVersion is the first byte of every quilt, and of some other blobs.
const quiltVersion = 1

// headLimit bounds the wait for a blob's first bytes: a page without a preview is better than a late one.
const headLimit = 3 * time.Second

// Blob implements pages.Data.
func (e *Explorer) Blob(ctx context.Context, id shards.BlobID) (*pages.Blob, error) {
	return e.blob(id).get(ctx, &e.work, false,
		func(ctx context.Context) (*pages.Blob, error) { return e.askBlob(ctx, id) })
}

// blob returns the place for answers about a blob. If there are too many, it drops old ones, or any if all are new.
func (e *Explorer) blob(id shards.BlobID) *recent[*pages.Blob] {
	e.mu.Lock()
	defer e.mu.Unlock()
	r := e.blobs[id]
	if r != nil {
		return r
	}
	if len(e.blobs) >= exploreBlobs {
		for k, old := range e.blobs {
			if old.idle() {
				delete(e.blobs, k)
			}
		}
	}
	for k := range e.blobs {
		if len(e.blobs) < exploreBlobs {
			break
		}
		delete(e.blobs, k) // callers that wait for it still hold it
	}
	r = &recent[*pages.Blob]{}
	e.blobs[id] = r
	return r
}

// askBlob asks the ledger and all nodes.
func (e *Explorer) askBlob(ctx context.Context, id shards.BlobID) (*pages.Blob, error) {
	search, stop := context.WithTimeout(ctx, pinnersLimit)
	defer stop()
	found := make(chan []pages.Pinner, 1)
	e.work.Go(func() { found <- e.pinners(search, id) })
	st, err := e.client.BlobStatus(ctx, id)
	if errors.Is(err, client.ErrNotFound) {
		if b := e.ended(ctx, id, err, <-found); b != nil {
			return b, nil
		}
	}
	if err != nil {
		return nil, asAbsent(err)
	}
	s, err := e.state(ctx)
	if err != nil {
		return nil, err
	}
	b := describeBlob(s, st, time.Now())
	if b.Status == pages.StatusCertified && st.EncodedSize > 0 {
		e.inspect(ctx, b)
	}
	b.Pinners = <-found
	return b, nil
}

// ended describes a blob that is not stored because of why, but pinned. It returns nil unless one of the pinners has
// proven it, by the metadata.
func (e *Explorer) ended(ctx context.Context, id shards.BlobID, why error, pinners []pages.Pinner) *pages.Blob {
	if len(pinners) == 0 || e.cfg.Pinned == nil {
		return nil
	}
	p := e.cfg.Pinned(ctx, id)
	if p == nil {
		return nil
	}
	b := &pages.Blob{
		ID: id, Status: pages.StatusPinned, Reason: client.GoneBecause(why), Size: p.Size, SizeKnown: true,
		EncodedSize: uint64(p.EncodedSize), Time: time.Now(), Ledger: pages.BlobLedger{Deletable: []pages.Ending{}, Records: []pages.Record{}},
		Shards: []pages.Shard{}, Bad: []pages.BadNode{}, Pinners: pinners,
	}
	e.inspect(ctx, b)
	return b
}

// pinnersLimit bounds the search for peers that pin a blob: a page without them is better than a late one.
const pinnersLimit = 1500 * time.Millisecond

const (
	// maxClaims bounds the claims of pinners that are remembered.
	maxClaims = 4096
	// claimAge: a claim that was not seen for that long has lapsed in the DHT.
	claimAge = 48 * time.Hour
)

// claim names a peer that says it pins a blob.
type claim struct {
	blob shards.BlobID
	peer peer.ID
}

// pinners returns the peers that claim to pin a blob, and when each claim was first seen here.
func (e *Explorer) pinners(ctx context.Context, id shards.BlobID) []pages.Pinner {
	list := []pages.Pinner{}
	if e.cfg.Pinners == nil {
		return list
	}
	found, now := e.cfg.Pinners(ctx, id), time.Now().UTC()
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, p := range found {
		c := claim{id, p}
		if _, known := e.claims[c]; !known {
			e.forgetClaims(now)
			e.claims[c] = now
		}
		list = append(list, pages.Pinner{Peer: p.String(), Since: e.claims[c]})
	}
	slices.SortFunc(list, func(a, b pages.Pinner) int { return cmp.Or(a.Since.Compare(b.Since), strings.Compare(a.Peer, b.Peer)) })
	return list
}

// forgetClaims makes room for a claim: it drops those that have lapsed, or any if none has. e.mu is held.
func (e *Explorer) forgetClaims(now time.Time) {
	if len(e.claims) < maxClaims {
		return
	}
	for c, at := range e.claims {
		if now.Sub(at) > claimAge {
			delete(e.claims, c)
		}
	}
	for c := range e.claims {
		if len(e.claims) < maxClaims {
			break
		}
		delete(e.claims, c)
	}
}

// inspect determines the type of a blob, from its record or else from its first bytes.
func (e *Explorer) inspect(ctx context.Context, b *pages.Blob) {
	for _, r := range b.Ledger.Records {
		for _, a := range r.Attributes {
			if strings.EqualFold(a.Key, contentTypeKey) && b.ContentType == "" {
				b.ContentType = a.Value
			}
		}
	}
	told := b.ContentType
	if e.cfg.Head == nil || isKind(told, "image/") || isKind(told, "video/") || isKind(told, "audio/") {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, headLimit)
	defer cancel()
	head, err := e.cfg.Head(ctx, b.ID, maxHead)
	if err != nil || len(head) == 0 {
		return // the page shows no preview
	}
	kind := http.DetectContentType(head)
	if kind == "application/ogg" {
		kind = "video/ogg" // perhaps only sound: the same element plays both
	}
	if told == "" {
		b.ContentType = kind
	}
	if told == "" && head[0] == quiltVersion && e.cfg.Quilt != nil {
		if files, err := e.cfg.Quilt(ctx, b.ID); err == nil { // otherwise no quilt, or too slow to tell
			b.Quilt, b.ContentType = files, "application/x-walrus-quilt"
		}
	}
	if isKind(kind, "text/") {
		b.Head = text(head)
	}
}

// text returns head without a character that the cut may have split.
func text(head []byte) string {
	for range utf8.UTFMax - 1 {
		if r, n := utf8.DecodeLastRune(head); r != utf8.RuneError || n != 1 {
			break
		}
		head = head[:len(head)-1]
	}
	return strings.ToValidUTF8(string(head), "\uFFFD")
}

// describeBlob converts the ledger's and the nodes' answers for the pages.
func describeBlob(s *networkState, st *client.BlobStatus, now time.Time) *pages.Blob {
	b := &pages.Blob{
		ID: st.BlobID, Status: pages.StatusRegistered, Size: st.Size, SizeKnown: st.EncodedSize > 0,
		EncodedSize: uint64(st.EncodedSize), Time: now,
		Ledger: describeRecords(s, st), Shards: make([]pages.Shard, len(st.Shards)), Bad: []pages.BadNode{},
		Pinners: []pages.Pinner{},
	}
	switch {
	case st.Invalid != nil:
		b.Status, b.Invalid = pages.StatusInvalid, describeInvalid(st.Invalid)
	case st.CertifiedEnd > 0:
		b.Status = pages.StatusCertified
	case st.LedgerErr != nil:
		b.Status = pages.StatusUnknown
	}
	for i, x := range st.Shards {
		b.Shards[i] = pages.Shard{
			Index: x.Shard, Pair: x.Pair, Name: x.Name, Peer: x.Node.String(), Primary: pages.State(x.Primary),
			Secondary: pages.State(x.Secondary),
		}
	}
	for _, x := range st.Bad {
		b.Bad = append(b.Bad, pages.BadNode{Name: x.Name, Peer: x.Node.String(), Reason: x.Reason, Lied: x.Lied})
	}
	if st.Certificate != nil {
		b.Certificate = describeCertificate(st.Signers, st.Certificate)
	}
	return b
}

func describeInvalid(e *client.InvalidBlobError) *pages.Invalid {
	return &pages.Invalid{Epoch: e.Mark.Epoch, Height: e.Mark.Height, Tx: e.Mark.Tx.String(), Reason: e.Why(),
		Explanation: e.Explain()}
}

func describeRecords(s *networkState, st *client.BlobStatus) pages.BlobLedger {
	l := pages.BlobLedger{
		Epoch: st.Epoch, EndEpoch: st.EndEpoch, CertifiedEpoch: st.CertifiedEpoch, Permanent: st.Permanent,
		Deletable: []pages.Ending{}, Records: []pages.Record{},
	}
	if st.LedgerErr != nil {
		l.Error = st.LedgerErr.Error()
	}
	if st.CertifiedEnd > 0 {
		l.EndEpoch = st.CertifiedEnd
	}
	if st.Permanent {
		l.PermanentEnd = st.Info.PermanentCertifiedEnd
	}
	at := func(epoch uint32) time.Time { // zero if the length of epochs is not known
		if s.network.Epoch == nil {
			return time.Time{}
		}
		return s.network.Epoch.At(epoch)
	}
	if l.EndEpoch > 0 {
		l.EndTime = at(l.EndEpoch)
	}
	for _, d := range st.Info.Deletable {
		if d.End > st.Epoch {
			l.Deletable = append(l.Deletable, pages.Ending{EndEpoch: d.End, EndTime: at(d.End), Registered: d.Registered,
				Certified: d.Certified})
		}
	}
	for _, o := range st.Own {
		r := pages.Record{
			Object: o.Object.String(), Deletable: o.Deletable, Shared: o.Shared, Registered: o.Registered,
			Certified: o.Certified,
			EndEpoch:  o.End, EndTime: at(o.End), Attributes: append([]ledger.Attribute{}, o.Attributes...),
		}
		if o.Owner != (ledger.Address{}) {
			r.Owner = o.Owner.String()
		}
		l.Records = append(l.Records, r)
	}
	return l
}

// describeCertificate lists the signers of a certificate that the client has verified with the committee of its epoch.
func describeCertificate(com *certs.Committee, cert *certs.Certificate) *pages.Certificate {
	c := &pages.Certificate{
		Epoch: cert.Epoch, Weight: cert.Weight(com), Quorum: com.Quorum(), Of: com.Params().Shards(),
		Signers: []pages.Signer{}, Absent: []string{}, Verified: true,
	}
	if cert.Persistence.Deletable {
		c.Object = cert.Persistence.Object.String()
	}
	signed := map[int]bool{}
	for _, i := range cert.Signers {
		signed[int(i)] = true
	}
	for i, m := range com.Members() {
		if signed[i] {
			c.Signers = append(c.Signers, pages.Signer{Name: m.Name, Peer: m.Node.String(), Shards: len(m.Shards)})
		} else {
			c.Absent = append(c.Absent, m.Name)
		}
	}
	return c
}

// isKind reports whether media type t is of a kind like "image/".
func isKind(t, kind string) bool { return strings.HasPrefix(strings.ToLower(t), kind) }
