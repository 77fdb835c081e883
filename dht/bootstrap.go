package dht

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
)

// bootstrap lists the configured peers, and what came of dialling each.
type bootstrap struct {
	host    host.Host       // constant, as the next two
	network string          // the name of ours
	peers   []peer.AddrInfo // never includes ourselves

	mu       sync.Mutex
	outcomes map[peer.ID]string // why the last dial failed; guarded by mu
}

func newBootstrap(h host.Host, cfg Config) (*bootstrap, error) {
	all, err := parseBootstrap(cfg.Bootstrap)
	if err != nil {
		return nil, err
	}
	b := &bootstrap{host: h, network: cfg.Network, outcomes: make(map[peer.ID]string)}
	for _, p := range all {
		if p.ID != h.ID() {
			b.peers = append(b.peers, p)
		}
	}
	return b, nil
}

// parseBootstrap merges addresses of the same peer and rejects addresses that can never be dialled.
func parseBootstrap(addrs []string) ([]peer.AddrInfo, error) {
	if len(addrs) > maxBootstrap {
		return nil, fmt.Errorf("%d bootstrap addresses: list at most %d", len(addrs), maxBootstrap)
	}
	parsed := make([]multiaddr.Multiaddr, 0, len(addrs))
	for _, s := range addrs {
		a, err := multiaddr.NewMultiaddr(s)
		if err != nil {
			return nil, fmt.Errorf("bootstrap address %q: %w: write it like /ip4/192.0.2.1/tcp/9000/p2p/12D3Koo…", s, err)
		}
		if t, id := peer.SplitAddr(a); t == nil || id == "" {
			return nil, fmt.Errorf("bootstrap address %q: want an address that ends in /p2p/<peer ID>", s)
		}
		parsed = append(parsed, a)
	}
	infos, err := peer.AddrInfosFromP2pAddrs(parsed...)
	if err != nil {
		return nil, fmt.Errorf("bootstrap addresses: %w", err)
	}
	return infos, nil
}

// addrs returns the configured addresses of a peer.
func (b *bootstrap) addrs(id peer.ID) []multiaddr.Multiaddr {
	for _, p := range b.peers {
		if p.ID == id {
			return p.Addrs
		}
	}
	return nil
}

// tried records the outcome of a dial for explain. It ignores other peers.
func (b *bootstrap) tried(id peer.ID, err error) {
	if b.addrs(id) == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if err == nil {
		b.outcomes[id] = "connected, but it does not serve this network"
		return
	}
	b.outcomes[id] = err.Error()
}

// explain lists the outcome for each address.
func (b *bootstrap) explain() string {
	if len(b.peers) == 0 {
		return "no bootstrap address is configured and nobody has dialled us: name one running peer"
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []string
	for _, p := range b.peers {
		result := b.outcomes[p.ID]
		switch name := b.networkOf(p.ID); {
		case name != "" && name != b.network:
			result = fmt.Sprintf("connected, but it is of network %q", name)
		case result == "":
			result = "no answer yet"
		}
		for _, a := range p.Addrs {
			out = append(out, fmt.Sprintf("%s/p2p/%s (%s)", a, p.ID, result))
		}
	}
	return "tried " + strings.Join(out, ", ") + ": check that one of these runs, can be reached and is of this network"
}

// versionPrefix begins the protocol version of this system's hosts; the network's name and a number follow.
const versionPrefix = "walrus/"

// networkOf returns the name of a connected peer's network, by its own word; empty if it has not said one.
func (b *bootstrap) networkOf(id peer.ID) string {
	v, err := b.host.Peerstore().Get(id, "ProtocolVersion")
	text, ok := v.(string)
	name, found := strings.CutPrefix(text, versionPrefix)
	if err != nil || !ok || !found || len(name) > 64 {
		return ""
	}
	name, _, _ = strings.Cut(name, "/")
	return name
}

// elsewhere returns the name of the other network that all peers say they are of; empty if they do not agree.
func (b *bootstrap) elsewhere() string {
	if len(b.peers) == 0 {
		return ""
	}
	name := b.networkOf(b.peers[0].ID)
	if name == b.network || slices.ContainsFunc(b.peers, func(p peer.AddrInfo) bool { return b.networkOf(p.ID) != name }) {
		return ""
	}
	return name
}
