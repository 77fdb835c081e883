package client

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/gather"
	"walrus/shards"
)

// Pins finds and asks peers that pin blobs. Everything about them is a claim. Errors wrap the sentinels of p2p.
type Pins interface {
	// Holders returns up to limit peers that claim to hold what key names. With an error it may also return some.
	Holders(ctx context.Context, key [32]byte, limit int) ([]peer.AddrInfo, error)
	Metadata(ctx context.Context, to peer.ID, id shards.BlobID, max int) ([]byte, error)
	FetchSliver(ctx context.Context, to peer.ID, id shards.BlobID, axis shards.Axis, index int, offset, length int64) (io.ReadCloser, error)
}

const (
	// maxPinners bounds the pinners of one blob that are looked for.
	maxPinners = 20
	// findPinners bounds the search for them.
	findPinners = 3 * time.Second
	// noPinners: for this long after nobody was found, a blob is not looked for again.
	noPinners = 5 * time.Second
	// liarMemory: for this long after it served wrong bytes, a pinner is not asked.
	liarMemory = time.Hour
	maxLiars   = 1024
)

// pinners asks pinners for what the committee does not give. It remembers liars, and what nobody pins.
type pinners struct {
	Pins        // constant, as the next; nil: pinners are not asked
	dial Dialer // finds their addresses

	mu      sync.Mutex
	liars   map[peer.ID]time.Time       // when a pinner lied; guarded by mu
	missing map[shards.BlobID]time.Time // when nobody was found; guarded by mu
}

func newPinners(swarm Swarm) *pinners {
	return &pinners{Pins: swarm.Pins, dial: swarm.Dialer, liars: map[peer.ID]time.Time{}, missing: map[shards.BlobID]time.Time{}}
}

// Connect dials a pinner, unless connected.
func (p *pinners) Connect(ctx context.Context, node peer.ID) error {
	ctx, cancel := context.WithTimeout(ctx, findPinners)
	defer cancel()
	return p.dial.Connect(ctx, node)
}

// worth reports whether pinners may have what a read did not get because of err.
func (p *pinners) worth(ctx context.Context, err error) bool {
	var few *NotEnoughError
	return p.Pins != nil && err != nil && ctx.Err() == nil && !errors.Is(err, ErrInvalidBlob) &&
		(errors.Is(err, ErrNotFound) || errors.As(err, &few) || errors.Is(err, errSlow))
}

// pinned is a blob with the peers that claim to pin it.
type pinned struct {
	meta  *shards.Metadata
	peers []peer.ID // the one that gave the metadata first
	bad   []BadNode
}

// find looks for pinners of a blob and gets its metadata from one of them; nil if nobody gives it.
func (p *pinners) find(ctx context.Context, params shards.Params, id shards.BlobID) *pinned {
	if p.Pins == nil || recall(p, p.missing, id, noPinners) {
		return nil
	}
	search, stop := context.WithTimeout(ctx, findPinners)
	found, _ := p.Holders(search, id, maxPinners) // what was found is what counts
	stop()
	var peers []peer.ID
	for _, f := range gather.SpreadOut(found) {
		if !p.lied(f.ID) {
			peers = append(peers, f.ID)
		}
	}
	if len(peers) == 0 {
		note(p, p.missing, id, noPinners)
		return nil
	}
	f := p.metadata(ctx, params, id, peers)
	if f.meta == nil {
		return nil
	}
	return f
}

// metadata asks pinners for the metadata, a few at a time, until one gives it.
func (p *pinners) metadata(ctx context.Context, params shards.Params, id shards.BlobID, peers []peer.ID) *pinned {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	out := &pinned{peers: peers}
	who, _, meta := gather.Metadata(ctx, params, id, len(peers), func(ctx context.Context, i int) ([]byte, error) {
		if err := p.Connect(ctx, peers[i]); err != nil {
			return nil, err
		}
		return p.Metadata(ctx, peers[i], id, params.MetadataSize())
	}, func(i int, err error) { p.blame(&out.bad, peers[i], err) })
	if who >= 0 {
		out.meta = meta
		peers[0], peers[who] = peers[who], peers[0]
	}
	return out
}

// blame adds a pinner that failed to list, and remembers a liar.
func (p *pinners) blame(list *[]BadNode, who peer.ID, err error) {
	b := BadNode{Node: who, Name: "pinner " + who.String(), Reason: reason(err), Lied: lied(err)}
	if b.Lied {
		note(p, p.liars, who, liarMemory)
	}
	for i, old := range *list {
		if old.Node == who {
			if b.Lied && !old.Lied {
				(*list)[i] = b
			}
			return
		}
	}
	*list = append(*list, b)
}

// Pinners returns peers that claim to pin a blob, found with c, at most a few of one network. Nobody has checked the
// claims. If ctx ends, it returns those found by then.
func Pinners(ctx context.Context, c *Client, id shards.BlobID) []peer.ID {
	if c.pins.Pins == nil {
		return nil
	}
	found, _ := c.pins.Holders(ctx, id, maxPinners) // what was found is what counts
	var list []peer.ID
	for _, f := range gather.SpreadOut(found) {
		list = append(list, f.ID)
	}
	return list
}

// Pinned describes a blob that peers pin, whatever the ledger says of it.
type Pinned struct {
	Size        uint64    // bytes, by the metadata that one of the peers gave: it has the blob's ID
	EncodedSize int64     // bytes that all nodes would store together
	Peers       []peer.ID // peers that claim to pin it; the first gave the metadata
}

// FindPinned looks with c for peers that pin a blob. It returns nil if none is found that gives its metadata.
func FindPinned(ctx context.Context, c *Client, id shards.BlobID) *Pinned {
	com, err := c.Committee(ctx)
	if err != nil {
		return nil
	}
	f := c.pins.find(ctx, com.Params(), id)
	if f == nil {
		return nil
	}
	return &Pinned{Size: f.meta.Length, EncodedSize: com.Params().EncodedSize(f.meta.Length), Peers: f.peers}
}

// OpenFrom is Client.Open, but also asks peers that may pin the blob and have announced nothing. They must be
// connected, or their addresses known.
func OpenFrom(ctx context.Context, c *Client, id shards.BlobID, peers []peer.ID) (*Blob, error) {
	b, err := c.Open(ctx, id)
	if len(peers) == 0 || !c.pins.worth(ctx, err) {
		return b, err
	}
	com, lost := c.Committee(ctx)
	if lost != nil {
		return nil, err
	}
	from := c.pins.metadata(ctx, com.Params(), id, slices.Clone(peers))
	if from.meta == nil {
		return nil, err
	}
	return &Blob{c: c, com: com, meta: from.meta, id: id, bad: from.bad, pins: from, why: err}, nil
}

func (p *pinners) lied(id peer.ID) bool { return recall(p, p.liars, id, liarMemory) }

// recall reports whether key was noted within a time.
func recall[K comparable](p *pinners, m map[K]time.Time, key K, within time.Duration) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	at, ok := m[key]
	return ok && time.Since(at) < within
}

// note notes key. A full memory loses what is too old, or else anything.
func note[K comparable](p *pinners, m map[K]time.Time, key K, within time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(m) >= maxLiars {
		for k, at := range m {
			if len(m) >= maxLiars || time.Since(at) >= within {
				delete(m, k)
			}
		}
	}
	m[key] = time.Now()
}
