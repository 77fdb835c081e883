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

// link keeps one stream to one other member. Of two validators the one with the lower peer ID opens it, so that they never
// open two at once; either makes the connection, since only one of them may be reachable for the other. A follower opens
// its streams, to a few of the validators at a time.
type link struct {
	sw       *sw // constant, as the next seven
	id       peer.ID
	key      p2p.ID
	name     string
	shares   int64
	follower bool // the peer has no vote

	incoming chan network.Stream    // streams the peer has opened, after the greeting
	wake     chan struct{}          // there may be a connection now; capacity 1
	greeting atomic.Bool            // an incoming stream is in its greeting: no second one
	foreign  atomic.Pointer[string] // which other chain the peer said it runs; nil if it runs ours or has not said
}

// opens says whether we open the stream.
func (l *link) opens() bool {
	if !l.sw.votes || l.follower {
		return !l.sw.votes
	}
	return l.sw.host.ID() < l.id
}

// poke ends a wait between two attempts.
func (l *link) poke() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// complain logs why there is no stream; what does not pass by itself at a level that is seen, once.
func (l *link) complain(err error) {
	say := l.sw.log.Debug
	var other *otherChain
	if errors.As(err, &other) {
		if l.foreign.Swap(&other.what) == nil {
			say = l.sw.log.Warn
		}
		l.sw.compareChains(other.what)
	}
	say("no consensus with member", "name", l.name, "peer", l.id, "err", err)
}

// run keeps the stream until ctx ends.
func (l *link) run(ctx context.Context) {
	var tasks sync.WaitGroup
	defer tasks.Wait()
	if !l.opens() {
		if !l.follower {
			tasks.Go(func() { l.retry(ctx, retryMost, l.knock) })
		}
		for {
			select {
			case st := <-l.incoming:
				l.serve(ctx, st)
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

// retry repeats attempt until ctx ends: after one that succeeds in about again, after those that fail less and less often,
// and at once when a connection has come or gone.
func (l *link) retry(ctx context.Context, again time.Duration, attempt func(context.Context) error) {
	wait := retryFirst
	for {
		if err := attempt(ctx); err == nil {
			wait = again
		} else if ctx.Err() == nil {
			l.complain(err)
		}
		// Not in step with others that lost their connections at the same moment.
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

// dial makes sure that there is a connection.
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
	// libp2p would refuse to dial for minutes after a few failures. Our own patience is all that consensus can afford.
	if s, ok := l.sw.host.Network().(interface{ Backoff() *swarm.DialBackoff }); ok {
		s.Backoff().Clear(l.id)
	}
	return l.sw.connect(ctx, l.id)
}

// knock makes sure that there is a connection and that the peer knows that its stream is welcome: it may have tried when
// we were not ready, and wait a while now.
func (l *link) knock(ctx context.Context) error {
	if err := l.dial(ctx); err != nil || l.sw.Has(l.key) {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, greetTimeout)
	defer cancel()
	st, err := l.sw.host.NewStream(network.WithNoDial(ctx, "dialed already"), l.id, l.sw.protocol)
	if err != nil {
		return l.elsewhere(nil) // perhaps not ready: it will open a stream when it is
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
	return nil // it opens a stream without a word
}

// elsewhere is err, of a stream that could not be opened, or that the peer is of a network of another name.
func (l *link) elsewhere(err error) error {
	v, perr := l.sw.host.Peerstore().Get(l.id, "ProtocolVersion")
	if theirs, ok := v.(string); perr == nil && ok {
		if name := p2pNetwork(theirs); name != "" && name != l.sw.networkName() {
			return &otherChain{fmt.Sprintf("network %q", name)}
		}
	}
	return err
}

// open returns a new stream after the greeting.
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

// serve runs the reactors over the stream until it breaks or ctx ends, or the peer opens a new one, which takes its place.
// All that reactors hear of this peer they hear from here, in order.
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
		_ = r.Stop() // fails if it is stopped
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
