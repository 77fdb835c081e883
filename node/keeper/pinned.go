package keeper

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/gather"
	"walrus/shards"
)

// Pins finds and asks peers that pin blobs. Everything about them is a claim.
type Pins interface {
	// Holders returns up to limit peers that claim to hold what key names. With an error it may also return some.
	Holders(ctx context.Context, key [32]byte, limit int) ([]peer.AddrInfo, error)
	Metadata(ctx context.Context, to peer.ID, id shards.BlobID, most int) ([]byte, error)
	FetchSliver(ctx context.Context, to peer.ID, id shards.BlobID, axis shards.Axis, index int, offset, length int64) (io.ReadCloser, error)
}

const (
	// maxPinners bounds the pinners of a blob that a repair asks.
	maxPinners = 8
	// pinPatience: members that start or come back usually give what is owed within this time. A search for pinners
	// costs as much as the repair of a megabyte, so it begins later.
	pinPatience = 10 * time.Second
	// findPinners bounds the search for them.
	findPinners = 5 * time.Second
)

// errNoPins says that nobody pins a blob.
var errNoPins = errors.New("nobody pins the blob")

// pinners lists peers that claim to pin a blob that has been owed for a while, and that can be reached.
func (r *repairer) pinners(ctx context.Context, id shards.BlobID) (peers []peer.ID) {
	if r.pins == nil || r.debts.age(id, time.Now()) < pinPatience {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, findPinners)
	defer cancel()
	found, _ := r.pins.Holders(ctx, id, maxPinners) // what was found is what counts
	for _, f := range gather.SpreadOut(found) {
		if r.swarm.connect(ctx, f.ID) == nil {
			peers = append(peers, f.ID)
		}
	}
	return peers
}

// pinnedMetadata fetches the metadata of a blob from a peer that pins it.
func (r *repairer) pinnedMetadata(ctx context.Context, id shards.BlobID) (raw []byte, meta *shards.Metadata, err error) {
	err = errNoPins
	peers := r.pinners(ctx, id)
	who, raw, meta := gather.Metadata(ctx, r.shelf.params, id, len(peers), func(ctx context.Context, i int) ([]byte, error) {
		return bounded(ctx, func(ctx context.Context) ([]byte, error) {
			return r.pins.Metadata(ctx, peers[i], id, r.shelf.params.MetadataSize())
		})
	}, func(_ int, why error) { err = why })
	if who < 0 {
		return nil, nil, err
	}
	return raw, meta, nil
}

// fromPins fetches the slivers that are still missing, whole, from peers that pin the blob. Each is compared with its
// root.
func (b *rebuilding) fromPins(ctx context.Context) error {
	id := b.meta.ID()
	missing, err := b.shelf.missing(id, b.at)
	if err != nil || len(missing) == 0 {
		return err
	}
	peers := b.pinners(ctx, id)
	for _, ref := range missing {
		err := errNoPins
		for i := 0; i < len(peers); {
			if err = b.fromPinner(ctx, peers[i], target{ref, b.lack.params.SliverOfPair(ref.Axis, b.lack.params.PairOnShard(id, ref.Shard))}); err == nil {
				break
			}
			if v := gather.Judge(err); v == gather.Lied || v == gather.Absent || v == gather.Failed {
				peers = append(peers[:i], peers[i+1:]...)
				continue
			}
			i++
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// fromPinner fetches one sliver from one pinner and stores it, if it matches its root.
func (b *rebuilding) fromPinner(ctx context.Context, from peer.ID, t target) (err error) {
	layout := b.meta.Layout(t.Axis)
	l := &rebuilt{target: t}
	if l.verifier, err = shards.NewVerifier(b.meta, t.Axis, t.index); err != nil {
		return err
	}
	defer l.abort() // no effect on what was committed
	body, err := b.pins.FetchSliver(ctx, from, b.meta.ID(), t.Axis, t.index, 0, layout.Size())
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }() // it was read to its end, or is given up
	a := &attempt{rebuilding: b}
	for s := range layout.Strips() {
		_, size := layout.Strip(s)
		strip := make([]byte, size)
		if _, err := io.ReadFull(body, strip); err != nil {
			return fmt.Errorf("pinner %s: %w", from, err)
		}
		if err := a.add(l, strip); err != nil {
			return err
		}
		b.traffic += int64(size)
		b.meters.repairFetched.Add(float64(size))
		if err := b.budget.spend(ctx, int64(size)); err != nil {
			return err
		}
	}
	return a.finish(l)
}
