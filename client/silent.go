package client

import (
	"time"

	"walrus/certs"
	"walrus/gather"
)

// silence: for this long after a node was silent, reads do not count on it. Waiting for it would cost each read one
// hedge; decoding without it costs little.
const silence = 10 * time.Second

// silentNodes returns what is known of the committee's nodes: those that were silent lately.
func (c *Client) silentNodes(com *certs.Committee) gather.Holders {
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
func (c *Client) rememberSilent(com *certs.Committee, holders gather.Holders) {
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
