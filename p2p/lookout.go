package p2p

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
	"github.com/multiformats/go-multiaddr"
)

// reachSettle separates two looks at the interfaces when nothing else happens.
const reachSettle = time.Minute

// lookout turns libp2p's events into a Reach, and tells libp2p the conclusion: libp2p's own (AutoNAT v1) is switched
// off, because it takes 17 seconds and knows no addresses.
type lookout struct {
	host   host.Host    // constant, as the next six
	relays *relaySource //
	proven *provenAddrs //
	told   func(addr multiaddr.Multiaddr, d Dialled)
	emit   event.Emitter
	events event.Subscription
	fixed  []multiaddr.Multiaddr // announced
	stop   context.CancelFunc
	ended  chan struct{}
	dials  chan dialledBack
	punch  *puncher

	mu      sync.Mutex
	reach   Reach         // guarded by mu
	changed chan struct{} // closed when reach changes; guarded by mu
}

// newLookout starts to watch.
func newLookout(h host.Host, cfg *Config, relays *relaySource, proven *provenAddrs) (*lookout, error) {
	announced, err := multiaddrs(cfg.Announce)
	if err != nil {
		return nil, err
	}
	w := &lookout{
		host: h, relays: relays, proven: proven, fixed: announced, ended: make(chan struct{}), dials: make(chan dialledBack, maxDialBacks),
		changed: make(chan struct{}), reach: Reach{Verdict: Unknown},
	}
	w.punch = newPuncher(h)
	if w.emit, err = h.EventBus().Emitter(new(event.EvtLocalReachabilityChanged), eventbus.Stateful); err != nil {
		return nil, err
	}
	w.events, err = h.EventBus().Subscribe([]any{
		new(event.EvtHostReachableAddrsChanged), new(event.EvtAutoRelayAddrsUpdated), new(event.EvtLocalAddressesUpdated),
		new(event.EvtNATDeviceTypeChanged),
	}, eventbus.BufSize(64))
	if err != nil {
		_ = w.emit.Close() // nothing was sent
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	w.stop = stop
	w.told = func(addr multiaddr.Multiaddr, d Dialled) {
		if d.Refused || d.By == "" {
			return
		}
		select {
		case w.dials <- dialledBack{addr, d.By, d.OK, d.Why}:
		case <-ctx.Done():
		}
	}
	go w.run(ctx)
	return w, nil
}

func (w *lookout) close() {
	w.stop()
	<-w.ended
}

// run takes the events until ctx ends.
func (w *lookout) run(ctx context.Context) {
	defer close(w.ended)
	defer func() {
		_ = w.events.Close() // nobody else uses them
		_ = w.emit.Close()
	}()
	state := newReachState()
	state.step(w.addrs())
	w.conclude(state.reach())
	again, look := time.NewTicker(reachSettle), time.NewTicker(punchLook)
	defer again.Stop()
	defer look.Stop()
	defer w.punch.work.Wait()
	changed := false // an address of ours, since the last look
	for {
		select {
		case <-ctx.Done():
			return
		case <-again.C:
			state.step(w.addrs())
		case now := <-look.C:
			w.punch.look(ctx, now, changed)
			changed = false
			continue
		case c := <-w.punch.news:
			w.punch.met(c, time.Now())
			continue
		case d := <-w.dials:
			state.step(d)
		case e, open := <-w.events.Out():
			if !open {
				return
			}
			_, moved := e.(event.EvtLocalAddressesUpdated)
			changed = changed || moved
			w.take(state, e)
		}
		w.conclude(state.reach())
	}
}

// take translates an event of libp2p.
func (w *lookout) take(state *reachState, e any) {
	switch e := e.(type) {
	case event.EvtHostReachableAddrsChanged:
		state.step(w.addrs())
		state.step(confirmed{e.Reachable, e.Unreachable})
	case event.EvtAutoRelayAddrsUpdated:
		w.relays.use(e.RelayAddrs)
		state.step(relaysChanged{e.RelayAddrs})
	case event.EvtLocalAddressesUpdated:
		state.step(w.addrs())
	case event.EvtNATDeviceTypeChanged:
		nat := NATUnknown
		switch e.NatDeviceType {
		case network.NATDeviceTypeEndpointIndependent:
			nat = NATCone
		case network.NATDeviceTypeEndpointDependent:
			nat = NATSymmetric
		}
		state.step(natFound{e.TransportProtocol == network.NATTransportUDP, nat})
	}
}

// addrs collects the addresses of this host, those included that libp2p does not tell others because they cannot be
// reached.
func (w *lookout) addrs() addrsChanged {
	e := addrsChanged{addrs: slices.Concat(w.fixed, w.host.Addrs()), own: interfaceAddrs()}
	if all, ok := w.host.(interface{ AllAddrs() []multiaddr.Multiaddr }); ok {
		e.addrs = append(e.addrs, all.AllAddrs()...)
	}
	return e
}

// interfaceAddrs lists the IP addresses of this machine.
func interfaceAddrs() (list []netip.Addr) {
	for _, p := range interfaceNets() {
		list = append(list, p.Addr())
	}
	return list
}

// interfaceNets lists the networks of this machine's interfaces, each with the machine's address in it.
func interfaceNets() (list []netip.Prefix) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil // a sandbox without them
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok {
			ip, _ := netip.AddrFromSlice(n.IP)
			bits, _ := n.Mask.Size()
			ip = ip.Unmap()
			list = append(list, netip.PrefixFrom(ip, bits))
		}
	}
	return list
}

// conclude publishes a conclusion if it is new.
func (w *lookout) conclude(r Reach) {
	w.proven.set(r)
	w.mu.Lock()
	before := w.reach
	w.reach = r
	if !r.equal(before) {
		close(w.changed)
		w.changed = make(chan struct{})
	}
	w.mu.Unlock()
	if now := r.reachability(); now != before.reachability() && now != network.ReachabilityUnknown {
		_ = w.emit.Emit(event.EvtLocalReachabilityChanged{Reachability: now}) // fails only after close
	}
}

// Reach tells how others reach this host, as far as it is known now.
func (o Outside) Reach() Reach {
	o.h.watch.mu.Lock()
	defer o.h.watch.mu.Unlock()
	return o.h.watch.reach
}

// Watch calls changed with the Reach, now and after every change, until ctx ends or the host is closed.
func (o Outside) Watch(ctx context.Context, changed func(Reach)) {
	for {
		o.h.watch.mu.Lock()
		now, next := o.h.watch.reach, o.h.watch.changed
		o.h.watch.mu.Unlock()
		changed(now)
		select {
		case <-next:
		case <-ctx.Done():
			return
		case <-o.h.watch.ended:
			return
		}
	}
}

// Log logs how others reach this host, when that is known and whenever it changes, until ctx ends.
func (o Outside) Log(ctx context.Context, log *slog.Logger) {
	told := Unknown.String()
	o.Watch(ctx, func(r Reach) {
		now := r.Summary()
		if now == told || r.Verdict == Unknown {
			return
		}
		told = now
		args := []any{"reach", now, "relays", len(r.Relays)}
		for _, a := range r.Addrs {
			if a.Verdict != Unknown {
				args = append(args, a.Addr.String(), a.Why)
			}
		}
		if r.Verdict == Blocked {
			log.Warn("others cannot reach this computer: forward its port in the router, or allow it in the firewall", args...)
			return
		}
		log.Info("others reach this computer: "+r.Verdict.String(), args...)
	})
}
