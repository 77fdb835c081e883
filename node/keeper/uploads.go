package keeper

import (
	"fmt"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/p2p"
	"walrus/shards"
)

const (
	// maxWasted bounds the pairs of peer and blob of which refused uploads are remembered, 200 bytes each.
	maxWasted = 4096
	// wasteTime: refused uploads count for this long. A client on a bad line, whose uploads break off, must not be
	// locked out for ever.
	wasteTime = time.Hour
)

// uploads bounds what uploads take: memory in all and for each peer, and space on the disk for each peer and blob. A
// peer wastes only its own space: if all shared a blob's, any stranger could keep its owner out.
type uploads struct {
	memory int64 // limit, Config.UploadMemory; constant

	mu    sync.Mutex
	used  int64             // guarded by mu, as are the next two
	peers map[peer.ID]int64 // memory; only peers with an upload
	blobs map[upload]*written
}

// upload names the uploads of one blob by one peer.
type upload struct {
	from peer.ID
	blob shards.BlobID
}

// written counts the bytes of such uploads that are on their way to the disk, or wasted there.
type written struct {
	coming, wasted int64
	since          time.Time // when the first of wasted were
}

func newUploads(memory int64) *uploads {
	return &uploads{memory: memory, peers: map[peer.ID]int64{}, blobs: map[upload]*written{}}
}

// admit reserves memory for an upload; ErrBusy if there is none. One upload alone is always admitted. A peer with
// others under way gets at most half of what is free.
func (u *uploads) admit(from peer.ID, amount int64) (release func(), err error) {
	amount = min(amount, u.memory)
	u.mu.Lock()
	defer u.mu.Unlock()
	free, mine := u.memory-u.used, u.peers[from]
	if amount > free || mine > 0 && mine+amount > free/2 {
		return nil, fmt.Errorf("%w: too many uploads at once", p2p.ErrBusy)
	}
	u.used += amount
	u.peers[from] += amount
	return func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		u.used -= amount
		if u.peers[from] -= amount; u.peers[from] == 0 {
			delete(u.peers, from)
		}
	}, nil
}

// write lets an upload write up to bytes, of most bytes in all; ErrBusy if the peer's uploads of this blob that are
// under way, or were refused within wasteTime, have taken that. end tells how many bytes were wasted.
func (u *uploads) write(id upload, bytes, most int64) (end func(wasted int64), err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	b := u.blobs[id]
	if b == nil {
		b = &written{}
		if len(u.blobs) >= maxWasted {
			u.forget()
		}
	}
	if time.Since(b.since) > wasteTime {
		b.wasted = 0
	}
	if b.coming+b.wasted+bytes > most {
		return nil, fmt.Errorf("%w: your uploads of this blob under way, or refused before, take all your space", p2p.ErrBusy)
	}
	u.blobs[id] = b
	b.coming += bytes
	return func(wasted int64) {
		u.mu.Lock()
		defer u.mu.Unlock()
		if b.wasted == 0 {
			b.since = time.Now()
		}
		b.coming, b.wasted = b.coming-bytes, b.wasted+wasted
		if b.coming == 0 && b.wasted == 0 {
			delete(u.blobs, id)
		}
	}, nil
}

// forget drops the entry with the least waste among the entries without an upload. The caller holds u.mu.
func (u *uploads) forget() {
	var least upload
	fewest := int64(-1)
	for id, b := range u.blobs {
		if b.coming == 0 && (fewest < 0 || b.wasted < fewest) {
			least, fewest = id, b.wasted
		}
	}
	delete(u.blobs, least)
}
