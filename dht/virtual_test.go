package dht

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/internal/swarmtest"
)

// simulated starts a member in virtual time, with the identity of host who at the place of host where.
func simulated(t *testing.T, n *swarmtest.Network, who, where int, cfg Config) *member {
	t.Helper()
	return simulatedOn(t, n, who, where, cfg, func(h host.Host) host.Host { return h })
}

// simulatedOn does so with a DHT on what wrap makes of the host.
func simulatedOn(t *testing.T, n *swarmtest.Network, who, where int, cfg Config, wrap func(host.Host) host.Host) *member {
	t.Helper()
	key, err := crypto.UnmarshalEd25519PrivateKey(n.Key(who))
	if err != nil {
		t.Fatal(err)
	}
	h, err := libp2p.New(append(n.Options(where), libp2p.Identity(key), libp2p.ListenAddrStrings(n.ListenAddr(where)))...)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Network = "sim"
	d, err := New(wrap(h), cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var ran sync.WaitGroup
	ran.Go(func() {
		if err := d.Run(ctx); err != nil {
			t.Errorf("run: %v", err)
		}
	})
	m := &member{DHT: d, key: key}
	m.stop = sync.OnceFunc(func() {
		cancel()
		ran.Wait()
		if err := d.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		h.Close()
	})
	t.Cleanup(m.stop)
	return m
}

// zero returns the address of host 0, which need not run.
func zero(t *testing.T, n *swarmtest.Network) []string {
	t.Helper()
	key, err := crypto.UnmarshalEd25519PrivateKey(n.Key(0))
	if err != nil {
		t.Fatal(err)
	}
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return []string{n.Addr(0, id)}
}

func TestJoinsWhenBootstrapComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := swarmtest.NewNetwork(1)
		client := simulated(t, n, 1, 1, Config{Bootstrap: zero(t, n)})
		time.Sleep(time.Hour)
		if client.TableSize() != 0 {
			t.Fatal("joined nobody")
		}
		simulated(t, n, 0, 0, Config{Server: true})
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := client.Joined(ctx); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took > 40*time.Second {
			t.Errorf("joined %v after the bootstrap peer came back", took)
		}
	})
}

func TestRestartedBootstrapLearnsOfAllAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := swarmtest.NewNetwork(2)
		first := simulated(t, n, 0, 0, Config{Server: true})
		var others []*member
		for i := range 5 {
			others = append(others, simulated(t, n, i+1, i+1, Config{Server: true, Bootstrap: zero(t, n)}))
		}
		time.Sleep(time.Minute)
		first.stop()
		time.Sleep(10 * time.Minute)
		again := simulated(t, n, 0, 0, Config{Server: true}) // without an address book it knows nobody
		time.Sleep(80 * time.Second)
		if got := again.TableSize(); got != len(others) {
			t.Errorf("it knows %d of %d", got, len(others))
		}
	})
}

// The old address of a moved peer swallows packets, which is worse than a refusal.
func TestSilentOldAddressDoesNotBlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := swarmtest.NewNetwork(3)
		for i := range 6 {
			cfg := Config{Server: true, Bootstrap: zero(t, n)}
			simulated(t, n, i, i, cfg)
		}
		mover := simulated(t, n, 8, 8, Config{Server: true, Bootstrap: zero(t, n)})
		client := simulated(t, n, 7, 7, Config{Bootstrap: zero(t, n)})
		ctx := t.Context()
		time.Sleep(time.Minute)
		id := mover.host.ID()
		if err := client.Connect(ctx, id); err != nil {
			t.Fatal(err)
		}
		mover.stop()
		time.Sleep(time.Minute)
		n.Isolate(8)
		start := time.Now()
		if err := client.Connect(ctx, id); err == nil {
			t.Fatal("connected to a silent address")
		}
		if took := time.Since(start); took > 16*time.Second {
			t.Errorf("giving up took %v", took)
		}
		simulated(t, n, 8, 9, Config{Server: true, Bootstrap: zero(t, n)})
		time.Sleep(5 * time.Second)
		start = time.Now()
		if err := client.Connect(ctx, id); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took > 3*time.Second {
			t.Errorf("finding the new address took %v", took)
		}
	})
}

// Two halves of a network that have forgotten each other become one again.
func TestPartitionHeals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := swarmtest.NewNetwork(4)
		const count = 8
		var members []*member
		for i := range count {
			members = append(members, simulated(t, n, i, i, Config{Server: true, Bootstrap: zero(t, n)}))
		}
		time.Sleep(time.Minute)
		for a := range count / 2 {
			for b := count / 2; b < count; b++ {
				n.Cut(a, b)
			}
		}
		time.Sleep(2 * time.Hour)
		if members[7].connected(members[0].host.ID()) {
			t.Fatal("not cut")
		}
		n.Heal()
		time.Sleep(130 * time.Second)
		for a := range count / 2 {
			for b := count / 2; b < count; b++ {
				if err := members[a].Connect(t.Context(), members[b].host.ID()); err != nil {
					t.Errorf("%d to %d: %v", a, b, err)
				}
			}
		}
	})
}
