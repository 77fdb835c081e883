package dht

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/ipfs/go-cid"
	kbucket "github.com/libp2p/go-libp2p-kbucket"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multihash"

	"walrus/internal/pause"
)

// Announce tells the network that this peer holds the content that key names, such as a pinned blob. Others find the
// record for a day; announce again every AnnounceEvery. The DHT must have joined.
func (d *DHT) Announce(ctx context.Context, key [32]byte) error {
	c, err := recordKey(key)
	if err != nil {
		return err
	}
	if err := d.kad.Provide(ctx, c, true); err != nil {
		if errors.Is(err, kbucket.ErrLookupFailure) {
			return errors.New("announce: no server of the network is known yet: join first")
		}
		return fmt.Errorf("announce: %w", err)
	}
	return nil
}

// Holders returns up to limit peers, other than ourselves, that announced key, in no particular order. An empty result
// is no error. If ctx ends, the peers found so far are returned with its error.
func (d *DHT) Holders(ctx context.Context, key [32]byte, limit int) ([]peer.AddrInfo, error) {
	if limit < 1 || limit > maxHolders {
		return nil, fmt.Errorf("find holders: limit %d: want 1 to %d", limit, maxHolders)
	}
	c, err := recordKey(key)
	if err != nil {
		return nil, err
	}
	search, stop := context.WithCancel(ctx)
	defer stop()
	var out []peer.AddrInfo
	seen := map[peer.ID]bool{d.host.ID(): true}
	// One more than wanted: we may be among them.
	for p := range d.kad.FindProvidersAsync(search, c, limit+1) {
		// The library reports a peer again when it learns its addresses.
		if len(out) == limit || seen[p.ID] {
			continue
		}
		seen[p.ID] = true
		out = append(out, d.known(p.ID))
	}
	if ctx.Err() != nil {
		return out, fmt.Errorf("find holders: %w", context.Cause(ctx))
	}
	return out, nil
}

// Peers returns up to limit storage nodes that announced themselves, other than ourselves, in no particular
// order. It finds nodes without a list of them; only the committee tells which are legitimate. Errors: as from Holders.
func (d *DHT) Peers(ctx context.Context, limit int) ([]peer.AddrInfo, error) {
	found, err := d.Holders(ctx, d.rendezvous(), limit)
	if err != nil {
		return found, fmt.Errorf("find storage nodes: %w", err)
	}
	return found, nil
}

// keepAnnounced announces a server under the rendezvous key: often at first, while the network may still be forming
// around us, then less and less often.
func (d *DHT) keepAnnounced(ctx context.Context) error {
	if !d.awaitTable(ctx) {
		return nil
	}
	for delay := minAnnounce; ctx.Err() == nil; delay = min(2*delay, maxAnnounce) {
		if !serves(d) { // not reachable: others would dial it in vain
			delay = minAnnounce
			pause.For(ctx, jitter(delay))
			continue
		}
		short, stop := context.WithTimeout(ctx, announceTimeout)
		err := d.Announce(short, d.rendezvous())
		stop()
		if err != nil && ctx.Err() == nil {
			d.log.Debug("announce this storage node", "err", err)
			delay = min(delay, time.Minute)
		}
		pause.For(ctx, jitter(delay))
	}
	return nil
}

// rendezvous is the key under which the storage nodes of this network meet.
func (d *DHT) rendezvous() [32]byte {
	return sha256.Sum256([]byte("/walrus/" + d.cfg.Network + "/storage-node"))
}

// recordKey returns the CID that the library wants for a key: its SHA-256 multihash is the key itself.
func recordKey(key [32]byte) (cid.Cid, error) {
	mh, err := multihash.Encode(key[:], multihash.SHA2_256)
	if err != nil {
		return cid.Undef, fmt.Errorf("record key: %w", err)
	}
	return cid.NewCidV1(cid.Raw, mh), nil
}
