package dht

import (
	"bytes"
	"encoding/base32"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	kad_pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p-kad-dht/records"
	kbucket "github.com/libp2p/go-libp2p-kbucket"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/protocol/identify"
	"google.golang.org/protobuf/encoding/protodelim"

	"walrus/internal/swarmtest"
)

// heard counts the requests of one peer that servers read, by type.
type heard struct {
	from   atomic.Pointer[peer.ID]
	counts [16]atomic.Int64
}

func (h *heard) of(t kad_pb.Message_MessageType) int64 { return h.counts[t].Load() }

// hearing is a host whose DHT's requests are counted.
type hearing struct {
	host.Host
	heard *heard
}

func (h hearing) IDService() identify.IDService {
	return h.Host.(interface{ IDService() identify.IDService }).IDService()
}

func (h hearing) SetStreamHandler(p protocol.ID, handle network.StreamHandler) {
	h.Host.SetStreamHandler(p, func(s network.Stream) { handle(&counted{Stream: s, heard: h.heard}) })
}

// counted is a stream whose requests are counted as they are read.
type counted struct {
	network.Stream
	heard *heard
	rest  bytes.Buffer
}

func (c *counted) Read(b []byte) (int, error) {
	n, err := c.Stream.Read(b)
	c.rest.Write(b[:n])
	for {
		r := bytes.NewReader(c.rest.Bytes())
		var m kad_pb.Message
		if protodelim.UnmarshalFrom(r, &m) != nil {
			return n, err
		}
		if from := c.heard.from.Load(); from != nil && c.Conn().RemotePeer() == *from {
			c.heard.counts[m.GetType()].Add(1)
		}
		c.rest.Next(c.rest.Len() - r.Len())
	}
}

func randomKeys(r *rand.ChaCha8, n int) [][32]byte {
	keys := make([][32]byte, n)
	for i := range keys {
		_, _ = r.Read(keys[i][:])
	}
	return keys
}

// holds reports whether there is a record of a key.
func (r *recordStore) holds(key []byte) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return len(r.groups[records.ProvidersKeyPrefix+base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(key)]) > 0
}

// keepers counts the servers that have a record of a key, and those of them that are among the nearest ones.
func keepers(t *testing.T, servers []*member, key [32]byte) (all, nearest int) {
	t.Helper()
	c, err := recordKey(key)
	if err != nil {
		t.Fatal(err)
	}
	var ids []peer.ID
	of := map[peer.ID]*member{}
	for _, m := range servers {
		ids, of[m.host.ID()] = append(ids, m.host.ID()), m
	}
	for i, id := range kbucket.SortClosestPeers(ids, kbucket.ConvertKey(string(c.Hash()))) {
		if of[id].records.holds(c.Hash()) {
			if all++; i < bucketSize {
				nearest++
			}
		}
	}
	return all, nearest
}

// TestAnnounceAll: many keys are announced to the same servers as with one look-up each, with far fewer look-ups, and
// no server is sent more than it reads. WALRUS_ANNOUNCEMENTS=10000 measures that with as many keys either way.
func TestAnnounceAll(t *testing.T) {
	count, walks, many := 40, 50, 600
	if text := os.Getenv("WALRUS_ANNOUNCEMENTS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		count, walks, many = 100, n, n
	}
	synctest.Test(t, func(t *testing.T) {
		n := swarmtest.NewNetwork(7)
		var of heard
		var servers []*member
		wrap := func(h host.Host) host.Host { return hearing{h, &of} }
		for i := range count {
			m := simulatedOn(t, n, i, i, Config{Server: true, Bootstrap: zero(t, n)}, wrap)
			servers = append(servers, m)
		}
		pinner := simulated(t, n, count, count, Config{Bootstrap: zero(t, n)})
		time.Sleep(20 * time.Minute)
		id := pinner.host.ID()
		of.from.Store(&id)
		r := rand.NewChaCha8([32]byte{1})
		measure := func(what string, keys [][32]byte, announce func() error) (finds, records float64) {
			find, add, began := of.of(kad_pb.Message_FIND_NODE), of.of(kad_pb.Message_ADD_PROVIDER), time.Now()
			sent := n.Sent(count)
			var most, base int = 0, runtime.NumGoroutine()
			done := make(chan error)
			go func() { done <- announce() }()
			tick := time.NewTicker(time.Second)
			for over := false; !over; {
				select {
				case err := <-done:
					if over = true; err != nil {
						t.Fatal(err)
					}
				case <-tick.C:
					most = max(most, runtime.NumGoroutine()-base)
				}
			}
			tick.Stop()
			took := time.Since(began)
			time.Sleep(time.Minute)
			k := float64(len(keys))
			finds = float64(of.of(kad_pb.Message_FIND_NODE)-find) / k
			records = float64(of.of(kad_pb.Message_ADD_PROVIDER)-add) / k
			t.Logf("%s: %d keys in %v: for each %.2f questions, %.1f records, %.0f bytes; %d goroutines more", what, len(keys),
				took.Round(time.Second), finds, records, float64(n.Sent(count)-sent)/k, most)
			return finds, records
		}
		single := randomKeys(r, walks)
		walked, _ := measure("one look-up each", single, func() error {
			slots, errs := make(chan struct{}, 8), make(chan error, walks)
			for _, key := range single {
				slots <- struct{}{}
				go func() { errs <- pinner.Announce(t.Context(), key); <-slots }()
			}
			for range single {
				if err := <-errs; err != nil {
					return err
				}
			}
			return nil
		})
		keys := randomKeys(r, many)
		var sent []int
		swept, each := measure("all at once", keys, func() (err error) {
			sent, err = AnnounceAll(t.Context(), pinner.DHT, keys)
			return err
		})
		if swept > walked/5 {
			t.Errorf("%.2f questions for each key, %.2f with one look-up each", swept, walked)
		}
		if each > bucketSize*1.01 {
			t.Errorf("%.1f records for each key, want %d", each, bucketSize)
		}
		share := func(keys [][32]byte) float64 {
			var nearest int
			for _, key := range keys {
				_, near := keepers(t, servers, key)
				nearest += near
			}
			return float64(nearest) / float64(bucketSize*len(keys))
		}
		for i, key := range keys {
			if kept, _ := keepers(t, servers, key); kept < bucketSize/2 || sent[i] < kept {
				t.Errorf("key %d is kept by %d servers, and said to be sent to %d", i, kept, sent[i])
			}
		}
		alone, together := share(single), share(keys)
		t.Logf("records at the nearest %d servers: %.3f with one look-up each, %.3f together", bucketSize, alone, together)
		if together < alone*0.98 {
			t.Errorf("%.3f of the records are at the nearest servers, %.3f with one look-up each", together, alone)
		}
		stranger := simulated(t, n, count+1, count+1, Config{Bootstrap: zero(t, n)})
		if err := stranger.Joined(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, key := range keys[:20] {
			found, err := stranger.Holders(t.Context(), key, 3)
			if err != nil || !slices.ContainsFunc(found, func(p peer.AddrInfo) bool { return p.ID == pinner.host.ID() }) {
				t.Errorf("a stranger finds %v: %v", found, err)
			}
		}
		places := make([]uint16, len(keys))
		for i, key := range keys {
			places[i], _ = Place(key)
		}
		slices.Sort(places)
		if spread := int(places[many*3/4]) - int(places[many/4]); spread < 1<<16*2/5 || spread > 1<<16*3/5 {
			t.Errorf("the middle half of the keys lies in %d of %d places", spread, 1<<16)
		}
	})
}
