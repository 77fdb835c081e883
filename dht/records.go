package dht

import (
	"container/heap"
	"container/list"
	"context"
	"encoding/base32"
	"errors"
	"net/netip"
	"strings"
	"sync"

	"github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/query"
	"github.com/libp2p/go-libp2p-kad-dht/records"
	"github.com/libp2p/go-libp2p/core/peer"
)

// errRecordsFull refuses a record. The protocol does not tell the announcer, which asks several keepers.
var errRecordsFull = errors.New("too many provider records")

// recordStore keeps the provider records that others announce, in memory and within limits. The library's own map
// grows without limit and is scanned as a whole for every read. Names are <key>/<announcing peer>, as the library
// writes them; grouped by key, a read costs only as much as it returns.
//
// When the store is full, a new record replaces a stranger's: the oldest record of the announcer with the most records,
// in the network with the most records. Records of members are never replaced.
type recordStore struct {
	max, maxPerPeer, maxPerNet int // constant
	// origin tells members from strangers, and names a stranger's network. A stranger without one counts as a network
	// by itself. Constant; nil: all are strangers without a network.
	origin func(announcer string) (member bool, network netip.Prefix)

	mu     sync.RWMutex
	groups map[string]map[string]*record // key → announcer → record; guarded by mu
	peers  map[string]*announcer         // guarded by mu; only with records
	nets   map[string]*recordNet         // guarded by mu; only with records
	most   ranking[*recordNet]           // of strangers; guarded by mu
	total  int                           // guarded by mu
}

// record is one provider record.
type record struct {
	group string
	value []byte
	by    *announcer
	place *list.Element // in by.records
}

// announcer holds the records of one peer.
type announcer struct {
	ranked
	id      string
	net     *recordNet
	records list.List // *record, the least recently renewed first
}

// recordNet holds the announcers of one network. Only strangers' networks are in ranking.
type recordNet struct {
	ranked
	name   string
	member bool
	most   ranking[*announcer]
}

var _ datastore.Batching = (*recordStore)(nil)

func newRecordStore(max, maxPerPeer, maxPerNet int) *recordStore {
	return &recordStore{
		max: max, maxPerPeer: maxPerPeer, maxPerNet: maxPerNet,
		groups: make(map[string]map[string]*record),
		peers:  make(map[string]*announcer),
		nets:   make(map[string]*recordNet),
	}
}

// split splits a name into key and announcing peer.
func split(name datastore.Key) (group, peer string) {
	s := name.String()
	i := strings.LastIndexByte(s, '/')
	return s[:i], s[i+1:]
}

// Put stores or renews a record; it refuses new ones beyond the limits of an announcer and of a network.
func (r *recordStore) Put(_ context.Context, name datastore.Key, value []byte) error {
	group, peer := split(name)
	var member bool
	var network netip.Prefix
	if r.origin != nil {
		member, network = r.origin(peer)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if old := r.groups[group][peer]; old != nil {
		old.value = value
		old.by.records.MoveToBack(old.place)
		return nil
	}
	by := r.announcer(peer, member, network)
	if by.size >= r.maxPerPeer || !by.net.member && by.net.size >= r.maxPerNet || !r.makeRoom() {
		r.count(by, 0) // forgets an announcer without records
		return errRecordsFull
	}
	if r.groups[group] == nil {
		r.groups[group] = make(map[string]*record)
	}
	rec := &record{group: group, value: value, by: by}
	rec.place = by.records.PushBack(rec)
	r.groups[group][peer] = rec
	r.count(by, 1)
	return nil
}

// makeRoom drops a record if the store is full. It fails if only members have any. r.mu is held.
func (r *recordStore) makeRoom() bool {
	if r.total < r.max {
		return true
	}
	if len(r.most) == 0 || r.most[0].size == 0 {
		return false
	}
	r.drop(r.most[0].most[0].records.Front().Value.(*record))
	return true
}

// announcer returns the announcer with an ID, in the network where it is now. r.mu is held.
func (r *recordStore) announcer(id string, member bool, network netip.Prefix) *announcer {
	name := network.String()
	if member || !network.IsValid() {
		name = id
	}
	a := r.peers[id]
	if a == nil {
		a = &announcer{id: id}
		r.peers[id] = a
	}
	if a.net != nil && a.net.name == name && a.net.member == member {
		return a
	}
	size := a.size
	if a.net != nil {
		r.count(a, -size) // leaves its network
		r.peers[id] = a
	}
	net := r.nets[name]
	if net == nil {
		net = &recordNet{name: name, member: member}
		r.nets[name] = net
		if !member {
			heap.Push(&r.most, net)
		}
	}
	a.net = net
	heap.Push(&net.most, a)
	if size > 0 {
		r.count(a, size)
	}
	return a
}

// count adds n records to an announcer and its network, and forgets both once they have none. r.mu is held.
func (r *recordStore) count(a *announcer, n int) {
	net := a.net
	a.size += n
	net.size += n
	r.total += n
	if a.size == 0 && n <= 0 {
		heap.Remove(&net.most, a.index)
		delete(r.peers, a.id)
	} else {
		heap.Fix(&net.most, a.index)
	}
	gone := len(net.most) == 0
	if gone {
		delete(r.nets, net.name)
	}
	switch {
	case net.member:
	case gone:
		heap.Remove(&r.most, net.index)
	default:
		heap.Fix(&r.most, net.index)
	}
}

// drop removes a record. r.mu is held.
func (r *recordStore) drop(rec *record) {
	delete(r.groups[rec.group], rec.by.id)
	if len(r.groups[rec.group]) == 0 {
		delete(r.groups, rec.group)
	}
	rec.by.records.Remove(rec.place)
	r.count(rec.by, -1)
}

// Delete removes a record, if there is one.
func (r *recordStore) Delete(_ context.Context, name datastore.Key) error {
	group, peer := split(name)
	r.mu.Lock()
	defer r.mu.Unlock()
	if rec := r.groups[group][peer]; rec != nil {
		r.drop(rec)
	}
	return nil
}

// Get returns one record's value, or datastore.ErrNotFound.
func (r *recordStore) Get(_ context.Context, name datastore.Key) ([]byte, error) {
	group, peer := split(name)
	r.mu.RLock()
	defer r.mu.RUnlock()
	rec := r.groups[group][peer]
	if rec == nil {
		return nil, datastore.ErrNotFound
	}
	return rec.value, nil
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
		for peer, rec := range r.groups[group] {
			e := query.Entry{Key: group + "/" + peer, Size: len(rec.value)}
			if !q.KeysOnly {
				e.Value = rec.value
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

// Batch returns a batch that is not atomic, like the batches of the library's own stores in memory.
func (r *recordStore) Batch(context.Context) (datastore.Batch, error) {
	return datastore.NewBasicBatch(r), nil
}

// Sync does nothing.
func (r *recordStore) Sync(context.Context, datastore.Key) error { return nil }

// Close does nothing.
func (r *recordStore) Close() error { return nil }

// announcer classifies the announcer of a record, which is connected while it announces. name is its ID in the record.
func (d *DHT) announcer(name string) (member bool, network netip.Prefix) {
	raw, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(name)
	if err != nil {
		return false, netip.Prefix{}
	}
	return d.member(peer.ID(raw)), d.networkAddr(peer.ID(raw))
}

// ranked is the position of an item in a ranking.
type ranked struct {
	size  int
	index int
}

func (r *ranked) rank() *ranked { return r }

// ranking is a heap with the greatest first.
type ranking[T interface{ rank() *ranked }] []T

func (r ranking[T]) Len() int           { return len(r) }
func (r ranking[T]) Less(i, j int) bool { return r[i].rank().size > r[j].rank().size }

func (r ranking[T]) Swap(i, j int) {
	r[i], r[j] = r[j], r[i]
	r[i].rank().index, r[j].rank().index = i, j
}

// Push implements heap.Interface.
func (r *ranking[T]) Push(x any) {
	item := x.(T)
	item.rank().index = len(*r)
	*r = append(*r, item)
}

// Pop implements heap.Interface.
func (r *ranking[T]) Pop() any {
	last := len(*r) - 1
	item := (*r)[last]
	*r = (*r)[:last]
	return item
}
