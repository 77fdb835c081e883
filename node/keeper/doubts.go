package keeper

import (
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/certs"
	"walrus/gather"
)

// doubtTime: for so long after a lie, a member is asked last.
const doubtTime = time.Hour

// doubts remembers the members that sent wrong symbols. They are not worth more than one lie each, but the members they
// are among may be the only ones left.
type doubts struct {
	mu    sync.Mutex
	until map[peer.ID]time.Time // guarded by mu; only members are added, so it stays small
}

func newDoubts() *doubts { return &doubts{until: map[peer.ID]time.Time{}} }

func (d *doubts) add(node peer.ID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.until[node] = time.Now().Add(doubtTime)
}

// tell marks the members of com that lied lately.
func (d *doubts) tell(com *certs.Committee, holders gather.Holders) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, m := range com.Members() {
		switch until, ok := d.until[m.Node]; {
		case !ok:
		case time.Now().After(until):
			delete(d.until, m.Node)
		default:
			holders.Silence(i)
		}
	}
}
