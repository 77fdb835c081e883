package pinnode

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/client"
	"walrus/clientnode"
	"walrus/dht"
	"walrus/p2p"
	"walrus/pin"
	"walrus/shards"
)

// source fetches blobs with the client, which asks the committee.
type source struct{ n *Node }

// Open implements pin.Source.
func (s source) Open(ctx context.Context, id shards.BlobID, origins []string) (pin.Remote, error) {
	b, err := client.OpenFrom(ctx, s.n.client.Client(), id, s.connect(ctx, origins))
	if err != nil {
		return nil, refusal(err)
	}
	return remote{b}, nil
}

// originTime bounds the dials of the peers that a request names.
const originTime = 5 * time.Second

// connect dials the peers of multiaddrs, all at once, and returns those that answer.
func (s source) connect(ctx context.Context, origins []string) (peers []peer.ID) {
	ctx, cancel := context.WithTimeout(ctx, originTime)
	defer cancel()
	var all sync.WaitGroup
	answers := make(chan peer.ID, len(origins))
	for _, o := range origins {
		info, err := peer.AddrInfoFromString(o)
		if err != nil || info.ID == s.n.host.ID() {
			continue // somebody else's idea of an origin
		}
		all.Go(func() {
			if s.n.host.Connect(ctx, *info) == nil {
				answers <- info.ID
			}
		})
	}
	all.Wait()
	close(answers)
	for id := range answers {
		if !slices.Contains(peers, id) {
			peers = append(peers, id)
		}
	}
	return peers
}

// refusal marks errors that no later attempt can avoid.
func refusal(err error) error {
	if errors.Is(err, client.ErrInvalidBlob) {
		return fmt.Errorf("%w: %w", pin.ErrRefused, err)
	}
	return err
}

type remote struct{ *client.Blob }

// Copy implements pin.Remote.
func (r remote) Copy(ctx context.Context, w io.Writer, off, n int64) error {
	_, err := r.CopyRange(ctx, w, off, n, client.ReadOptions{})
	return refusal(err)
}

// judge refuses blobs that the ledger has marked as invalid. Other errors tell nothing: a pin outlives its lease.
func (n *Node) judge(ctx context.Context, id shards.BlobID) error {
	return refusal(n.client.Client().Invalid(ctx, id))
}

// announcer tells the DHT what is here.
type announcer struct{ n *Node }

// Announce implements pin.Announcer.
func (a announcer) Announce(ctx context.Context, key [32]byte) error {
	return a.n.dht.Announce(ctx, key)
}

// AnnounceAll implements pin.Announcer.
func (a announcer) AnnounceAll(ctx context.Context, keys [][32]byte) ([]int, error) {
	return dht.AnnounceAll(ctx, a.n.dht, keys)
}

// Place implements pin.Announcer.
func (a announcer) Place(key [32]byte) (uint16, error) { return dht.Place(key) }

// Addrs implements pin.Announcer. Private addresses count only in a network that has no others: they may be the same at
// home and elsewhere.
func (a announcer) Addrs() (list []string) {
	public := a.n.cfg.Client.DHT.Public
	for _, addr := range a.n.host.FullAddrs() {
		if text := addr.String(); !public || p2p.IsPublic(text) {
			list = append(list, text)
		}
	}
	return list
}

const (
	// strangerTime bounds the time that a stranger needs to join and to look for all keys.
	strangerTime = 2 * time.Minute
	// holdersLooked is the number of holders among which a stranger looks for us.
	holdersLooked = 50
)

// Findable implements pin.Announcer. It joins the network anew, with a fresh identity that knows nothing of us.
func (a announcer) Findable(ctx context.Context, keys [][32]byte) (found []bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, strangerTime)
	defer cancel()
	cfg := a.n.cfg.Client
	cfg.P2P.Key, cfg.P2P.Listen, cfg.P2P.Announce, cfg.DHT.AddressBook = nil, nil, nil, ""
	cfg.P2P.Role = p2p.Client
	table, leave, err := clientnode.Join(ctx, cfg)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, leave()) }()
	for _, key := range keys {
		holders, err := table.Holders(ctx, key, holdersLooked)
		if err != nil {
			return nil, err
		}
		found = append(found, slices.ContainsFunc(holders, func(p peer.AddrInfo) bool { return p.ID == a.n.host.ID() }))
	}
	return found, nil
}
