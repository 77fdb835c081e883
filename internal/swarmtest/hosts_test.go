package swarmtest

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/dht"
)

// startMembers starts count servers with blocks to pull and waits until they know each other.
func startMembers(t *testing.T, n *Network, count int) (members []*member) {
	t.Helper()
	for i := range count {
		members = append(members, startMember(t, n, i, dht.Config{Server: true}))
		servePull(members[i], make([]byte, blockSize))
	}
	joinAll(t, t.Context(), members)
	return members
}

const blockSize = 256 << 10

// Others notice a killed host at once, and find it again after its restart.
func TestKillAndRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := NewNetwork(3)
		members := startMembers(t, n, 8)
		ctx, reader, victim := t.Context(), members[1], members[3].ID()
		if err := reader.dht.Connect(ctx, victim); err != nil {
			t.Fatal(err)
		}
		n.SetRate(3, 10_000) // two blocks would take 50 s
		failed := make(chan error, 1)
		start := time.Now()
		go func() {
			_, err := fetch(ctx, reader, victim, 2)
			failed <- err
		}()
		time.Sleep(10 * time.Second)
		n.Kill(3)
		if err := <-failed; err == nil {
			t.Error("a transfer from a killed host succeeded")
		}
		if took := time.Since(start); took > 11*time.Second {
			t.Errorf("the kill at 10 s was noticed after %v", took)
		}
		if err := reader.dht.Connect(ctx, victim); err == nil {
			t.Error("connected to a killed host")
		}
		start = time.Now()
		if err := reader.dht.Connect(ctx, victim); err == nil || time.Since(start) > 0 {
			t.Errorf("the second attempt: %v after %v", err, time.Since(start))
		}

		members[3].stop()
		n.Revive(3)
		n.SetRate(3, 0)
		members[3] = startMember(t, n, 3, dht.Config{Server: true})
		servePull(members[3], make([]byte, blockSize))
		joinAll(t, ctx, members[3:4])
		if err := reader.dht.Connect(ctx, victim); err != nil {
			t.Errorf("after its restart: %v", err)
		}
		if got, err := fetch(ctx, reader, victim, 2); err != nil || got != 2*blockSize {
			t.Errorf("fetched %d bytes after its restart: %v", got, err)
		}
		stopAll(members)
	})
}

// Keep-alives give up an isolated host. Once healed, it is reached without a restart.
func TestIsolateAndHeal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := NewNetwork(4)
		members := startMembers(t, n, 6)
		ctx, reader, victim := t.Context(), members[1], members[4].ID()
		if err := reader.dht.Connect(ctx, victim); err != nil {
			t.Fatal(err)
		}
		n.Isolate(4)
		time.Sleep(5 * time.Minute)
		if reader.Network().Connectedness(victim) == network.Connected {
			t.Error("still connected after five minutes")
		}
		if err := reader.dht.Connect(ctx, victim); err == nil {
			t.Error("connected to an isolated host")
		}
		n.Heal()
		time.Sleep(2 * time.Minute)
		if err := reader.dht.Connect(ctx, victim); err != nil {
			t.Errorf("after healing: %v", err)
		}
		stopAll(members)
	})
}

// Large blobs work in real time too.
func TestHundredsOfMegabytes(t *testing.T) {
	if testing.Short() {
		t.Skip("moves 300 MB")
	}
	wall := time.Now()
	synctest.Test(t, func(t *testing.T) {
		n := NewNetwork(5)
		a, b := startHost(t, n, 0), startHost(t, n, 1)
		defer b.Close()
		defer a.Close()
		servePull(a, make([]byte, 1<<20))
		if err := b.Connect(t.Context(), peer.AddrInfo{ID: a.ID(), Addrs: a.Addrs()}); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		for range 2 {
			if got, err := fetch(t.Context(), b, a.ID(), 150); err != nil || got != 150<<20 {
				t.Fatalf("%d bytes, %v", got, err)
			}
		}
		t.Logf("300 MiB in %v virtual", time.Since(start))
	})
	t.Logf("wall %v", time.Since(wall))
}
