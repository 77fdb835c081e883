// Package swarmtest is a network of real libp2p hosts inside one process, made for testing/synctest: hosts speak real
// yamux and TLS over in-memory connections with latency, link rates, and switches that cut, isolate and kill. Time
// costs nothing in a bubble, so fifty hosts live through hours in seconds. Bytes are never lost or reordered, only late
// or cut off, as TCP would have it. It is for tests only. Start with NewNetwork; make the network and its hosts inside
// the bubble, and close every host before the bubble ends.
//
// A run is not repeatable to the byte, since keys of TLS and the order of goroutines vary: assert outcomes, not traces.
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

// port is where ListenAddr listens; a host may listen on others too.
const port = 9000

// maxHosts is what fits the last three bytes of 10.0.0.0/8.
const maxHosts = 1<<24 - 2

// Network is a simulated network. Hosts are named by small numbers. Safe for concurrent use.
type Network struct {
	seed uint64 // constant

	mu        sync.Mutex
	latency   func(a, b int) time.Duration // guarded by mu
	hosts     map[int]*hostState           // guarded by mu
	cuts      map[[2]int]bool              // both orders present; guarded by mu
	listeners map[string]*listener         // by address; guarded by mu
	conns     map[*conn]*conn              // each end of every open connection to the other; guarded by mu
	bytes     map[[2]int]*counter          // guarded by mu
	lastPort  int                          // guarded by mu
	changed   chan struct{}                // closed and replaced when a switch is turned; guarded by mu
}

// hostState is what the network knows of one host. Guarded by Network.mu, but for the links, which lock themselves.
type hostState struct {
	up, down link
	isolated bool
	dead     bool
}

// NewNetwork makes a network whose latencies and keys follow from seed. Hosts lie in five regions: 2 to 12 ms one way
// inside one, 20 to 150 ms between two. Link rates are unlimited until SetRate.
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

// regions is the default latency, symmetric and constant.
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

// SetRate limits what host i sends and what it receives, each to bytesPerSecond over all its connections; 0 lifts the
// limit. It applies to bytes written from now on.
func (n *Network) SetRate(i int, bytesPerSecond int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	h := n.host(i)
	h.up.setRate(bytesPerSecond)
	h.down.setRate(bytesPerSecond)
}

// host is called with mu held.
func (n *Network) host(i int) *hostState {
	h := n.hosts[i]
	if h == nil {
		h = &hostState{}
		n.hosts[i] = h
	}
	return h
}

// Options are the libp2p options that put host i on this network: its transport, and without what needs real sockets.
// Security, muxer, limits, identity and listen addresses are the caller's, or libp2p's defaults.
func (n *Network) Options(i int) []libp2p.Option {
	return []libp2p.Option{
		libp2p.Transport(n.transport(i)),
		libp2p.DisableIdentifyAddressDiscovery(), // it stalls virtual time
		libp2p.DisableMetrics(),
		libp2p.DisableRelay(),
	}
}

// Key is the identity of host i, the same for the same seed.
func (n *Network) Key(i int) ed25519.PrivateKey {
	var seed [ed25519.SeedSize]byte
	copy(seed[:], "swarmtest host")
	binary.BigEndian.PutUint64(seed[16:], n.seed)
	binary.BigEndian.PutUint64(seed[24:], uint64(i))
	return ed25519.NewKeyFromSeed(seed[:])
}

// ListenAddr is the multiaddr for host i to listen at.
func (n *Network) ListenAddr(i int) string { return fmt.Sprintf("/ip4/%s/tcp/%d", ip(i), port) }

// Addr is the multiaddr at which others dial host i, with its peer ID.
func (n *Network) Addr(i int, id peer.ID) string { return n.ListenAddr(i) + "/p2p/" + id.String() }

// ip is the address of host i in 10.0.0.0/8.
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

// Cut stops everything between a and b until Heal or Join: bytes under way wait, dials hang.
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

// Isolate cuts host i from everybody, now and later, until Heal.
func (n *Network) Isolate(i int) { n.turn(func() { n.host(i).isolated = true }) }

// Heal undoes every Cut and Isolate. What waited arrives at once. The dead stay dead.
func (n *Network) Heal() {
	n.turn(func() {
		clear(n.cuts)
		for _, h := range n.hosts {
			h.isolated = false
		}
	})
}

// Kill makes host i vanish as by SIGKILL: both ends of its connections are reset at once, its listeners are gone, and
// nobody can dial it, nor it anybody, until Revive. The libp2p host on it is still to be closed by the test.
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

// Revive lets a new libp2p host take the place of host i after Kill.
func (n *Network) Revive(i int) { n.turn(func() { n.host(i).dead = false }) }

// turn changes switches and makes connections and dials notice.
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

// isCut is called with mu held.
func (n *Network) isCut(a, b int) bool {
	return n.cuts[[2]int{a, b}] || n.host(a).isolated || n.host(b).isolated
}

// Bytes returns how many bytes the connections have taken from host from for host to, handshakes included.
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

// counter is called with mu held.
func (n *Network) counter(from, to int) *counter {
	c := n.bytes[[2]int{from, to}]
	if c == nil {
		c = new(counter)
		n.bytes[[2]int{from, to}] = c
	}
	return c
}
