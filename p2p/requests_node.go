package p2p

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/p2p/internal/wire"
	"walrus/shards"
)

// NodeStatus asks a node to describe itself.
func (h *Host) NodeStatus(ctx context.Context, to peer.ID) (status NodeStatus, err error) {
	defer describe(&err, to, "node status")
	req := &wire.Request{Op: &wire.Request_GetNodeStatus{GetNodeStatus: new(wire.GetNodeStatus)}}
	a, err := h.ask(ctx, target{to, nodeProtocol}, req, nil)
	if err != nil {
		return NodeStatus{}, err
	}
	defer a.Close()
	s := a.GetNodeStatus()
	if s == nil {
		return NodeStatus{}, a.broken("no node status in the response")
	}
	list, err := a.indices()
	if err != nil {
		return NodeStatus{}, err
	}
	status = NodeStatus{
		Version: printable(s.GetVersion()), State: printable(s.GetState()), Epoch: s.GetEpoch(), Shards: list,
		Blobs: bounded(s.GetBlobs()), Slivers: bounded(s.GetSlivers()), Invalid: bounded(s.GetInvalid()),
		RepairState: RepairState{
			Owed: bounded(s.GetOwed()), Corrupt: bounded(s.GetCorrupt()),
			RepairRate: bounded(s.GetRepairedPerHour()), RepairLeft: time.Duration(s.GetRepairSecondsLeft()) * time.Second,
		},
		DiskBytes: bounded(s.GetDiskBytes()), Uptime: time.Duration(s.GetUptimeSeconds()) * time.Second, Peers: int(s.GetPeers()),
		Height: bounded(s.GetLedgerHeight()), Ledger: printable(s.GetLedger()), Refuses: printable(s.GetRefuses()),
		DiskLimit: bounded(s.GetDiskLimit()), DiskFree: bounded(s.GetDiskFree()), DiskReserve: bounded(s.GetDiskReserve()),
	}
	for _, incident := range s.GetIncidents() {
		status.Incidents = append(status.Incidents, printable(incident))
	}
	const longest = 1 << 43 // milliseconds: some 280 years, which fit a Duration
	status.ClockAhead = time.Duration(max(-longest, min(longest, s.GetClockAheadMillis()))) * time.Millisecond
	status.Reach, status.Seen = printable(s.GetReach()), printable(s.GetSeen())
	for _, address := range s.GetAddresses() {
		status.Addresses = append(status.Addresses, printable(address))
	}
	return status, nil
}

// maxStated bounds every number that a node claims: 9 PB for bytes. The sum of a thousand does not overflow, and any
// language can represent it.
const maxStated = 1 << 53

// bounded cuts a number claimed by a node to maxStated.
func bounded(n uint64) uint64 { return min(n, maxStated) }

// NodeHistory asks a node about its past. A node of an older version answers ErrBadRequest.
func (h *Host) NodeHistory(ctx context.Context, to peer.ID) (points []HistoryPoint, err error) {
	defer describe(&err, to, "node history")
	req := &wire.Request{Op: &wire.Request_GetNodeHistory{GetNodeHistory: new(wire.GetNodeHistory)}}
	b, err := h.askBytes(ctx, target{to, nodeProtocol}, req, nil)
	if err != nil {
		return nil, err
	}
	if points, err = UnmarshalHistory(b); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	return points, nil
}

// Certificate fetches the unverified certificate of a blob.
func (h *Host) Certificate(ctx context.Context, to peer.ID, id shards.BlobID) (certificate []byte, err error) {
	defer describe(&err, to, "certificate of %s", id)
	req := &wire.Request{BlobId: id[:], Op: &wire.Request_GetCertificate{GetCertificate: new(wire.GetCertificate)}}
	return h.askBytes(ctx, target{to, nodeProtocol}, req, nil)
}

// PutCertificate gives a node a certificate.
func (h *Host) PutCertificate(ctx context.Context, to peer.ID, certificate []byte) (err error) {
	defer describe(&err, to, "put certificate")
	req := &wire.Request{Op: &wire.Request_PutCertificate{PutCertificate: new(wire.PutCertificate)}}
	if len(certificate) > MaxCertificate {
		return fmt.Errorf("%w: certificate of %d bytes: the limit is %d", ErrBadRequest, len(certificate), MaxCertificate)
	}
	_, err = h.askBytes(ctx, target{to, nodeProtocol}, req, certificate)
	return err
}

// Certificates fetches a page of up to limit unverified certificates of a node, in blob ID order, and reports whether
// more follow it. The page begins strictly after the given ID; an ID of zeros begins at the start. limit is at most
// MaxCertificates. A page is empty only if nothing follows it.
func (h *Host) Certificates(ctx context.Context, to peer.ID, after shards.BlobID, limit int) (certificates [][]byte, more bool, err error) {
	defer describe(&err, to, "certificates after %s", after)
	if limit < 1 || limit > MaxCertificates {
		return nil, false, fmt.Errorf("%w: page of %d certificates: must be between 1 and %d", ErrBadRequest, limit, MaxCertificates)
	}
	req := &wire.Request{BlobId: after[:], Op: &wire.Request_ListCertificates{ListCertificates: &wire.ListCertificates{Limit: uint32(limit)}}}
	a, err := h.ask(ctx, target{to, nodeProtocol}, req, nil)
	if err != nil {
		return nil, false, err
	}
	defer a.Close()
	page := a.GetCertificates()
	if page == nil || len(page.GetSizes()) > limit {
		return nil, false, a.broken("page of %d certificates: asked for %d", len(page.GetSizes()), limit)
	}
	for _, size := range page.GetSizes() {
		certificate := make([]byte, size)
		if _, err := io.ReadFull(a, certificate); err != nil {
			return nil, false, err
		}
		certificates = append(certificates, certificate)
	}
	return certificates, page.GetMore(), nil
}
