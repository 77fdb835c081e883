package keeper

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/certs"
	"walrus/p2p"
)

// clerk takes certificates from clients and from gossip.
type clerk struct {
	self    peer.ID
	book    *book
	pending *pending
	grace   time.Duration // RepairConfig.Grace
	log     *slog.Logger
}

// Topic gossips certificates. *p2p.Topic implements it.
type Topic interface {
	Publish(ctx context.Context, data []byte) error
	Run(ctx context.Context, deliver func(p2p.Message)) error
}

// publisher is the clerk once there is a topic.
type publisher struct {
	*clerk
	topic Topic
}

// PutCertificate takes a certificate from a client and passes it on by gossip.
func (p publisher) PutCertificate(ctx context.Context, raw []byte) error {
	cert, f := p.book.examine(raw)
	switch takeFromClient(f) {
	case refuseIt:
		return fmt.Errorf("%w: %w", p2p.ErrBadRequest, f.err)
	case deferIt:
		return f.err
	case syncIt:
		return wireError(p.book.shelf.Sync())
	case awaitThen:
		if err := p.book.verify(cert); errors.Is(err, p2p.ErrUnavailable) {
			return err
		} else if err != nil { // nobody waits for a forgery
			return fmt.Errorf("%w: %w", p2p.ErrBadRequest, err)
		}
		if err := p.pending.await(ctx, func() error { return p.book.chain.certified(cert.Blob) }); err != nil {
			return err
		}
	}
	if err := p.book.record(cert, raw, p.grace); err != nil {
		return wireError(err)
	}
	if err := p.topic.Publish(ctx, raw); err != nil {
		p.log.Warn("cannot gossip a certificate; other nodes learn of it when they compare",
			"blob", cert.Blob.String(), "err", err)
	}
	return nil
}

// validate judges a certificate from the topic.
func (c *clerk) validate(_ context.Context, from peer.ID, data []byte) (p2p.Verdict, any) {
	if from == c.self { // it has been verified and recorded
		v, _ := judgeGossip(facts{ours: true})
		return v, nil
	}
	cert, f := c.book.examine(data)
	v, _ := judgeGossip(f)
	switch v {
	case p2p.Reject:
		c.log.Warn("peer gossips a bad certificate", "peer", from.String(), "err", f.err)
	case p2p.Accept:
		return v, cert
	}
	return v, nil
}

// take records a certificate that validate accepted.
func (c *clerk) take(m p2p.Message) {
	cert, ok := m.Decoded.(*certs.Certificate)
	if !ok { // published by us, and recorded before that
		return
	}
	if err := c.book.record(cert, m.Data, c.grace); err != nil {
		c.log.Error("cannot record a certificate", "err", err)
	}
}
