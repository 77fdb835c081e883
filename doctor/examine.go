package doctor

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"walrus/dht"
	"walrus/internal/ipgroup"
	"walrus/ledger"
	"walrus/ledger/light"
	"walrus/p2p"
)

// Config of an examination.
type Config struct {
	Role    Role
	Genesis *ledger.Genesis
	// DHT has the ways into the network. Examine sets its Network, Server and Logger.
	DHT dht.Config
	// Key is the identity to ask with. Nil: a fresh one, which a private network does not answer.
	Key ed25519.PrivateKey
	// Self is the peer ID whose keys must not be used elsewhere. Empty for a process with a fresh identity each time.
	Self peer.ID
	// Port to forward in a router; 0 if none is fixed.
	Port int
	// Listen has the addresses to measure at, free at the moment. Empty: any free ports.
	Listen []string
	// Announce has the addresses that the configuration tells others.
	Announce []string
	// Running has the summary of a running node about its reach, as p2p.Reach.Summary makes it; "" if none runs.
	Running string
	// Data is the folder with the data; "" for none. Limit and Used are of the store, in bytes.
	Data        string
	Limit, Used uint64
	Version     string
	Logger      *slog.Logger
}

// key returns the identity of one host. All hosts of an examination may share one: each has connections of its own.
func (c *Config) key() (ed25519.PrivateKey, error) {
	if c.Key != nil {
		return c.Key, nil
	}
	_, key, err := ed25519.GenerateKey(nil)
	return key, err
}

// The steps of an examination, which lasts at most the sum of the first three and a little: 15 s.
const (
	joinTime  = 4 * time.Second
	probeTime = 4 * time.Second // until all observers have answered
	backTime  = 6 * time.Second // a packet that is dropped is waited for
	// mapTime bounds the search for a router that forwards ports. It runs beside the first two steps.
	mapTime = 7 * time.Second
	// observers is the number of members asked for our address, each with another IP address. Two tell a cone from a
	// symmetric router; four stay right if one lies or is behind the same router.
	observers = 4
)

// Examine collects the facts about this computer. Failures are facts; the error is only for a host that cannot be made.
func Examine(ctx context.Context, cfg Config) (*Facts, error) {
	x := &examination{cfg: cfg, facts: Facts{
		Role: cfg.Role, Port: cfg.Port, Own: ownAddrs(), Files: fileLimit(), Version: cfg.Version, Running: running(cfg.Running),
	}}
	return &x.facts, x.run(ctx)
}

// running reads the summary of a running node, such as "mapped, tcp mapped, quic blocked".
func running(summary string) map[Transport]Verdict {
	if summary == "" {
		return nil
	}
	verdicts := map[Transport]Verdict{}
	for _, part := range strings.Split(summary, ", ") {
		name, verdict, _ := strings.Cut(part, " ")
		for t, short := range map[Transport]string{TCP: "tcp", QUIC: "quic"} {
			if name == short && slices.Contains(order, Verdict(verdict)) {
				verdicts[t] = Verdict(verdict)
			}
		}
	}
	return verdicts
}

// examination is one run of Examine.
type examination struct {
	cfg   Config
	facts Facts
	host  *p2p.Host
	table *dht.DHT
}

func (x *examination) run(ctx context.Context) (err error) {
	key, err := x.cfg.key()
	if err != nil {
		return err
	}
	if x.host, err = p2p.New(x.hostConfig(key)); err != nil {
		return fmt.Errorf("examine: %w", err)
	}
	defer func() { err = errors.Join(err, x.host.Close()) }()
	c := x.cfg.DHT
	c.Network, c.Server, c.Logger = x.cfg.Genesis.Network, false, x.cfg.Logger
	if x.table, err = dht.New(x.host.Libp2p(), c); err != nil {
		return fmt.Errorf("examine: %w", err)
	}
	defer func() { err = errors.Join(err, x.table.Close()) }()
	run, stop := context.WithCancel(ctx)
	var work sync.WaitGroup
	defer work.Wait()
	defer stop()
	work.Go(func() {
		if err := x.table.Run(run); err != nil && run.Err() == nil {
			x.cfg.Logger.Warn("the table of peers ended", "err", err)
		}
	})
	var side sync.WaitGroup
	defer side.Wait()
	if x.cfg.Data != "" {
		side.Go(func() { x.facts.Disk = examineDisk(x.cfg.Data, x.cfg.Limit, x.cfg.Used) })
	}
	probes, err := x.openProbes()
	if err != nil {
		return err
	}
	defer func() {
		for _, p := range probes {
			err = errors.Join(err, p.host.Close())
		}
	}()
	mapped := make(chan p2p.PortMap, 1)
	unmap := func() error { return nil }
	side.Go(func() {
		m, release := x.mapPorts(run, probes)
		unmap = release
		mapped <- m
	})
	defer func() { err = errors.Join(err, unmap()) }() // probe has received from mapped
	members := x.members(ctx)
	if len(members) > 0 {
		side.Go(func() { x.facts.Hops = hops(run, members) })
	}
	side.Go(func() { x.ask(run, members) })
	x.probe(ctx, probes, members, mapped)
	x.twins(ctx)
	return nil
}

func (x *examination) hostConfig(key ed25519.PrivateKey, listen ...string) p2p.Config {
	return p2p.Config{
		Network: x.cfg.Genesis.Network, Key: key, Listen: listen, UserAgent: "walrus/" + x.cfg.Version, Role: p2p.Client,
		Protocols: light.Protocols(x.cfg.Genesis.Network), Logger: x.cfg.Logger,
	}
}

// members returns members with their addresses, in random order. Without any that answers, those of the configuration.
func (x *examination) members(ctx context.Context) (list []peer.AddrInfo) {
	join, cancel := context.WithTimeout(ctx, joinTime)
	defer cancel()
	if x.table.Joined(join) == nil {
		var mu sync.Mutex
		var finding sync.WaitGroup
		for _, at := range rand.Perm(len(x.cfg.Genesis.Members))[:min(len(x.cfg.Genesis.Members), 4*observers)] {
			id := x.cfg.Genesis.Members[at].Node
			if id == x.cfg.Self {
				continue
			}
			finding.Go(func() {
				_ = x.table.Connect(join, id) // then the member has told all its addresses
				info, err := x.table.FindPeer(join, id)
				if err != nil {
					return
				}
				mu.Lock()
				defer mu.Unlock()
				list = append(list, info)
			})
		}
		finding.Wait()
	}
	if len(list) == 0 {
		for _, text := range x.cfg.DHT.Bootstrap {
			if info, err := peer.AddrInfoFromString(text); err == nil {
				list = append(list, *info)
			}
		}
	}
	rand.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list
}

// ask asks members for their version and compares clocks.
func (x *examination) ask(ctx context.Context, members []peer.AddrInfo) {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	var mu sync.Mutex
	var asking sync.WaitGroup
	for _, m := range members[:min(len(members), 2*observers)] {
		asking.Go(func() {
			st, err := x.host.NodeStatus(ctx, m.ID)
			if err != nil {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			x.facts.Versions = append(x.facts.Versions, st.Version)
		})
	}
	l, err := light.New(light.Config{Genesis: x.cfg.Genesis, Host: x.host.Libp2p(), Connect: x.table.Connect, Logger: x.cfg.Logger})
	if err == nil {
		if ahead, err := l.Clock(ctx); err == nil {
			x.facts.Clock = &ahead
		}
	}
	asking.Wait()
}

// twins looks for our keys at addresses that are not ours.
func (x *examination) twins(ctx context.Context) {
	if x.cfg.Self == "" {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	info, err := x.table.FindPeer(ctx, x.cfg.Self)
	if err != nil {
		return
	}
	ours := slices.Clone(x.facts.Own)
	for _, p := range x.facts.Paths {
		for _, a := range p.Seen {
			ours = append(ours, a.Addr())
		}
	}
	info.Addrs = slices.DeleteFunc(info.Addrs, func(a multiaddr.Multiaddr) bool {
		ip := ipgroup.IP(a)
		_, relay := a.ValueForProtocol(multiaddr.P_CIRCUIT)
		return relay == nil || ipgroup.ReachOf(a) != ipgroup.Internet || !ip.IsValid() || slices.Contains(ours, ip)
	})
	if len(info.Addrs) > 0 && x.host.Connect(ctx, info) == nil { // the connection proves the keys
		for _, a := range info.Addrs {
			x.facts.Twins = append(x.facts.Twins, a.String())
		}
	}
}

// endpoint returns the transport, the address and the port of a multiaddr such as /ip4/44.1.0.1/tcp/4001.
func endpoint(a multiaddr.Multiaddr) (t Transport, at netip.AddrPort, ok bool) {
	ip := ipgroup.IP(a)
	if !ip.IsValid() || len(a) < 2 {
		return "", at, false
	}
	switch a[1].Protocol().Code {
	case multiaddr.P_TCP:
		t = TCP
		if len(a) > 2 && a[2].Protocol().Code != multiaddr.P_P2P {
			return "", at, false // a websocket, or a relay
		}
	case multiaddr.P_UDP:
		t = QUIC
		if len(a) < 3 || a[2].Protocol().Code != multiaddr.P_QUIC_V1 || len(a) > 3 && a[3].Protocol().Code != multiaddr.P_P2P {
			return "", at, false
		}
	default:
		return "", at, false
	}
	var port uint16
	if _, err := fmt.Sscan(a[1].Value(), &port); err != nil {
		return "", at, false
	}
	return t, netip.AddrPortFrom(ip, port), true
}

// multi is the reverse of endpoint.
func multi(t Transport, at netip.AddrPort) multiaddr.Multiaddr {
	version := "ip4"
	if at.Addr().Is6() {
		version = "ip6"
	}
	text := fmt.Sprintf("/%s/%s/tcp/%d", version, at.Addr(), at.Port())
	if t == QUIC {
		text = fmt.Sprintf("/%s/%s/udp/%d/quic-v1", version, at.Addr(), at.Port())
	}
	return multiaddr.StringCast(text)
}
