package dht

import (
	"context"
	"errors"
	"strings"
	"sync"

	"github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/query"
	"github.com/libp2p/go-libp2p-kad-dht/records"
)

// errRecordsFull refuses a record. The protocol does not tell the announcer, which asks several keepers.
var errRecordsFull = errors.New("too many provider records")

// recordStore keeps the provider records that others announce, in memory and within limits. The library's own map
// grows without limit and is scanned as a whole for every read. Names are <key>/<announcing peer>, as the library
// writes them; grouped by key, a read costs only as much as it returns.
type recordStore struct {
	max, maxPerPeer int // constant

	mu      sync.RWMutex
	groups  map[string]map[string][]byte // key → peer → value; guarded by mu
	perPeer map[string]int               // guarded by mu
	total   int                          // guarded by mu
}

var _ datastore.Batching = (*recordStore)(nil)

func newRecordStore(max, maxPerPeer int) *recordStore {
	return &recordStore{
		max: max, maxPerPeer: maxPerPeer,
		groups:  make(map[string]map[string][]byte),
		perPeer: make(map[string]int),
	}
}

// split splits a name into key and announcing peer.
func split(name datastore.Key) (group, peer string) {
	s := name.String()
	i := strings.LastIndexByte(s, '/')
	return s[:i], s[i+1:]
}

// Put stores or renews a record; it refuses new ones beyond the limits.
func (r *recordStore) Put(_ context.Context, name datastore.Key, value []byte) error {
	group, peer := split(name)
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, renewed := r.groups[group][peer]; !renewed {
		if r.total >= r.max || r.perPeer[peer] >= r.maxPerPeer {
			return errRecordsFull
		}
		if r.groups[group] == nil {
			r.groups[group] = make(map[string][]byte)
		}
		r.total++
		r.perPeer[peer]++
	}
	r.groups[group][peer] = value
	return nil
}

// Delete removes a record, if there is one.
func (r *recordStore) Delete(_ context.Context, name datastore.Key) error {
	group, peer := split(name)
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.groups[group][peer]; !ok {
		return nil
	}
	delete(r.groups[group], peer)
	if len(r.groups[group]) == 0 {
		delete(r.groups, group)
	}
	if r.perPeer[peer]--; r.perPeer[peer] == 0 {
		delete(r.perPeer, peer)
	}
	r.total--
	return nil
}

// Get returns one record's value, or datastore.ErrNotFound.
func (r *recordStore) Get(_ context.Context, name datastore.Key) ([]byte, error) {
	group, peer := split(name)
	r.mu.RLock()
	defer r.mu.RUnlock()
	value, ok := r.groups[group][peer]
	if !ok {
		return nil, datastore.ErrNotFound
	}
	return value, nil
}

// Has reports whether there is a record.
func (r *recordStore) Has(ctx context.Context, name datastore.Key) (bool, error) {
	_, err := r.Get(ctx, name)
	return err == nil, nil
}

// GetSize returns the length of a record's value in bytes, or datastore.ErrNotFound.
func (r *recordStore) GetSize(ctx context.Context, name datastore.Key) (int, error) {
	value, err := r.Get(ctx, name)
	if err != nil {
		return -1, err
	}
	return len(value), nil
}

// Query answers the two prefixes that the library asks for: one key, or everything for its hourly sweep.
func (r *recordStore) Query(_ context.Context, q query.Query) (query.Results, error) {
	prefix := strings.TrimRight(q.Prefix, "/")
	var entries []query.Entry
	collect := func(group string) {
		for peer, value := range r.groups[group] {
			e := query.Entry{Key: group + "/" + peer, Size: len(value)}
			if !q.KeysOnly {
				e.Value = value
			}
			entries = append(entries, e)
		}
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	if prefix == strings.TrimRight(records.ProvidersKeyPrefix, "/") {
		for group := range r.groups {
			collect(group)
		}
	} else {
		collect(prefix)
	}
	q.Prefix = "" // applied; filters, orders and limits remain
	return query.NaiveQueryApply(q, query.ResultsWithEntries(q, entries)), nil
}

// Batch returns a batch that is not atomic, as do the library's own stores in memory.
func (r *recordStore) Batch(context.Context) (datastore.Batch, error) {
	return datastore.NewBasicBatch(r), nil
}

// Sync does nothing.
func (r *recordStore) Sync(context.Context, datastore.Key) error { return nil }

// Close does nothing.
func (r *recordStore) Close() error { return nil }
