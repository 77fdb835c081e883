package dht

import (
	"bufio"
	"crypto/rand"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	kad_pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"google.golang.org/protobuf/encoding/protodelim"
)

// TestAnnouncementsArePaced: a stranger's records beyond its burst are read at announceRate, over many streams as well.
// Its other requests, and another's records, do not wait.
func TestAnnouncementsArePaced(t *testing.T) {
	server := start(t, nil, Config{Server: true})
	spammer, honest := newHost(t, nil), newHost(t, nil)
	const streams, more = 2, 60
	announce := func(records int, h host.Host, send func(*kad_pb.Message) error) {
		for range records {
			key := append([]byte{0x12, 0x20}, make([]byte, 32)...)
			_, _ = rand.Read(key[2:])
			m := kad_pb.NewMessage(kad_pb.Message_ADD_PROVIDER, key, 0)
			m.ProviderPeers = []*kad_pb.Message_Peer{{Id: []byte(h.ID()), Addrs: [][]byte{h.Addrs()[0].Bytes()}}}
			if err := send(m); err != nil {
				t.Error(err)
				return
			}
		}
	}
	ctx := within(t, patience)
	// read announces records over one stream, and returns when the server has read them.
	read := func(i, records int) (time.Duration, error) {
		h := spammer
		if i < 0 {
			h = honest
		}
		if err := h.Connect(ctx, peer.AddrInfo{ID: server.host.ID(), Addrs: server.host.Addrs()}); err != nil {
			return 0, err
		}
		st, err := h.NewStream(ctx, server.host.ID(), "/walrus/test/kad/1.0.0")
		if err != nil {
			return 0, err
		}
		defer st.Reset()
		began := time.Now()
		announce(records, h, func(m *kad_pb.Message) error { _, err := protodelim.MarshalTo(st, m); return err })
		if _, err := protodelim.MarshalTo(st, kad_pb.NewMessage(kad_pb.Message_PING, nil, 0)); err != nil {
			return 0, err
		}
		if err := protodelim.UnmarshalFrom(bufio.NewReader(st), new(kad_pb.Message)); err != nil {
			return 0, fmt.Errorf("no answer to the ping behind %d records: %w", records, err)
		}
		return time.Since(began), nil
	}
	type result struct {
		took time.Duration
		err  error
	}
	results := make(chan result, streams)
	began := time.Now()
	for i := range streams {
		go func() {
			took, err := read(i, (announceBurst+more)/streams)
			results <- result{took, err}
		}()
	}
	for range streams {
		if r := <-results; r.err != nil {
			t.Fatal(r.err)
		}
	}
	if took, least := time.Since(began), more*time.Second/announceRate; took < least*9/10 {
		t.Errorf("%d records were read in %v, want %v at least", announceBurst+more, took, least)
	}
	if took, err := read(0, 0); err != nil || took > 10*time.Second {
		t.Errorf("the spammer's ping took %v: %v", took, err)
	}
	spent := server.pace.limiter(string(spammer.ID())).Tokens()
	if _, err := read(-1, announceBurst/2); err != nil {
		t.Error(err)
	}
	if left := server.pace.limiter(string(honest.ID())).Tokens(); left < announceBurst/2-1 || spent > announceBurst-more/2 {
		t.Errorf("turns left: honest %v, spammer %v", left, spent)
	}
}

// TestPaceIsBounded: many announcers take bounded memory, and those beyond share turns.
func TestPaceIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPace()
		for i := range 2 * maxPaced {
			p.limiter(fmt.Sprint(i)).AllowN(time.Now(), announceBurst)
		}
		if len(p.of) != maxPaced || p.limiter("new") != p.rest {
			t.Errorf("%d announcers are remembered, want %d, and others to share", len(p.of), maxPaced)
		}
		time.Sleep(announceBurst * time.Second / announceRate)
		if p.limiter("new") == p.rest || len(p.of) != 1 {
			t.Errorf("%d announcers are remembered after a rest, want the new one", len(p.of))
		}
	})
}
