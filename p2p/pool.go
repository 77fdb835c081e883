package p2p

import (
	"bufio"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// stream carries requests of this host, one at a time. It belongs to a request, or between requests to the pool.
type stream struct {
	network.Stream
	r      *bufio.Reader
	to     target
	expiry *time.Timer // closes an idle stream; owned by pool
}

// target names a peer and one of its protocols.
type target struct {
	peer     peer.ID
	protocol string
}

// pool keeps idle streams, since opening one costs several times as much as a small request. It does not notice when
// the peer ends an idle stream: the next request on it fails, and is sent again.
type pool struct {
	idleTime time.Duration // constant

	mu     sync.Mutex
	closed bool                 // guarded by mu
	idle   map[target][]*stream // guarded by mu; no empty lists
}

func newPool(idleTime time.Duration) *pool {
	return &pool{idleTime: idleTime, idle: make(map[target][]*stream)}
}

// get takes the most recently used stream out of the pool, or returns nil.
func (p *pool) get(to target) *stream {
	p.mu.Lock()
	defer p.mu.Unlock()
	for list := p.idle[to]; len(list) > 0; list = p.idle[to] {
		st := list[len(list)-1]
		p.remove(st)
		if st.expiry.Stop() && !st.Conn().IsClosed() {
			return st
		}
	}
	return nil
}

// put returns a stream after its last response has been read to the end.
func (p *pool) put(st *stream) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(p.idle[st.to]) >= idlePerPeer {
		st.Reset()
		return
	}
	st.expiry = time.AfterFunc(p.idleTime, func() {
		p.mu.Lock()
		p.remove(st)
		p.mu.Unlock()
		_ = st.Close() // idle: nothing is lost
	})
	p.idle[st.to] = append(p.idle[st.to], st)
}

// remove takes st out of its list, if it is still there. p.mu is held.
func (p *pool) remove(st *stream) {
	list := p.idle[st.to]
	for i := range list {
		if list[i] == st {
			list = append(list[:i], list[i+1:]...)
			break
		}
	}
	if p.idle[st.to] = list; len(list) == 0 {
		delete(p.idle, st.to)
	}
}

// close cuts every idle stream. Streams in use are cut when they are put back.
func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, list := range p.idle {
		for _, st := range list {
			st.expiry.Stop()
			st.Reset()
		}
	}
	clear(p.idle)
}
