package dht

import (
	"context"
	"sync"

	kad_pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p/core/network"
	"golang.org/x/time/rate"
)

// pace bounds how fast the records of strangers are read. A record is read by its announcer's turn; the others wait in
// the stream, where the announcer pays for them.
type pace struct {
	mu sync.Mutex
	of map[string]*rate.Limiter // by announcer, or its network; guarded by mu
	// rest is shared by all beyond maxPaced. Constant.
	rest *rate.Limiter
}

func newPace() *pace {
	return &pace{of: map[string]*rate.Limiter{}, rest: rate.NewLimiter(announceRate, announceBurst)}
}

// limiter returns the limiter of an announcer or network.
func (p *pace) limiter(name string) *rate.Limiter {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.of[name]
	if l != nil {
		return l
	}
	if len(p.of) >= maxPaced {
		for name, l := range p.of {
			if l.Tokens() >= announceBurst { // a new one would be the same
				delete(p.of, name)
			}
		}
	}
	if len(p.of) >= maxPaced {
		return p.rest
	}
	l = rate.NewLimiter(announceRate, announceBurst)
	p.of[name] = l
	return l
}

// await is called before a request is served, and waits for a stranger's turn to announce.
func (p *pace) await(ctx context.Context, d *DHT, s network.Stream, req *kad_pb.Message) {
	from := s.Conn().RemotePeer()
	if req.GetType() != kad_pb.Message_ADD_PROVIDER || d.member(from) {
		return
	}
	name := string(from)
	if net := d.networkAddr(from); net.IsValid() {
		name = net.String()
	}
	_ = p.limiter(name).Wait(ctx) // it fails when the table closes
}
