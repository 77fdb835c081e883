package p2p

import (
	"bufio"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// stream is a stream on which this host asks. It belongs to one request at a time, and in between to the pool.
type stream struct {
	network.Stream
	r      *bufio.Reader
	to     target
	expiry *time.Timer // closes it when idle; owned by pool
}

// target is a peer and the name of a protocol.
type target struct {
	peer     peer.ID
	protocol string
}

// pool keeps idle streams: opening one costs several times a small request. Streams that end on their own are found out when
// used.
type pool struct {
	idleTime time.Duration // constant

	mu     sync.Mutex
	closed bool                 // guarded by mu
	idle   map[target][]*stream // guarded by mu; no empty lists
}

func newPool(idleTime time.Duration) *pool {
	return &pool{idleTime: idleTime, idle: make(map[target][]*stream)}
}

// get takes the stream that was used last, or returns nil.
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

// put gives back a stream on which the last response has been read to its end.
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
		_ = st.Close() // idle: nothing is lost with it
	})
	p.idle[st.to] = append(p.idle[st.to], st)
}

// remove takes st out of its list if it is still there. p.mu is held.
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

// close drops every stream; those in use are dropped when they come back.
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
