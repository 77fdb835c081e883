package client

import (
	"context"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/certs"
	"walrus/gather"
)

// nodes asks storage nodes, with the patience that the client's line requires. It remembers for a few seconds which
// nodes were silent. It is safe for concurrent use.
type nodes struct {
	Swarm                     // constant, as the next
	dialTimeout time.Duration // patience extends it on a slow line
	patience    patience      // guards itself

	mu     sync.Mutex
	silent map[peer.ID]time.Time // when a node was silent in a read; guarded by mu
}

func newNodes(swarm Swarm, dialTimeout time.Duration) *nodes {
	return &nodes{Swarm: swarm, dialTimeout: dialTimeout, silent: map[peer.ID]time.Time{}}
}

// Connect dials a node, unless connected.
func (c *nodes) Connect(ctx context.Context, node peer.ID) error {
	return c.patience.within(ctx, c.dialTimeout, func(ctx context.Context) error { return c.Swarm.Connect(ctx, node) })
}

// silence: for this long after a node was silent, reads do not count on it. Waiting for it would cost each read one
// hedge; decoding without it costs little.
const silence = 10 * time.Second

// known returns a record of the committee's nodes, with the lately silent ones marked.
func (c *nodes) known(com *certs.Committee) gather.Holders {
	c.mu.Lock()
	defer c.mu.Unlock()
	holders := gather.NewHolders(len(com.Members()))
	for id, since := range c.silent {
		if i, ok := com.Member(id); ok && time.Since(since) < silence {
			holders.Silence(i)
		}
	}
	return holders
}

// rememberSilent records which nodes were silent in a read. Nodes recorded already keep their time.
func (c *nodes) rememberSilent(com *certs.Committee, holders gather.Holders) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, m := range com.Members() {
		switch old, known := c.silent[m.Node]; {
		case !holders.Silent(i):
			delete(c.silent, m.Node)
		case !known || time.Since(old) >= silence:
			c.silent[m.Node] = time.Now()
		}
	}
}
