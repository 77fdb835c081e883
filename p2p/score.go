package p2p

import (
	"net"
	"time"

	"github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/peer"
)

// Peer scores. A peer gains a little by time in the mesh and by being the first with messages, at most about 60 together, and
// loses by what is provably bad: k rejected messages cost 10·k², where k halves in nine minutes. At −100 it gets no gossip, at −500
// nothing of ours, below −1000 whatever it sends is dropped unread.
const (
	gossipThreshold   = -100
	publishThreshold  = -500
	graylistThreshold = -1000
	rejectWeight      = -10
)

// sharedIP is how many peers may share a public address before each more of them costs all of them score.
const sharedIP = 16

func peerScore(topic string) (*pubsub.PeerScoreParams, *pubsub.PeerScoreThresholds) {
	params := &pubsub.PeerScoreParams{
		AppSpecificScore:            func(peer.ID) float64 { return 0 },
		IPColocationFactorWeight:    -5,
		IPColocationFactorThreshold: sharedIP,
		// Broken promises and hasty grafts: a handful is bad luck.
		BehaviourPenaltyWeight:    -10,
		BehaviourPenaltyThreshold: 6,
		BehaviourPenaltyDecay:     pubsub.ScoreParameterDecay(time.Hour),
		DecayInterval:             pubsub.DefaultDecayInterval,
		DecayToZero:               pubsub.DefaultDecayToZero,
		RetainScore:               6 * time.Hour, // reconnecting does not clear a bad name
		Topics: map[string]*pubsub.TopicScoreParams{topic: {
			TopicWeight:                    1,
			TimeInMeshWeight:               0.01,
			TimeInMeshQuantum:              time.Second,
			TimeInMeshCap:                  1000,
			FirstMessageDeliveriesWeight:   0.5,
			FirstMessageDeliveriesDecay:    pubsub.ScoreParameterDecay(10 * time.Minute),
			FirstMessageDeliveriesCap:      100,
			InvalidMessageDeliveriesWeight: rejectWeight,
			InvalidMessageDeliveriesDecay:  pubsub.ScoreParameterDecay(time.Hour),
			// Certificates come seldom: a mesh peer without any is not a bad one, so deliveries are not demanded.
		}},
	}
	for _, s := range privateNets {
		if _, network, err := net.ParseCIDR(s); err == nil {
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
