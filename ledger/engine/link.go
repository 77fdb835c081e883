package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cometbft/cometbft/p2p"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"

	"walrus/certs"
)

// link keeps one stream to one other member. Of two neighbors, the one with the lower peer ID opens it, so that they
// never open two at once. Either side may dial the connection, because perhaps only one can reach the other. A follower
// opens streams to a few validators at a time.
type link struct {
	sw       *sw // constant, as are the next nine
	id       peer.ID
	key      p2p.ID
	name     string
	shares   int64
	follower bool // the peer has no vote
	spare    bool // both vote, but are no neighbors: either opens a stream when it has too few

	called   chan struct{}          // a spare link is to open its stream; capacity 1
	incoming chan network.Stream    // opened by the peer and greeted
	wake     chan struct{}          // a connection may have come up; capacity 1
	greeting atomic.Bool            // an incoming stream is in its greeting: allow no second one
	foreign  atomic.Pointer[string] // the other chain that the peer reported; nil if it runs ours or has not said
}

// opens reports whether our side opens the stream, and the peer never does.
func (l *link) opens() bool {
	if l.spare {
		return false
	}
	if !l.sw.votes || l.follower {
		return !l.sw.votes
	}
	return l.sw.host.ID() < l.id
}

// poke ends the pause between two attempts.
func (l *link) poke() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// call has a spare link open its stream.
func (l *link) call() {
	select {
	case l.called <- struct{}{}:
	default:
	}
}

// complain logs why there is no stream: a peer on another chain once as a warning, all else as debug, because it is
// temporary.
func (l *link) complain(err error) {
	say := l.sw.log.Debug
	var other *otherChain
	if errors.As(err, &other) {
		if l.foreign.Swap(&other.what) == nil {
			say = l.sw.log.Warn
		}
		l.sw.compareChains(other.what)
	}
	say("no consensus stream with member", "name", l.name, "peer", l.id, "err", err)
}

// run keeps the stream until ctx ends.
func (l *link) run(ctx context.Context) {
	var tasks sync.WaitGroup
	defer tasks.Wait()
	if !l.opens() {
		if !l.follower && !l.spare {
			tasks.Go(func() { l.retry(ctx, retryMost, l.knock) })
		}
		for {
			select {
			case st := <-l.incoming:
				l.serve(ctx, st)
			case <-l.called:
				if st, err := l.open(ctx); err == nil {
					l.serve(ctx, st)
				} else {
					l.complain(err)
				}
			case <-ctx.Done():
				return
			}
		}
	}
	l.retry(ctx, retryFirst, func(ctx context.Context) error {
		if l.sw.slots != nil {
			select {
			case l.sw.slots <- struct{}{}:
				defer func() { <-l.sw.slots }()
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		st, err := l.open(ctx)
		if err != nil {
			return err
		}
		l.serve(ctx, st)
		return nil
	})
}

// retry repeats attempt until ctx ends. After a success it pauses for again, after failures for longer and longer
// times. A new or lost connection ends the pause.
func (l *link) retry(ctx context.Context, again time.Duration, attempt func(context.Context) error) {
	wait := retryFirst
	for {
		if err := attempt(ctx); err == nil {
			wait = again
		} else if ctx.Err() == nil {
			l.complain(err)
		}
		// random, so that members who lost their connections together do not retry together
		pause := time.NewTimer(wait/2 + rand.N(wait))
		select {
		case <-pause.C:
			wait = min(2*wait, retryMost)
		case <-l.wake:
			wait = retryFirst
		case <-ctx.Done():
			pause.Stop()
			return
		}
		pause.Stop()
	}
}

// dial ensures that there is a connection to the peer.
func (l *link) dial(ctx context.Context) error {
	if l.sw.host.Network().Connectedness(l.id) == network.Connected {
		return nil
	}
	select {
	case l.sw.dials <- struct{}{}:
		defer func() { <-l.sw.dials }()
	case <-ctx.Done():
		return ctx.Err()
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	// libp2p would refuse to dial for minutes after a few failures. Consensus can afford only our own pauses.
	if s, ok := l.sw.host.Network().(interface{ Backoff() *swarm.DialBackoff }); ok {
		s.Backoff().Clear(l.id)
	}
	return l.sw.connect(ctx, l.id)
}

// knock dials the peer and tells it that its stream is welcome. The peer may have tried before we were ready, and be
// waiting.
func (l *link) knock(ctx context.Context) error {
	if err := l.dial(ctx); err != nil || l.sw.Has(l.key) {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, greetTimeout)
	defer cancel()
	st, err := l.sw.host.NewStream(network.WithNoDial(ctx, "dialed already"), l.id, l.sw.protocol)
	if err != nil {
		return l.elsewhere(nil) // the peer may not be ready; it opens a stream when it is
	}
	defer context.AfterFunc(ctx, func() { st.Reset() })()
	if _, err := st.Write(l.sw.network[:]); err != nil {
		st.Reset()
		return fmt.Errorf("knock: %w", err)
	}
	var theirs certs.NetworkID
	_, err = io.ReadFull(st, theirs[:])
	if cerr := st.Close(); err == nil && theirs != l.sw.network {
		return &otherChain{genesisName(theirs)}
	} else if err == nil {
		return cerr
	}
	return nil // a peer that simply opens its stream sends nothing here
}

// elsewhere returns err, or an otherChain error if the peer's network has another name.
func (l *link) elsewhere(err error) error {
	v, perr := l.sw.host.Peerstore().Get(l.id, "ProtocolVersion")
	if theirs, ok := v.(string); perr == nil && ok {
		if name := p2pNetwork(theirs); name != "" && name != l.sw.networkName() {
			return &otherChain{fmt.Sprintf("network %q", name)}
		}
	}
	return err
}

// open opens a stream and exchanges the greeting.
func (l *link) open(ctx context.Context) (network.Stream, error) {
	if err := l.dial(ctx); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	st, err := l.sw.host.NewStream(network.WithNoDial(ctx, "dialed already"), l.id, l.sw.protocol)
	if err != nil {
		return nil, l.elsewhere(fmt.Errorf("open stream: %w", err))
	}
	if err := greet(ctx, st, l.sw.network); err != nil {
		st.Reset()
		return nil, err
	}
	return st, nil
}

// serve runs the reactors over the stream until it breaks, ctx ends, or a new stream of the peer replaces it.
// Reactors hear of this peer only from here, in order.
func (l *link) serve(ctx context.Context, st network.Stream) {
	for st != nil && ctx.Err() == nil {
		r := newRemote(l.sw, l.key, st, l.opens())
		for _, to := range l.sw.order {
			to.InitPeer(r)
		}
		if err := r.Start(); err != nil {
			r.drop(err)
		}
		l.sw.set(r)
		for _, to := range l.sw.order {
			to.AddPeer(r)
		}
		l.foreign.Store(nil)
		l.sw.log.Debug("consensus stream open", "name", l.name, "peer", l.id)
		st = nil
		select {
		case <-ctx.Done():
		case <-r.Quit():
		case st = <-l.incoming:
		}
		_ = r.Stop() // fails if already stopped
		for _, to := range l.sw.order {
			to.RemovePeer(r, r.why())
		}
		l.sw.unset(r)
		say := l.sw.log.Debug
		if _, bad := r.why().(*badMessage); bad {
			say = l.sw.log.Warn
		}
		say("consensus stream closed", "name", l.name, "peer", l.id, "reason", r.why())
	}
	if st != nil {
		st.Reset()
	}
}
