package p2p

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"walrus/p2p/internal/wire"
)

// nodeOperation runs the operations of the node protocol.
func nodeOperation(ctx context.Context, x *request) error {
	switch op := x.GetOp().(type) {
	case *wire.Request_GetNodeStatus:
		return x.nodeStatus(ctx)
	case *wire.Request_GetNodeHistory:
		points, err := x.backend.NodeHistory(ctx)
		return x.replyBytes(MarshalHistory(points), err)
	case *wire.Request_GetCertificate:
		certificate, err := x.backend.Certificate(ctx, x.id)
		return x.replyBytes(certificate, err)
	case *wire.Request_PutCertificate:
		certificate, err := x.body.all()
		if err == nil {
			err = x.backend.PutCertificate(ctx, certificate)
		}
		return x.replyBytes(nil, err)
	case *wire.Request_ListCertificates:
		return x.certificates(ctx, int(op.ListCertificates.GetLimit()))
	}
	return fmt.Errorf("%w: %s is not an operation of this protocol", ErrBadRequest, x.name())
}

// relayedOperation runs those operations of the node protocol that fit through a relay.
func relayedOperation(ctx context.Context, x *request) error {
	if x.Bounds().Response > maxRelayed || x.GetPayload() > maxRelayed {
		return fmt.Errorf("%w: %s needs a direct connection, this one is relayed", ErrUnavailable, x.name())
	}
	return nodeOperation(ctx, x)
}

func (x *request) nodeStatus(ctx context.Context) error {
	s, err := x.backend.NodeStatus(ctx, x.from)
	if err != nil {
		return err
	}
	shards, err := appendIndices(nil, s.Shards)
	if err != nil {
		return err
	}
	result := &wire.NodeStatus{
		Version: clip(s.Version), State: clip(s.State), Epoch: s.Epoch,
		Blobs: s.Blobs, Slivers: s.Slivers, Owed: s.Owed, Corrupt: s.Corrupt, Invalid: s.Invalid,
		RepairedPerHour: s.RepairRate, RepairSecondsLeft: uint64(max(0, s.RepairLeft) / time.Second), DiskBytes: s.DiskBytes,
		UptimeSeconds: uint64(max(s.Uptime, 0) / time.Second), Peers: uint32(max(s.Peers, 0)),
		LedgerHeight: s.Height, Ledger: clip(s.Ledger),
		Refuses: clip(s.Refuses), DiskLimit: s.DiskLimit, DiskFree: s.DiskFree, DiskReserve: s.DiskReserve,
	}
	for _, incident := range s.Incidents[:min(len(s.Incidents), MaxIncidents)] {
		result.Incidents = append(result.Incidents, clip(incident))
	}
	result.Reach, result.Seen = clip(s.Reach), clip(s.Seen)
	result.ClockAheadMillis = s.ClockAhead.Milliseconds()
	for _, address := range s.Addresses[:min(len(s.Addresses), MaxAddresses)] {
		result.Addresses = append(result.Addresses, clip(address))
	}
	return x.reply(&wire.Response{Result: &wire.Response_NodeStatus{NodeStatus: result}}, shards)
}

func (x *request) certificates(ctx context.Context, limit int) error {
	list, more, err := x.backend.Certificates(ctx, x.id, limit)
	if err != nil {
		return err
	}
	if len(list) > limit {
		return fmt.Errorf("backend returned %d certificates: asked for %d", len(list), limit)
	}
	result := &wire.CertificatePage{More: more}
	for _, certificate := range list {
		result.Sizes = append(result.Sizes, uint32(len(certificate)))
	}
	return x.reply(&wire.Response{Result: &wire.Response_Certificates{Certificates: result}}, slices.Concat(list...))
}

// clip cuts one of our own texts to MaxStatusText bytes of UTF-8.
func clip(s string) string {
	s = strings.ToValidUTF8(s, "?")
	for len(s) > MaxStatusText {
		_, size := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-size]
	}
	return s
}
