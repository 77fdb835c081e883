package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/certs"
	"walrus/p2p"
	"walrus/shards"
	"walrus/store"
)

// backend implements p2p.Backend: it answers peers.
type backend struct{ n *Node }

var _ p2p.Backend = backend{}

// PutMetadata stores the metadata of a registered blob and returns the pairs that are here already. Metadata of a
// blob not yet registered is held for registrationPatience.
func (b backend) PutMetadata(_ context.Context, from peer.ID, id shards.BlobID, metadata []byte) (held []int, err error) {
	n := b.n
	defer func() { n.countRefusal(err) }()
	if _, err := shards.UnmarshalMetadata(n.params, id, metadata); err != nil {
		return nil, fmt.Errorf("%w: %w", p2p.ErrMismatch, err)
	}
	end, err := n.mayStore(id)
	if notYet(err) {
		return nil, n.pending.put(from, id, metadata)
	}
	if err != nil {
		return nil, err
	}
	if err := n.store.PutBlob(id, metadata, end); err != nil {
		return nil, wireError(err)
	}
	n.meters.metadataStored.Inc()
	missing, err := n.missing(id)
	if err != nil {
		return nil, wireError(err)
	}
	lacks := make(map[int]bool, len(missing))
	for _, ref := range missing {
		lacks[ref.Shard] = true
	}
	for _, shard := range n.shards {
		if !lacks[shard] {
			held = append(held, n.params.PairOnShard(id, shard))
		}
	}
	return held, nil
}

// Confirm signs that every pair this node is responsible for is verified and durable. The ledger must have a live
// registration of the blob with persistence p.
func (b backend) Confirm(ctx context.Context, id shards.BlobID, p certs.Persistence) ([]byte, error) {
	n := b.n
	err := n.pending.await(ctx, func() error { _, err := n.registered(id, p); return err })
	if err != nil {
		return nil, err
	}
	n.dropping.RLock()
	defer n.dropping.RUnlock()
	if err := n.prolong(id); err != nil { // before we vouch for it: keep it until this registration ends
		return nil, wireError(err)
	}
	if err := n.durable(id); err != nil {
		return nil, err
	}
	epoch, err := n.registered(id, p) // it may have ended in the meantime
	if err != nil {
		return nil, err
	}
	n.meters.confirmations.Inc()
	conf := n.committee.ForEpoch(epoch).Sign(n.cfg.Key, n.host.ID(), id, p)
	return conf.Marshal(), nil
}

// durable verifies that every sliver of blob id that belongs here is on the disk.
func (n *Node) durable(id shards.BlobID) error {
	if _, err := n.store.Metadata(id); err != nil {
		return wireError(err)
	}
	missing, err := n.missing(id)
	if err != nil {
		return wireError(err)
	}
	if len(missing) > 0 {
		return fmt.Errorf("%w: %d of %d slivers are missing", p2p.ErrNotFound, len(missing), len(axes)*len(n.shards))
	}
	if err := n.store.Sync(); err != nil {
		return wireError(err)
	}
	// another goroutine's failed sync removes slivers that were not durable yet: look again
	if missing, err = n.missing(id); err != nil {
		return wireError(err)
	}
	if len(missing) > 0 {
		return fmt.Errorf("%w: the disk did not keep %d slivers: send them again", p2p.ErrUnavailable, len(missing))
	}
	return nil
}

// Metadata of a blob. If the blob may exist elsewhere, the error is ErrUnavailable, never ErrNotFound.
func (b backend) Metadata(_ context.Context, id shards.BlobID) ([]byte, error) {
	raw, err := b.n.store.Metadata(id)
	if errors.Is(err, store.ErrCorrupt) {
		b.n.noteRecordDamage(id, err)
	}
	if errors.Is(err, store.ErrNotFound) && b.n.mayLack(id) {
		return nil, fmt.Errorf("%w: this node does not have the blob yet", p2p.ErrUnavailable)
	}
	return raw, wireError(err)
}

// mayLack reports whether a blob that is not here may exist: the ledger has it certified, or this node has not caught
// up with the ledger and may not know of its certificate.
func (n *Node) mayLack(id shards.BlobID) bool {
	info, epoch, err := n.lookUp(id)
	return err != nil || info.CertifiedUntil(epoch) > 0 || !n.caughtUp()
}

// locate returns the place of a sliver in the store; ErrNotOwner if it does not belong here.
func (n *Node) locate(id shards.BlobID, axis shards.Axis, index int) (store.Ref, error) {
	if index < 0 || index >= n.params.Shards() || !axis.Valid() {
		return store.Ref{}, fmt.Errorf("%w: no %s sliver %d among %d", p2p.ErrBadRequest, axis, index, n.params.Shards())
	}
	shard := n.params.ShardOfPair(id, n.params.PairOfSliver(axis, index))
	if n.committee.Owner(shard).Node != n.host.ID() {
		return store.Ref{}, fmt.Errorf("%w: shard %d", p2p.ErrNotOwner, shard)
	}
	return n.ref(id, axis, shard), nil
}

// OpenSliver opens a sliver for reading. Damage found while reading is reported to the peer, never served, and
// repaired.
func (b backend) OpenSliver(_ context.Context, id shards.BlobID, axis shards.Axis, index int) (p2p.SliverReader, error) {
	ref, err := b.n.locate(id, axis, index)
	if err != nil {
		return nil, err
	}
	r, err := b.n.open(ref)
	if err != nil {
		return nil, wireError(err)
	}
	b.n.meters.retrieved(axis)
	return r, nil
}

// open opens a sliver whose damage, found now or in later reads, is noted.
func (n *Node) open(ref store.Ref) (*watchedSliver, error) {
	r, err := n.store.OpenSliver(ref)
	if err != nil {
		n.noteDamage(ref, err)
		return nil, err
	}
	return &watchedSliver{SliverReader: r, n: n, ref: ref}, nil
}

// watchedSliver notes damage that a read finds.
type watchedSliver struct {
	*store.SliverReader
	n   *Node
	ref store.Ref
}

// Close does nothing: a store's reader holds nothing open.
func (w *watchedSliver) Close() error { return nil }

// ReadAt reads verified bytes. Errors wrap p2p's sentinels.
func (w *watchedSliver) ReadAt(p []byte, off int64) (int, error) {
	k, err := w.SliverReader.ReadAt(p, off)
	w.n.noteDamage(w.ref, err)
	return k, wireError(err)
}

// Symbols expands a sliver and returns symbols of it with proofs.
func (b backend) Symbols(ctx context.Context, id shards.BlobID, axis shards.Axis, index int, targets []int) ([]shards.Symbol, error) {
	n := b.n
	ref, err := n.locate(id, axis, index)
	if err != nil {
		return nil, err
	}
	meta, err := n.metadata(id)
	if err != nil {
		return nil, wireError(err)
	}
	for _, t := range targets {
		if t < 0 || t >= n.params.Shards() {
			return nil, fmt.Errorf("%w: no symbol %d among %d", p2p.ErrBadRequest, t, n.params.Shards())
		}
	}
	if size := n.symbolBytes(meta); int64(len(targets))*size > p2p.MaxSymbolsBytes {
		return nil, fmt.Errorf("%w: %d symbols of %d bytes: at most %d bytes in one request", p2p.ErrBadRequest, len(targets), size, p2p.MaxSymbolsBytes)
	}
	symbols, err := n.symbols(meta, ref, index, targets)
	if err != nil {
		return nil, wireError(err)
	}
	return symbols, ctx.Err()
}

// symbols reads one of our slivers and extracts symbols of its expansion.
func (n *Node) symbols(meta *shards.Metadata, ref store.Ref, index int, targets []int) ([]shards.Symbol, error) {
	r, err := n.open(ref)
	if err != nil {
		return nil, err
	}
	symbols, err := meta.ExtractSymbols(ref.Axis, index, readerOf(r), targets)
	if errors.Is(err, shards.ErrSliver) { // the checksums hold, so wrong data was written
		err = fmt.Errorf("%w: %w", store.ErrCorrupt, err)
		n.noteDamage(ref, err)
	}
	return symbols, err
}

// symbolBytes returns the size of one symbol with its proof on the wire.
func (n *Node) symbolBytes(meta *shards.Metadata) int64 {
	return n.params.SymbolSize(meta.Length) + int64(n.params.ProofSize()*shards.HashSize)
}

// metadata reads and decodes the metadata of a blob that is here.
func (n *Node) metadata(id shards.BlobID) (*shards.Metadata, error) {
	raw, err := n.store.Metadata(id)
	if err != nil {
		return nil, err
	}
	return shards.UnmarshalMetadata(n.params, id, raw)
}

// BlobStatus reports which records and slivers of a blob are here.
func (b backend) BlobStatus(_ context.Context, id shards.BlobID) (p2p.BlobStatus, error) {
	n := b.n
	var st p2p.BlobStatus
	if _, err := n.store.Metadata(id); err == nil {
		st.Metadata = true
	}
	if raw, err := n.store.Certificate(id); err == nil {
		st.Certificate = raw
	}
	if !st.Metadata && st.Certificate == nil {
		return st, nil
	}
	repairing := n.debts.repairing(id)
	for _, shard := range n.shards {
		s := p2p.ShardState{Shard: shard, Repairing: repairing}
		primary, secondary := n.ref(id, shards.Primary, shard), n.ref(id, shards.Secondary, shard)
		s.Primary, _ = n.store.HasSliver(primary)
		s.Secondary, _ = n.store.HasSliver(secondary)
		s.Corrupt = n.damaged.has(primary) || n.damaged.has(secondary)
		st.Slivers = append(st.Slivers, s)
	}
	return st, nil
}

// NodeStatus describes this node.
func (b backend) NodeStatus(_ context.Context) (p2p.NodeStatus, error) {
	return b.n.Status()
}

// Status describes the node to peers and operators.
func (n *Node) Status() (p2p.NodeStatus, error) {
	stats, err := n.store.Stats()
	if err != nil {
		return p2p.NodeStatus{}, wireError(err)
	}
	epoch, err := n.epoch()
	if err != nil {
		return p2p.NodeStatus{}, err
	}
	height, text := n.ledgerText()
	known := uint64(max(0, stats.Certificates-n.recording.Load())) // read before the debts: see record
	st := p2p.NodeStatus{
		Version: n.cfg.Version, State: n.life.now(), Epoch: epoch, Shards: n.shards,
		Blobs: known, Slivers: uint64(stats.Slivers), Owed: n.debts.total(), Corrupt: uint64(n.damaged.count()),
		Uptime: time.Since(n.life.started), Peers: len(n.host.Libp2p().Network().Peers()),
		Height: height, Ledger: text[:min(len(text), p2p.MaxStatusText)],
	}
	st.ClockAhead = time.Duration(n.clockAhead.Load())
	if err := n.noteRoom(&st); err != nil {
		return p2p.NodeStatus{}, err
	}
	for _, a := range n.host.Addrs() {
		if text := a.String(); len(st.Addresses) < p2p.MaxAddresses && len(text) <= p2p.MaxStatusText {
			st.Addresses = append(st.Addresses, text)
		}
	}
	for _, i := range slices.Backward(n.store.Incidents()) {
		if len(st.Incidents) == p2p.MaxIncidents {
			break
		}
		text := fmt.Sprintf("%s %s: %v", i.Time.UTC().Format(time.RFC3339), i.Path, i.Err)
		st.Incidents = append(st.Incidents, text[:min(len(text), p2p.MaxStatusText)])
	}
	return st, nil
}
