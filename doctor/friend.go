package doctor

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/dht"
	"walrus/p2p"
)

// Online describes a peer that stays, for another one that wants to test the way to it.
type Online struct {
	PeerID    peer.ID
	Addresses []string // those told to others, relayed ones included
	Verdict   string
}

// resident is a home peer, as pins and monitors are.
type resident struct {
	host    *p2p.Host
	table   *dht.DHT
	members []peer.AddrInfo
}

// within runs do with a home peer that has joined the network.
func within(ctx context.Context, cfg Config, punched func(p2p.Punch), do func(ctx context.Context, r *resident) error) (err error) {
	key, err := cfg.key()
	if err != nil {
		return err
	}
	listen := cfg.Listen
	if len(listen) == 0 {
		listen = []string{"/ip4/0.0.0.0/tcp/0", "/ip4/0.0.0.0/udp/0/quic-v1"}
	}
	x := &examination{cfg: cfg}
	hc := x.hostConfig(key, listen...)
	hc.Role, hc.Punched = p2p.Home, punched
	if x.host, err = p2p.New(hc); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, x.host.Close()) }()
	c := cfg.DHT
	c.Network, c.Server, c.Logger = cfg.Genesis.Network, false, cfg.Logger
	if x.table, err = dht.New(x.host.Libp2p(), c); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, x.table.Close()) }()
	ctx, stop := context.WithCancel(ctx)
	var work sync.WaitGroup
	defer work.Wait()
	defer stop()
	var ended error
	work.Go(func() {
		ended = x.table.Run(ctx)
		stop()
	})
	var named []peer.ID
	for _, m := range cfg.Genesis.Members {
		named = append(named, m.Node)
	}
	x.host.SetProtected("registered", named)
	join, cancel := context.WithTimeout(ctx, 2*joinTime)
	err = x.table.Joined(join)
	cancel()
	if err != nil {
		return err
	}
	r := &resident{x.host, x.table, x.members(ctx)}
	r.host.Outside().SetRelays(func() []peer.AddrInfo { return r.members })
	err = do(ctx, r)
	stop()
	work.Wait()
	return errors.Join(err, ended)
}

// Stay stays in the network as a home peer until ctx ends. It tells how others reach it, at first and at each change,
// and punched of every attempt to connect directly.
func Stay(ctx context.Context, cfg Config, tell func(Online) error, punched func(p2p.Punch)) error {
	return within(ctx, cfg, punched, func(ctx context.Context, r *resident) (err error) {
		ctx, stop := context.WithCancel(ctx)
		defer stop()
		r.host.Outside().Watch(ctx, func(reach p2p.Reach) {
			o := Online{PeerID: r.host.ID(), Verdict: reach.Summary()}
			for _, a := range r.host.FullAddrs() {
				o.Addresses = append(o.Addresses, a.String())
			}
			if err = tell(o); err != nil {
				stop()
			}
		})
		return err
	})
}

// Way describes the connection to another peer.
type Way struct {
	Self      peer.ID // of this side
	Direct    bool
	Transport string // tcp or udp
	Address   string // of the connection
	// Relayed and Connected are the times from the start of the dial to the relayed connection, if there was one, and
	// to the direct one.
	Relayed, Connected time.Duration
	// Attempts to connect directly, in order.
	Attempts []p2p.Punch
}

// punchTime bounds the wait for a direct connection after a relayed one: three tries of some seconds each.
const punchTime = 25 * time.Second

// Visit dials a peer that stays and waits until the connection is direct. Without addresses, the peer is looked up in
// the network.
func Visit(ctx context.Context, cfg Config, to peer.AddrInfo) (w Way, err error) {
	var mu sync.Mutex
	var attempts []p2p.Punch // guarded by mu
	err = within(ctx, cfg, func(p p2p.Punch) {
		mu.Lock()
		defer mu.Unlock()
		attempts = append(attempts, p)
	}, func(ctx context.Context, r *resident) (err error) {
		w, err = r.visit(ctx, to)
		return err
	})
	w.Attempts = attempts // the host is closed
	return w, err
}

func (r *resident) visit(ctx context.Context, to peer.AddrInfo) (w Way, err error) {
	w.Self = r.host.ID()
	id, begin := to.ID, time.Now()
	connected := func() bool { return len(r.host.Libp2p().Network().ConnsToPeer(id)) > 0 }
	if len(to.Addrs) == 0 {
		find, cancel := context.WithTimeout(ctx, 2*joinTime)
		defer cancel()
		to, err = r.find(find, id, connected)
	}
	if err == nil && !connected() {
		err = r.host.Connect(ctx, to)
	}
	if err != nil {
		return w, fmt.Errorf("%w: is walrus doctor --stay running there, in the same network?", err)
	}
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	patience := time.NewTimer(punchTime)
	defer patience.Stop()
	for {
		relayed := false
		for _, c := range r.host.Libp2p().Network().ConnsToPeer(id) {
			if c.Stat().Limited {
				relayed = true
				if w.Relayed == 0 {
					w.Relayed, w.Address = time.Since(begin), c.RemoteMultiaddr().String()
				}
				continue
			}
			w.Direct, w.Connected, w.Address, w.Transport = true, time.Since(begin), c.RemoteMultiaddr().String(), "udp"
			if t, _, ok := endpoint(c.RemoteMultiaddr()); ok && t == TCP {
				w.Transport = "tcp"
			}
			return w, nil
		}
		select {
		case <-look.C:
		case <-patience.C:
			if !relayed {
				return w, fmt.Errorf("the connection to %s is gone", id)
			}
			return w, nil
		case <-ctx.Done():
			return w, ctx.Err()
		}
	}
}

// find looks up the addresses of a peer. The search itself may get a relayed connection to the peer: then it is over.
func (r *resident) find(ctx context.Context, id peer.ID, connected func() bool) (peer.AddrInfo, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var watch sync.WaitGroup
	defer watch.Wait()
	defer cancel()
	watch.Go(func() {
		look := time.NewTicker(time.Millisecond)
		defer look.Stop()
		for !connected() {
			select {
			case <-look.C:
			case <-ctx.Done():
				return
			}
		}
		cancel()
	})
	info, err := r.table.FindPeer(ctx, id)
	if err != nil && connected() {
		return peer.AddrInfo{ID: id}, nil
	}
	return info, err
}
