package monitor

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	mrand "math/rand/v2"
	"slices"
	"sync"
	"time"

	"walrus/certs"
	"walrus/p2p"
	"walrus/shards"
)

const (
	// PoolSize bounds the blobs known, from which questions are drawn.
	PoolSize = 1024
	// perRound bounds the blobs that one round asks for: their metadata is fetched, 64 KB each with 1,000 shards.
	perRound = 16
	// pageSize is the number of certificates asked for at once; nodesAsked so many nodes are, in each round.
	pageSize   = 16
	nodesAsked = 2
	// grace: a blob is asked for no earlier than so long after it was seen here first, so that the nodes had time to get
	// what they owe.
	grace = time.Minute
	// findTime bounds one question while blobs are looked for, and so does a part of the round, see pool.patience.
	findTime, findParts = 10 * time.Second, 16
)

// known is a certified blob.
type known struct {
	id    shards.BlobID
	meta  *shards.Metadata // nil but for the blobs of this round
	bytes uint64
	seen  time.Time
}

// pool finds blobs: those that come after a random blob ID at a random node. Blob IDs are uniform, so all blobs are
// found alike.
type pool struct {
	watch *Watch
	swarm Swarm

	mu      sync.Mutex
	blobs   map[shards.BlobID]*known // guarded by mu, as the next
	changed bool                     // since it was written
}

// newPool reads what was known before a restart.
func newPool(w *Watch, s Swarm) (*pool, error) {
	p := &pool{watch: w, swarm: s, blobs: map[shards.BlobID]*known{}}
	raw, err := w.db.get([]byte{keyPool})
	if err != nil {
		return nil, err
	}
	for ; len(raw) >= knownSize && len(p.blobs) < PoolSize; raw = raw[knownSize:] {
		k := &known{id: shards.BlobID(raw[:32]), bytes: binary.BigEndian.Uint64(raw[32:])}
		k.seen = time.Unix(int64(binary.BigEndian.Uint64(raw[40:])), 0)
		p.blobs[k.id] = k
	}
	return p, nil
}

// knownSize is the size of a blob in the database, in bytes: blob ID ‖ bytes u64 ‖ Unix time when first seen u64.
const knownSize = 32 + 8 + 8

// write keeps the blobs for after a restart.
func (p *pool) write() error {
	p.mu.Lock()
	var raw []byte
	changed := p.changed
	for _, k := range p.blobs {
		raw = append(raw, k.id[:]...)
		raw = binary.BigEndian.AppendUint64(raw, k.bytes)
		raw = binary.BigEndian.AppendUint64(raw, uint64(max(k.seen.Unix(), 0)))
	}
	p.changed = false
	p.mu.Unlock()
	if !changed {
		return nil
	}
	return p.watch.db.put(pair{[]byte{keyPool}, raw})
}

func (p *pool) size() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.blobs)
}

// patience bounds one question, so that nodes that do not answer leave time for probes in a short round, too.
func (p *pool) patience() time.Duration { return min(findTime, p.watch.length/findParts) }

// choose finds blobs and returns up to limit of them with their metadata, drawn by bytes. They are certified now, by
// the ledger's proof.
func (p *pool) choose(ctx context.Context, v *view, limit int) ([]*known, error) {
	errs := []error{p.find(ctx, v, limit), p.write()}
	var list []*known
	for _, k := range p.draw(limit) {
		err := p.check(ctx, v, k.id)
		if errors.Is(err, errGone) {
			p.drop(k.id)
			continue
		}
		var meta *shards.Metadata
		if err == nil {
			meta, err = p.metadata(ctx, v, k.id)
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		list = append(list, &known{k.id, meta, meta.Length, k.seen})
	}
	if len(list) == 0 {
		return nil, errors.Join(errs...)
	}
	return list, nil
}

// draw returns blobs that have been known for long enough, by bytes, each once.
func (p *pool) draw(limit int) (list []*known) {
	p.mu.Lock()
	defer p.mu.Unlock()
	type keyed struct {
		*known
		key float64
	}
	var all []keyed
	for _, k := range p.blobs {
		if time.Since(k.seen) >= max(grace, p.watch.length) {
			all = append(all, keyed{k, mrand.ExpFloat64() / float64(max(k.bytes, 1))}) // the least of exponentials: by weight
		}
	}
	slices.SortFunc(all, func(a, b keyed) int { return cmp.Compare(a.key, b.key) })
	for _, k := range all[:min(len(all), limit)] {
		list = append(list, k.known)
	}
	return list
}

func (p *pool) drop(id shards.BlobID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.blobs, id)
	p.changed = true
}

// find asks random nodes for certificates after random IDs: up to limit nodes, for a page of up to limit each. Each new
// blob costs its metadata.
func (p *pool) find(ctx context.Context, v *view, limit int) error {
	members := v.com.Members()
	var errs []error
	for asked, at := 0, mrand.Perm(len(members)); asked < min(nodesAsked, len(at), limit); asked++ {
		short, cancel := context.WithTimeout(ctx, p.patience())
		err := p.page(short, v, at[asked], min(pageSize, limit))
		cancel()
		errs = append(errs, err)
	}
	if slices.Contains(errs, nil) {
		return nil
	}
	return errors.Join(errs...)
}

// page asks one node.
func (p *pool) page(ctx context.Context, v *view, member, size int) error {
	to := v.com.Members()[member].Node
	if to == p.watch.cfg.Self {
		return nil
	}
	if err := p.swarm.Connect(ctx, to); err != nil {
		return err
	}
	var after shards.BlobID
	_, _ = rand.Read(after[:]) // it never fails
	list, more, err := p.swarm.Certificates(ctx, to, after, size)
	if err == nil && !more && len(list) < size { // the end of the IDs: go on at their beginning
		var rest [][]byte
		rest, _, err = p.swarm.Certificates(ctx, to, shards.BlobID{}, size-len(list))
		list = append(list, rest...)
	}
	if err != nil {
		return err
	}
	for _, raw := range list {
		cert, err := certs.UnmarshalCertificate(raw)
		if err != nil {
			return fmt.Errorf("certificates of %s: %w", to, err)
		}
		if err := p.add(ctx, v, cert.Blob); err != nil && !errors.Is(err, errGone) {
			return err
		}
	}
	return nil
}

// add takes a blob into the pool, if the ledger proves that it is certified.
func (p *pool) add(ctx context.Context, v *view, id shards.BlobID) error {
	p.mu.Lock()
	_, have := p.blobs[id]
	p.mu.Unlock()
	if have {
		return nil
	}
	if err := p.check(ctx, v, id); err != nil {
		return err
	}
	meta, err := p.metadata(ctx, v, id)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for other := range p.blobs {
		if len(p.blobs) < PoolSize {
			break
		}
		delete(p.blobs, other) // any one
	}
	p.blobs[id] = &known{id: id, bytes: meta.Length, seen: time.Now()}
	p.changed = true
	return nil
}

// errGone reports a blob that is not certified now.
var errGone = errors.New("the blob is not certified")

// check asks the ledger whether a blob is certified in the current epoch.
func (p *pool) check(ctx context.Context, v *view, id shards.BlobID) error {
	info, err := p.watch.cfg.Chain.BlobInfo(ctx, id)
	if err != nil {
		return fmt.Errorf("read blob %s: %w", id, err)
	}
	if info.CertifiedUntil(v.epoch) <= v.epoch {
		return fmt.Errorf("blob %s: %w", id, errGone)
	}
	return nil
}

// metadata fetches the metadata of a blob from any node.
func (p *pool) metadata(ctx context.Context, v *view, id shards.BlobID) (*shards.Metadata, error) {
	members := v.com.Members()
	err := fmt.Errorf("metadata of %s: %w", id, p2p.ErrNotFound)
	for tries, at := range mrand.Perm(len(members)) {
		if tries == metadataTries {
			break
		}
		meta, failed := p.metadataFrom(ctx, v, at, id)
		if failed == nil {
			return meta, nil
		}
		err = failed
	}
	return nil, err
}

// metadataTries bounds the nodes asked for the metadata of one blob.
const metadataTries = 4

func (p *pool) metadataFrom(ctx context.Context, v *view, member int, id shards.BlobID) (*shards.Metadata, error) {
	ctx, cancel := context.WithTimeout(ctx, p.patience())
	defer cancel()
	to, params := v.com.Members()[member].Node, v.com.Params()
	if err := p.swarm.Connect(ctx, to); err != nil {
		return nil, err
	}
	raw, err := p.swarm.Metadata(ctx, to, id, params.MetadataSize())
	if err != nil {
		return nil, err
	}
	return shards.UnmarshalMetadata(params, id, raw)
}

// pick draws a blob by bytes.
func pick(list []*known, draw uint64) *known {
	var all uint64
	for _, k := range list {
		all += max(k.bytes, 1)
	}
	at := draw % all
	for _, k := range list {
		if at < max(k.bytes, 1) {
			return k
		}
		at -= max(k.bytes, 1)
	}
	return list[len(list)-1]
}
