package dht

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	kbucket "github.com/libp2p/go-libp2p-kbucket"
	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/time/rate"
)

const (
	// sweepPeers servers are sent records at a time.
	sweepPeers = 20
	// sweepRate and sweepBurst bound the records that one server is sent. They are below announceRate and announceBurst,
	// above which records queue in the stream, and our own look-ups behind them.
	sweepRate, sweepBurst = announceRate * 4 / 5, announceBurst / 2
	// sweepPatience bounds the sending of one record, and sweepFailures the records in a row that a server does not take
	// before it is given up.
	sweepPatience = 10 * time.Second
	sweepFailures = 3
	// sweepLooks bounds the look-ups around one key. Half as many find out about a region with hundreds of servers.
	sweepLooks = 64
)

// AnnounceAll announces many keys at once, as DHT.Announce does one. Keys that lie next to each other in the key space
// share look-ups, whose number follows from the number of servers: use it for dozens of keys and more. It returns for
// each key the number of servers that its record was sent to, also with an error. Each server gets 40 records a second,
// so 10,000 keys in a network of 20 servers take four minutes.
func AnnounceAll(ctx context.Context, d *DHT, keys [][32]byte) (sent []int, err error) {
	s := &sweep{d: d, k: replicas(d.cfg), sent: make([]int, len(keys)), hashes: make([][]byte, len(keys))}
	order := make([]int, len(keys))
	places := make([]kbucket.ID, len(keys))
	for i, key := range keys {
		c, err := recordKey(key)
		if err != nil {
			return s.sent, err
		}
		s.hashes[i], order[i] = c.Hash(), i
		places[i] = kbucket.ConvertKey(string(c.Hash()))
	}
	slices.SortFunc(order, func(a, b int) int { return slices.Compare(places[a], places[b]) })
	of := map[peer.ID][]int{} // the keys that a server is to keep
	m := &chart{k: s.k, peers: map[peer.ID]bool{}}
	for _, i := range order {
		nearest, err := s.nearest(ctx, m, string(s.hashes[i]), places[i])
		if err != nil {
			return s.sent, fmt.Errorf("announce %d keys: %w", len(keys), err)
		}
		for _, p := range nearest {
			of[p] = append(of[p], i)
		}
		c, _ := recordKey(keys[i])
		if err := d.kad.Provide(ctx, c, false); err != nil { // our own record, if we are asked
			return s.sent, fmt.Errorf("announce %d keys: %w", len(keys), err)
		}
	}
	s.send(ctx, of)
	if ctx.Err() != nil {
		return s.sent, fmt.Errorf("announce %d keys: %w", len(keys), context.Cause(ctx))
	}
	return s.sent, nil
}

// sweep is one AnnounceAll.
type sweep struct {
	d      *DHT // constant, as the next two
	k      int
	hashes [][]byte // of the keys, as in records

	mu   sync.Mutex
	sent []int // by key; guarded by mu
}

// nearest returns the servers that keep the record of a key. It completes the chart around the key as far as needed.
func (s *sweep) nearest(ctx context.Context, m *chart, hash string, place kbucket.ID) ([]peer.ID, error) {
	for range sweepLooks {
		if list := m.nearest(place); list != nil {
			return list, nil
		}
		target := m.gap(place)
		at, err := kbucket.GenRandPeerIDWithCPL(target, kbucket.PeerIDPreimageMaxCpl)
		if err != nil {
			return nil, err
		}
		found, err := s.lookUp(ctx, string(at))
		if err != nil {
			return nil, err
		}
		whole := len(found) < s.k && s.d.TableSize() < s.k // else servers did not answer
		if bits := m.add(kbucket.ConvertPeerID(at), found, whole); bits > int(kbucket.PeerIDPreimageMaxCpl) {
			break // too many servers to be told apart by the IDs that can be looked up
		}
	}
	return s.lookUp(ctx, hash)
}

func (s *sweep) lookUp(ctx context.Context, key string) ([]peer.ID, error) {
	found, err := s.d.kad.GetClosestPeers(ctx, key)
	if errors.Is(err, kbucket.ErrLookupFailure) {
		return nil, errors.New("no server of the network is known yet: join first")
	}
	return found, err
}

// send sends every server its records, to sweepPeers of them at a time.
func (s *sweep) send(ctx context.Context, of map[peer.ID][]int) {
	var all sync.WaitGroup
	slots := make(chan struct{}, sweepPeers)
	for to, keys := range of {
		slots <- struct{}{}
		all.Go(func() {
			s.sendTo(ctx, to, keys)
			<-slots
		})
	}
	all.Wait()
}

func (s *sweep) sendTo(ctx context.Context, to peer.ID, keys []int) {
	pace := rate.NewLimiter(sweepRate, sweepBurst)
	m := pb.NewMessage(pb.Message_ADD_PROVIDER, nil, 0)
	self := peer.AddrInfo{ID: s.d.host.ID(), Addrs: s.d.filter(s.d.host.Addrs())}
	m.ProviderPeers = pb.RawPeerInfosToPBPeers([]peer.AddrInfo{self})
	failures := 0
	for _, i := range keys {
		if failures == sweepFailures || pace.Wait(ctx) != nil {
			return
		}
		m.Key = s.hashes[i]
		short, stop := context.WithTimeout(ctx, sweepPatience)
		err := s.d.kad.MessageSender().SendMessage(short, to, m)
		stop()
		if failures++; err == nil {
			failures = 0
			s.mu.Lock()
			s.sent[i]++
			s.mu.Unlock()
		}
	}
}

// Place returns where a key lies in the key space. Keys with nearby places have the same servers, so that they cost
// least if they are announced together.
func Place(key [32]byte) (uint16, error) {
	c, err := recordKey(key)
	if err != nil {
		return 0, err
	}
	return binary.BigEndian.Uint16(kbucket.ConvertKey(string(c.Hash()))), nil
}

// chart knows the servers in parts of the key space, from look-ups.
type chart struct {
	k     int // servers that keep a record
	peers map[peer.ID]bool
	ids   []charted // ascending
	root  zone
}

type charted struct {
	id    peer.ID
	place kbucket.ID
}

// zone is a prefix in the key space. If it is known, all servers below it are; it then has no halves.
type zone struct {
	known  bool
	halves [2]*zone
}

func bit(id kbucket.ID, i int) int { return int(id[i/8]>>(7-i%8)) & 1 }

// add takes in the answer to a look-up, the k servers nearest to a place or the whole network. Everything nearer than
// the last of them is known: it returns the bits of that prefix.
func (m *chart) add(place kbucket.ID, found []peer.ID, whole bool) (known int) {
	if !whole {
		known = len(place) * 8
		for _, p := range found {
			known = min(known, kbucket.CommonPrefixLen(place, kbucket.ConvertPeerID(p))+1)
		}
	}
	for _, p := range found {
		if m.peers[p] {
			continue
		}
		m.peers[p] = true
		c := charted{p, kbucket.ConvertPeerID(p)}
		at, _ := slices.BinarySearchFunc(m.ids, c, func(a, b charted) int { return slices.Compare(a.place, b.place) })
		m.ids = slices.Insert(m.ids, at, c)
	}
	m.root.learn(place, known, 0)
	return known
}

// learn marks the prefix of place with some bits as known. p is the prefix with the first at bits.
func (p *zone) learn(place kbucket.ID, bits, at int) {
	if p.known {
		return
	}
	if at == bits {
		p.known = true
	} else {
		half := &p.halves[bit(place, at)]
		if *half == nil {
			*half = new(zone)
		}
		(*half).learn(place, bits, at+1)
		p.known = p.halves[0] != nil && p.halves[0].known && p.halves[1] != nil && p.halves[1].known
	}
	if p.known {
		p.halves = [2]*zone{}
	}
}

// knownBits returns the length of the shortest prefix of place below which all servers are known; −1 if none is.
func (m *chart) knownBits(place kbucket.ID) int {
	p := &m.root
	for bits := 0; p != nil; bits++ {
		if p.known {
			return bits
		}
		p = p.halves[bit(place, bits)]
	}
	return -1
}

// below returns the servers whose places share the first bits with place.
func (m *chart) below(place kbucket.ID, bits int) []charted {
	low, high := slices.Clone(place), slices.Clone(place)
	for i := bits; i < len(place)*8; i++ {
		low[i/8] &^= 1 << (7 - i%8)
		high[i/8] |= 1 << (7 - i%8)
	}
	search := func(to kbucket.ID) int {
		at, found := slices.BinarySearchFunc(m.ids, to, func(c charted, to kbucket.ID) int { return slices.Compare(c.place, to) })
		if found && slices.Compare(to, high) == 0 {
			at++
		}
		return at
	}
	return m.ids[search(low):search(high)]
}

// nearest returns the k servers nearest to a place, or all if there are fewer; nil if the chart does not show them.
func (m *chart) nearest(place kbucket.ID) []peer.ID {
	bits := m.knownBits(place)
	if bits < 0 {
		return nil
	}
	near := m.below(place, bits)
	if len(near) < m.k && bits > 0 {
		return nil
	}
	ids := make([]peer.ID, len(near))
	for i, c := range near {
		ids[i] = c.id
	}
	ids = kbucket.SortClosestPeers(ids, place)
	return ids[:min(len(ids), m.k)]
}

// gap returns the next place to look up for the servers of place: itself, or one beside the zone around it, which is
// known and has too few servers.
func (m *chart) gap(place kbucket.ID) kbucket.ID {
	bits := m.knownBits(place)
	if bits < 0 {
		return place
	}
	at := slices.Clone(place)
	if bits == 0 {
		return at
	}
	at[(bits-1)/8] ^= 1 << (7 - (bits-1)%8)
	p := &m.root
	for i := range bits {
		if p = p.halves[bit(at, i)]; p == nil {
			return at
		}
	}
	for i := bits; p != nil; i++ { // p is not known, or the zone around both would be
		side := bit(at, i)
		if half := p.halves[side]; half != nil && half.known {
			at[i/8] ^= 1 << (7 - i%8)
			side = 1 - side
		}
		p = p.halves[side]
	}
	return at
}
