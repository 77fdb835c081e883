package p2p

import (
	"net"
	"time"

	"github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/internal/ipgroup"
)

// A peer's score is the sum of its scores in all topics and of penalties that belong to no topic. Below each of these
// thresholds it loses one thing more.
const (
	gossipThreshold   = -100  // gets no gossip
	publishThreshold  = -500  // gets nothing that we publish
	graylistThreshold = -1000 // everything it sends is dropped unread
)

// sharedIP peers may share a public address without loss. Each further peer lowers the scores of all of them.
const sharedIP = 16

// TopicScore weighs what peers do in a topic. Peers are not expected to deliver anything: messages may be rare.
type TopicScore struct {
	MeshSecond, MeshMost float64       // gained per second in the mesh, for at most MeshMost seconds
	First, FirstMost     float64       // gained by being the first with a message, for at most FirstMost messages
	FirstDecay           time.Duration // after which a first message no longer counts
	Reject               float64       // k rejected messages cost Reject·k²
	RejectDecay          time.Duration // after which a rejected message no longer counts
}

// certificateScore: a good peer gains at most 60. k rejected messages cost 10·k², where k halves in nine minutes.
var certificateScore = TopicScore{
	MeshSecond: 0.01, MeshMost: 1000,
	First: 0.5, FirstMost: 100, FirstDecay: 10 * time.Minute,
	Reject: 10, RejectDecay: time.Hour,
}

func (s TopicScore) params() *pubsub.TopicScoreParams {
	return &pubsub.TopicScoreParams{
		TopicWeight:                    1,
		TimeInMeshWeight:               s.MeshSecond,
		TimeInMeshQuantum:              time.Second,
		TimeInMeshCap:                  s.MeshMost,
		FirstMessageDeliveriesWeight:   s.First,
		FirstMessageDeliveriesDecay:    pubsub.ScoreParameterDecay(s.FirstDecay),
		FirstMessageDeliveriesCap:      s.FirstMost,
		InvalidMessageDeliveriesWeight: -s.Reject,
		InvalidMessageDeliveriesDecay:  pubsub.ScoreParameterDecay(s.RejectDecay),
	}
}

// score returns what a peer gains and loses in all topics together.
func (h *Host) score(id peer.ID) float64 {
	score := h.conduct.score(id)
	if h.door.members.has(id) {
		score += memberScore
	}
	return score
}

func peerScore(prefix string, topics []TopicConfig, app func(peer.ID) float64) (*pubsub.PeerScoreParams, *pubsub.PeerScoreThresholds) {
	params := &pubsub.PeerScoreParams{
		AppSpecificScore:            app,
		AppSpecificWeight:           1,
		IPColocationFactorWeight:    -5,
		IPColocationFactorThreshold: sharedIP,
		// Broken promises and hasty grafts. Up to six are taken for bad luck.
		BehaviourPenaltyWeight:    -10,
		BehaviourPenaltyThreshold: 6,
		BehaviourPenaltyDecay:     pubsub.ScoreParameterDecay(time.Hour),
		DecayInterval:             pubsub.DefaultDecayInterval,
		DecayToZero:               pubsub.DefaultDecayToZero,
		RetainScore:               6 * time.Hour, // a peer cannot clear its score by reconnecting
		Topics:                    make(map[string]*pubsub.TopicScoreParams, len(topics)),
	}
	for _, t := range topics {
		params.Topics[prefix+t.Name] = t.Score.params()
	}
	for _, p := range ipgroup.Private() {
		_, network, err := net.ParseCIDR(p.String())
		if err == nil {
			params.IPColocationFactorWhitelist = append(params.IPColocationFactorWhitelist, network)
		}
	}
	return params, &pubsub.PeerScoreThresholds{
		GossipThreshold:             gossipThreshold,
		PublishThreshold:            publishThreshold,
		GraylistThreshold:           graylistThreshold,
		AcceptPXThreshold:           1000,
		OpportunisticGraftThreshold: 1,
	}
}
