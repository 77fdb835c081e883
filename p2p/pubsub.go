package p2p

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"time"

	"github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"golang.org/x/sync/semaphore"
)

const (
	// gossipRPC bounds one gossip packet: several messages, or the lists of control messages.
	gossipRPC = 64 << 10
	// gossipQueue is the length of the queues in and out of one peer: a burst of hundreds of certificates is normal at
	// the end of an epoch, and the library's 32 loses it.
	gossipQueue = 1024
	// gossipPending bounds the messages that wait for their validation; more are dropped, to come back by other peers.
	gossipPending = 4096
	// gossipTimeout bounds one validation, the wait for a processor included.
	gossipTimeout = 5 * time.Second
)

// Verdict on a gossiped message.
type Verdict int

const (
	// Ignore means not passed on, held against nobody: stale, known, or of an epoch not known here.
	Ignore Verdict = iota
	// Accept means delivered and passed on.
	Accept
	// Reject means provably bad. It costs the peer that sent it score: about four such messages within minutes and it is
	// gossiped to no more, ten and nothing from it is read.
	Reject
)

// Topic is a joined gossip topic.
type Topic struct {
	topic *pubsub.Topic
	sub   *pubsub.Subscription
	most  int
}

// JoinCertificates joins the gossip of certificates, /walrus/<network>/certificates/1. Every message, also one's own,
// passes validate before it is delivered or passed on; at most GOMAXPROCS run at once, each with a ctx of five seconds
// at most, after which the message is ignored. from is the peer that passed the message on, not its author: messages are
// anonymous and prove themselves. The gossip ends with ctx or Close. It can be joined once.
func (h *Host) JoinCertificates(ctx context.Context,
	validate func(ctx context.Context, from peer.ID, data []byte) Verdict) (*Topic, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, fmt.Errorf("join certificates: %w", errClosed)
	}
	if h.joined {
		return nil, errors.New("join certificates: joined already")
	}
	name := "/walrus/" + h.cfg.Network + "/certificates/1"
	ps, err := pubsub.NewGossipSub(h.while(ctx), h.host, gossipOptions(name, h.cfg.Logger)...)
	if err != nil {
		return nil, fmt.Errorf("join certificates: %w", err)
	}
	h.joined = true
	if err := ps.RegisterTopicValidator(name, validator(validate),
		pubsub.WithValidatorConcurrency(gossipPending), pubsub.WithValidatorTimeout(gossipTimeout)); err != nil {
		return nil, fmt.Errorf("join certificates: %w", err)
	}
	topic, err := ps.Join(name)
	if err != nil {
		return nil, fmt.Errorf("join certificates: %w", err)
	}
	sub, err := topic.Subscribe(pubsub.WithBufferSize(gossipQueue))
	if err != nil {
		return nil, fmt.Errorf("join certificates: %w", err)
	}
	return &Topic{topic: topic, sub: sub, most: MaxCertificate}, nil
}

// validator wraps validate with the limits on size and concurrency.
func validator(validate func(ctx context.Context, from peer.ID, data []byte) Verdict) pubsub.ValidatorEx {
	processors := semaphore.NewWeighted(int64(runtime.GOMAXPROCS(0)))
	return func(ctx context.Context, from peer.ID, m *pubsub.Message) pubsub.ValidationResult {
		if len(m.Data) > MaxCertificate {
			return pubsub.ValidationReject
		}
		if processors.Acquire(ctx, 1) != nil {
			return pubsub.ValidationIgnore
		}
		defer processors.Release(1)
		switch validate(ctx, from, m.Data) {
		case Accept:
			return pubsub.ValidationAccept
		case Reject:
			return pubsub.ValidationReject
		}
		return pubsub.ValidationIgnore
	}
}

// Publish gossips a message of at most MaxCertificate bytes. It fails when our own validation does not accept it.
// Without any peer in the topic it succeeds and reaches nobody.
func (t *Topic) Publish(ctx context.Context, data []byte) error {
	if len(data) == 0 || len(data) > t.most {
		return fmt.Errorf("publish: message of %d bytes: must be between 1 and %d", len(data), t.most) // the library drops it silently
	}
	if err := t.topic.Publish(ctx, data); err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	return nil
}

// Peers that are known to take part in the topic.
func (t *Topic) Peers() []peer.ID { return t.topic.ListPeers() }

// Run hands each accepted message to deliver, one after the other, until ctx or the gossip ends; messages that come
// while 1024 wait are dropped. Messages we published ourselves are delivered too, with our own ID. It may be called
// once.
func (t *Topic) Run(ctx context.Context, deliver func(from peer.ID, data []byte)) error {
	defer t.sub.Cancel()
	for {
		m, err := t.sub.Next(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return fmt.Errorf("receive certificates: %w", err)
		}
		deliver(m.ReceivedFrom, m.Data)
	}
}

// gossipOptions: messages carry no author or signature and are told apart by their hash, so that the same certificate
// from several publishers travels once.
func gossipOptions(topic string, log *slog.Logger) []pubsub.Option {
	return []pubsub.Option{
		pubsub.WithMessageSignaturePolicy(pubsub.StrictNoSign),
		pubsub.WithNoAuthor(),
		pubsub.WithMessageIdFn(func(m *pubsub_pb.Message) string {
			id := sha256.Sum256(m.GetData())
			return string(id[:])
		}),
		pubsub.WithGossipSubProtocols( // not floodsub, nor gossipsub before it had scores
			[]protocol.ID{pubsub.GossipSubID_v13, pubsub.GossipSubID_v12, pubsub.GossipSubID_v11}, pubsub.GossipSubDefaultFeatures),
		pubsub.WithSubscriptionFilter(pubsub.WrapLimitSubscriptionFilter(pubsub.NewAllowlistSubscriptionFilter(topic), 16)),
		pubsub.WithMaxMessageSize(gossipRPC),
		pubsub.WithPeerOutboundQueueSize(gossipQueue),
		pubsub.WithValidateQueueSize(gossipQueue),
		pubsub.WithValidateThrottle(gossipPending),
		pubsub.WithPeerScore(peerScore(topic)),
		pubsub.WithLogger(log),
	}
}
