// Package swarmtest is a network of real libp2p hosts inside one process, made for testing/synctest. Hosts speak real
// yamux and TLS over in-memory connections with latency, link rates, and switches that cut, isolate and kill. Time is
// virtual, so fifty hosts live through hours in seconds. Bytes are never lost or reordered, only late or cut off, as
// with TCP. It is for tests only. Start with NewNetwork. Make the network and its hosts inside the bubble, and close
// every host before the bubble ends.
//
// Runs are not repeatable to the byte, because TLS keys and the order of goroutines vary: assert outcomes, not traces.
package swarmtest

import (
	"crypto/ed25519"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync"
	"syscall"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
)

// port is the port of ListenAddr; a host may listen on others too.
const port = 9000

// maxHosts is the number of hosts that the last three bytes of 10.0.0.0/8 can address.
const maxHosts = 1<<24 - 2

// Network is a simulated network. Hosts are named by small numbers. Safe for concurrent use.
type Network struct {
	seed uint64 // constant

	mu        sync.Mutex
	latency   func(a, b int) time.Duration // guarded by mu
	hosts     map[int]*hostState           // guarded by mu
	cuts      map[[2]int]bool              // both orders present; guarded by mu
	listeners map[string]*listener         // by address; guarded by mu
	conns     map[*conn]*conn              // maps each end of every open connection to the other; guarded by mu
	bytes     map[[2]int]*counter          // guarded by mu
	lastPort  int                          // guarded by mu
	changed   chan struct{}                // closed and replaced when a switch changes; guarded by mu
}

// hostState is the network's state for one host. Network.mu guards it, except the links, which have their own locks.
type hostState struct {
	up, down link
	isolated bool
	dead     bool
}

// NewNetwork makes a network whose latencies and keys derive from seed. Hosts lie in five regions: one way takes 2 to
// 12 ms within a region, 20 to 150 ms between two. Link rates are unlimited until SetRate.
func NewNetwork(seed uint64) *Network {
	return &Network{
		seed:      seed,
		latency:   regions(seed),
		hosts:     make(map[int]*hostState),
		cuts:      make(map[[2]int]bool),
		listeners: make(map[string]*listener),
		conns:     make(map[*conn]*conn),
		bytes:     make(map[[2]int]*counter),
		changed:   make(chan struct{}),
	}
}

// regions returns the default latency, symmetric and constant.
func regions(seed uint64) func(a, b int) time.Duration {
	const count = 5
	r := rand.New(rand.NewPCG(seed, 0))
	var between [count][count]time.Duration
	for i := range count {
		between[i][i] = 2*time.Millisecond + time.Duration(r.Int64N(int64(10*time.Millisecond)))
		for j := range i {
			between[i][j] = 20*time.Millisecond + time.Duration(r.Int64N(int64(130*time.Millisecond)))
			between[j][i] = between[i][j]
		}
	}
	return func(a, b int) time.Duration { return between[a%count][b%count] }
}

// SetLatency replaces the one-way latency for connections dialled from now on. f must be pure and ≥ 0.
func (n *Network) SetLatency(f func(a, b int) time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.latency = f
}

// SetRate limits the sending and the receiving of host i, each to bytesPerSecond over all its connections; 0 removes
// the limit. It applies to bytes written from now on.
func (n *Network) SetRate(i int, bytesPerSecond int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	h := n.host(i)
	h.up.setRate(bytesPerSecond)
	h.down.setRate(bytesPerSecond)
}

// host returns the state of host i. The caller holds mu.
func (n *Network) host(i int) *hostState {
	h := n.hosts[i]
	if h == nil {
		h = &hostState{}
		n.hosts[i] = h
	}
	return h
}

// Options returns the libp2p options that put host i on this network: its transport, without features that need real
// sockets. The caller adds security, muxer, limits, identity and listen addresses, or takes libp2p's defaults.
func (n *Network) Options(i int) []libp2p.Option {
	return []libp2p.Option{
		libp2p.Transport(n.transport(i)),
		libp2p.DisableIdentifyAddressDiscovery(), // it stalls virtual time
		libp2p.DisableMetrics(),
		libp2p.DisableRelay(),
	}
}

// Key returns the identity key of host i, the same for the same seed.
func (n *Network) Key(i int) ed25519.PrivateKey {
	var seed [ed25519.SeedSize]byte
	copy(seed[:], "swarmtest host")
	binary.BigEndian.PutUint64(seed[16:], n.seed)
	binary.BigEndian.PutUint64(seed[24:], uint64(i))
	return ed25519.NewKeyFromSeed(seed[:])
}

// ListenAddr returns the multiaddr for host i to listen on.
func (n *Network) ListenAddr(i int) string { return fmt.Sprintf("/ip4/%s/tcp/%d", ip(i), port) }

// Addr returns the multiaddr at which others dial host i, with its peer ID.
func (n *Network) Addr(i int, id peer.ID) string { return n.ListenAddr(i) + "/p2p/" + id.String() }

// ip returns the address of host i in 10.0.0.0/8.
func ip(i int) string {
	if i < 0 || i >= maxHosts {
		panic(fmt.Sprintf("swarmtest: host %d: want 0 to %d", i, maxHosts-1))
	}
	i++
	return fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255)
}

// hostOf is the inverse of ip.
func hostOf(a multiaddr.Multiaddr) (int, error) {
	s, err := a.ValueForProtocol(multiaddr.P_IP4)
	if err != nil {
		return 0, fmt.Errorf("address %s: %w", a, err)
	}
	var b [3]int
	if _, err := fmt.Sscanf(s, "10.%d.%d.%d", &b[0], &b[1], &b[2]); err != nil {
		return 0, fmt.Errorf("address %s is not of this network: %w", a, err)
	}
	return b[0]<<16 + b[1]<<8 + b[2] - 1, nil
}

// Cut stops all traffic between a and b until Heal or Join: bytes in flight wait, dials hang.
func (n *Network) Cut(a, b int) {
	n.turn(func() { n.cuts[[2]int{a, b}], n.cuts[[2]int{b, a}] = true, true })
}

// Join undoes Cut(a, b).
func (n *Network) Join(a, b int) {
	n.turn(func() {
		delete(n.cuts, [2]int{a, b})
		delete(n.cuts, [2]int{b, a})
	})
}

// Isolate cuts host i from all others, now and later, until Heal.
func (n *Network) Isolate(i int) { n.turn(func() { n.host(i).isolated = true }) }

// Heal undoes every Cut and Isolate. Waiting bytes arrive at once. Killed hosts stay dead.
func (n *Network) Heal() {
	n.turn(func() {
		clear(n.cuts)
		for _, h := range n.hosts {
			h.isolated = false
		}
	})
}

// Kill makes host i vanish as after SIGKILL: both ends of its connections are reset at once, its listeners are gone,
// and no dial to or from it succeeds until Revive. The test must still close the libp2p host.
func (n *Network) Kill(i int) {
	n.turn(func() {
		n.host(i).dead = true
		for a, l := range n.listeners {
			if l.host == i {
				delete(n.listeners, a)
				l.stop()
			}
		}
		for c, other := range n.conns {
			if c.local == i || other.local == i {
				c.in.reset(syscall.ECONNRESET)
				c.out.reset(syscall.ECONNRESET)
				delete(n.conns, c)
			}
		}
	})
}

// Revive lets a new libp2p host replace host i after Kill.
func (n *Network) Revive(i int) { n.turn(func() { n.host(i).dead = false }) }

// turn changes switches and notifies connections and dials.
func (n *Network) turn(change func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	change()
	for c, other := range n.conns {
		cut := n.isCut(c.local, other.local)
		c.in.hold(cut)
		c.out.hold(cut)
	}
	close(n.changed)
	n.changed = make(chan struct{})
}

// isCut reports whether a and b are cut off. The caller holds mu.
func (n *Network) isCut(a, b int) bool {
	return n.cuts[[2]int{a, b}] || n.host(a).isolated || n.host(b).isolated
}

// Bytes returns the number of bytes that connections have taken from host from for host to, handshakes included.
func (n *Network) Bytes(from, to int) int64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.counter(from, to).Load()
}

// Sent returns the bytes taken from host i for all others.
func (n *Network) Sent(i int) int64 { return n.sum(func(from, _ int) bool { return from == i }) }

// Received returns the bytes taken from all others for host i.
func (n *Network) Received(i int) int64 { return n.sum(func(_, to int) bool { return to == i }) }

// Total returns all bytes taken.
func (n *Network) Total() int64 { return n.sum(func(_, _ int) bool { return true }) }

func (n *Network) sum(counts func(from, to int) bool) (total int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for pair, c := range n.bytes {
		if counts(pair[0], pair[1]) {
			total += c.Load()
		}
	}
	return total
}

// counter returns the counter of one direction. The caller holds mu.
func (n *Network) counter(from, to int) *counter {
	c := n.bytes[[2]int{from, to}]
	if c == nil {
		c = new(counter)
		n.bytes[[2]int{from, to}] = c
	}
	return c
}
