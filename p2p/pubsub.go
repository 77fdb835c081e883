package p2p

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
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
	// gossipQueue bounds the queues to and from one peer. The library's 32 loses messages: at the end of an epoch,
	// hundreds of certificates come in a burst.
	gossipQueue = 1024
	// gossipPending bounds the messages that wait for validation. More are dropped; other peers send them again.
	gossipPending = 4096
	// gossipTimeout bounds one validation, including the wait for a processor.
	gossipTimeout = 5 * time.Second
)

// Verdict on a gossiped message.
type Verdict int

const (
	// Ignore drops the message without blaming anybody: stale, or of an epoch not known here.
	Ignore Verdict = iota
	// Accept delivers the message and passes it on.
	Accept
	// Reject drops a provably bad message and lowers the score of the peer that sent it. With the scores of
	// certificates, a peer gets no more gossip after about four such messages within minutes; after ten, nothing from
	// it is read.
	Reject
	// Replay drops a message that was known here already, and first came at least two minutes ago: earlier repeats are
	// dropped by the library. The peer that passed them on may do so twenty times; k more cost it k² of its score.
	Replay
)

// TopicConfig describes a topic of gossip.
type TopicConfig struct {
	// Name and version, such as certificates/1. The topic on the wire is /walrus/<network>/<name>.
	Name string
	// MaxMessage bounds a message, in bytes: 1 to 32 KiB. Longer messages are rejected before Validate.
	MaxMessage int
	// Score for the behaviour of peers in this topic.
	Score TopicScore
	// Validate judges a message before it is delivered or passed on, one's own included; decoded becomes
	// Message.Decoded. It is called concurrently; from is the peer that passed the message on, not its author, since
	// messages are anonymous and prove themselves. When ctx ends, after five seconds at most, the message is ignored.
	Validate func(ctx context.Context, from peer.ID, data []byte) (v Verdict, decoded any)
}

const certificates = "certificates/1"

// Certificates is the topic of new certificates: every node that takes one passes it on.
func Certificates(validate func(ctx context.Context, from peer.ID, data []byte) (Verdict, any)) TopicConfig {
	return TopicConfig{Name: certificates, MaxMessage: MaxCertificate, Score: certificateScore, Validate: validate}
}

// Attestations is the topic of what monitors saw in a round, and of answers to it.
func Attestations(validate func(ctx context.Context, from peer.ID, data []byte) (Verdict, any)) TopicConfig {
	return TopicConfig{Name: "attestations/1", MaxMessage: MaxRoundMessage, Score: certificateScore, Validate: validate}
}

// Message is an accepted message. From is ourselves if we published it.
type Message struct {
	From    peer.ID
	Data    []byte
	Decoded any // from TopicConfig.Validate
}

// Topic is a joined gossip topic.
type Topic struct {
	topic *pubsub.Topic
	sub   *pubsub.Subscription
	name  string
	most  int
}

// Join starts gossip and joins topics, which it returns in the order given. Of all their messages together, at most
// GOMAXPROCS are validated at once. Gossip ends with ctx or Close. Join may be called once.
func (h *Host) Join(ctx context.Context, topics ...TopicConfig) (joined []*Topic, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, fmt.Errorf("join topics: %w", errClosed)
	}
	if h.joined {
		return nil, errors.New("join topics: Join may be called once")
	}
	prefix := "/walrus/" + h.cfg.Network + "/"
	ps, err := pubsub.NewGossipSub(h.while(ctx), h.host, h.gossipOptions(prefix, topics)...)
	if err != nil {
		return nil, fmt.Errorf("join topics: %w", err)
	}
	h.joined = true
	processors := semaphore.NewWeighted(int64(runtime.GOMAXPROCS(0)))
	for _, t := range topics {
		topic, err := t.join(ps, prefix, t.validator(processors, h.conduct.replayed))
		if err != nil {
			return nil, fmt.Errorf("join topic %s: %w", t.Name, err)
		}
		joined = append(joined, topic)
	}
	return joined, nil
}

func (t TopicConfig) join(ps *pubsub.PubSub, prefix string, validate pubsub.ValidatorEx) (*Topic, error) {
	if t.MaxMessage < 1 || t.MaxMessage > gossipRPC/2 {
		return nil, fmt.Errorf("messages of up to %d bytes: must be between 1 and %d", t.MaxMessage, gossipRPC/2)
	}
	if err := ps.RegisterTopicValidator(prefix+t.Name, validate,
		pubsub.WithValidatorConcurrency(gossipPending), pubsub.WithValidatorTimeout(gossipTimeout)); err != nil {
		return nil, err
	}
	topic, err := ps.Join(prefix + t.Name)
	if err != nil {
		return nil, err
	}
	sub, err := topic.Subscribe(pubsub.WithBufferSize(gossipQueue))
	if err != nil {
		return nil, err
	}
	return &Topic{topic: topic, sub: sub, name: t.Name, most: t.MaxMessage}, nil
}

// validator wraps Validate with the limits on size and concurrency. It reports replays to replayed.
func (t TopicConfig) validator(processors *semaphore.Weighted, replayed func(peer.ID)) pubsub.ValidatorEx {
	return func(ctx context.Context, from peer.ID, m *pubsub.Message) pubsub.ValidationResult {
		if len(m.Data) > t.MaxMessage {
			return pubsub.ValidationReject
		}
		if processors.Acquire(ctx, 1) != nil {
			return pubsub.ValidationIgnore
		}
		defer processors.Release(1)
		verdict, decoded := t.Validate(ctx, from, m.Data)
		switch verdict {
		case Accept:
			m.ValidatorData = decoded
			return pubsub.ValidationAccept
		case Reject:
			return pubsub.ValidationReject
		case Replay:
			replayed(from)
		}
		return pubsub.ValidationIgnore
	}
}

// Publish gossips a message of 1 to MaxMessage bytes. It fails unless our own Validate accepts the message. It succeeds
// without any peer in the topic, though nobody is reached.
func (t *Topic) Publish(ctx context.Context, data []byte) error {
	if len(data) == 0 || len(data) > t.most { // the library drops it silently
		return fmt.Errorf("publish: message of %d bytes: must be between 1 and %d", len(data), t.most)
	}
	if err := t.topic.Publish(ctx, data); err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	return nil
}

// Peers returns the peers known to take part in the topic.
func (t *Topic) Peers() []peer.ID { return t.topic.ListPeers() }

// Run hands each accepted message to deliver, one after the other, until ctx or the gossip ends. While 1024 messages
// wait, more are dropped. What we publish is delivered too. Run may be called once.
func (t *Topic) Run(ctx context.Context, deliver func(Message)) error {
	defer t.sub.Cancel()
	for {
		m, err := t.sub.Next(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return fmt.Errorf("receive from topic %s: %w", t.name, err)
		}
		deliver(Message{From: m.ReceivedFrom, Data: m.Data, Decoded: m.ValidatorData})
	}
}

func (h *Host) gossipOptions(prefix string, topics []TopicConfig) []pubsub.Option {
	names := make([]string, len(topics))
	for i, t := range topics {
		names[i] = prefix + t.Name
	}
	return []pubsub.Option{
		pubsub.WithMessageSignaturePolicy(pubsub.StrictNoSign),
		pubsub.WithNoAuthor(),
		pubsub.WithMessageIdFn(messageID(prefix)),
		pubsub.WithGossipSubProtocols( // not floodsub, nor gossipsub before it had scores
			[]protocol.ID{pubsub.GossipSubID_v13, pubsub.GossipSubID_v12, pubsub.GossipSubID_v11}, pubsub.GossipSubDefaultFeatures),
		pubsub.WithSubscriptionFilter(pubsub.WrapLimitSubscriptionFilter(pubsub.NewAllowlistSubscriptionFilter(names...), 16)),
		pubsub.WithMaxMessageSize(gossipRPC),
		pubsub.WithPeerOutboundQueueSize(gossipQueue),
		pubsub.WithValidateQueueSize(gossipQueue),
		pubsub.WithValidateThrottle(gossipPending),
		pubsub.WithPeerScore(peerScore(prefix, topics, h.score)),
		pubsub.WithLogger(h.cfg.Logger),
	}
}

// messageID tells messages apart by topic and hash: the same certificate from several publishers travels once. The IDs
// of certificates are bare hashes, as they were before there were other topics. All other IDs name their topic;
// otherwise anybody could publish a message in a topic that rejects it, and every node would count it as seen in the
// topic where it belongs.
func messageID(prefix string) func(*pubsub_pb.Message) string {
	return func(m *pubsub_pb.Message) string {
		hash := sha256.Sum256(m.GetData())
		if m.GetTopic() == prefix+certificates {
			return string(hash[:])
		}
		return m.GetTopic() + string(hash[:])
	}
}
