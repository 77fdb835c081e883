package monitor

import (
	"fmt"
	"net/netip"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/certs"
	"walrus/ledger"
	"walrus/monitor/round"
	"walrus/monitor/score"
)

// view has the nodes and monitors of an epoch by the ledger. It is immutable.
type view struct {
	epoch    uint32
	com      *certs.Committee
	nodes    []round.Key     // by index in the committee
	monitors []round.Monitor // with weight
	weights  map[round.Key]uint64
	kinds    map[round.Key]Kind
	total    uint64
}

// newView computes the weights of an epoch. network groups the outsiders by the addresses at which they are seen.
func newView(epoch uint32, all certs.Committees, bonds ledger.Bonds, network func(peer.ID) netip.Prefix) (*view, error) {
	com, err := all.At(epoch)
	if err != nil {
		return nil, fmt.Errorf("read the committee of epoch %d: %w", epoch, err)
	}
	v := &view{epoch: epoch, com: com, nodes: keysOf(com), weights: map[round.Key]uint64{}, kinds: map[round.Key]Kind{}}
	var members []score.Member
	for i, k := range v.nodes {
		if k == (round.Key{}) {
			continue // anybody can sign for the key of zeros: it is a point of small order
		}
		members = append(members, score.Member{Key: k, Shards: len(com.Members()[i].Shards)})
		v.kinds[k] = Member
	}
	var outsiders []score.Bond
	for i := range bonds {
		o := score.Bond{Key: round.Key(bonds[i].Monitor), Amount: uint64(bonds[i].Weight(epoch))}
		if v.kinds[o.Key] == Member || o.Amount == 0 {
			continue
		}
		if network != nil {
			if block := network(bonds[i].Monitor.Peer()); block.IsValid() {
				o.Network = block.String()
			}
		}
		v.kinds[o.Key] = Bonded
		outsiders = append(outsiders, o)
	}
	v.monitors = score.Weights(members, outsiders)
	for _, m := range v.monitors {
		v.weights[m.Key] = m.Weight
		v.total += m.Weight
	}
	return v, nil
}

// keysOf returns the keys of a committee's members by index; zero for one whose peer ID has no Ed25519 key.
func keysOf(com *certs.Committee) []round.Key {
	keys := make([]round.Key, len(com.Members()))
	for i := range keys {
		keys[i], _ = round.KeyOf(com.Members()[i].Node) // a node without such a key is no monitor, and none can name it
	}
	return keys
}

// share returns a monitor's part of the whole weight.
func (v *view) share(k round.Key) float64 {
	if v.total == 0 {
		return 0
	}
	return float64(v.weights[k]) / float64(v.total)
}

func (v *view) kind(k round.Key) Kind {
	if kind, ok := v.kinds[k]; ok {
		return kind
	}
	return Unbonded
}

// name returns the name of a member; empty for others.
func (v *view) name(id peer.ID) string {
	if i, ok := v.com.Member(id); ok {
		return v.com.Members()[i].Name
	}
	return ""
}

// roster returns the peer IDs of the members.
func (v *view) roster() []peer.ID {
	ids := make([]peer.ID, len(v.com.Members()))
	for i := range ids {
		ids[i] = v.com.Members()[i].Node
	}
	return ids
}

// partial reports whether a monitor probes only some of the nodes: then the seed tells which.
func (v *view) partial() bool { return len(v.monitors) > round.AllPairs }
