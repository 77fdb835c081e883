package p2p

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/x/simlibp2p"
	"github.com/marcopolo/simnet"

	"walrus/p2p/internal/wire"
	"walrus/shards"
)

// simulated opens n hosts on a simulated network with the given round trip, in a synctest bubble.
func simulated(t *testing.T, n int, roundTrip time.Duration, limits Limits) []*Host {
	t.Helper()
	wires := &simnet.Simnet{LatencyFunc: simnet.StaticLatency(roundTrip / 2)}
	link := simnet.NodeBiDiLinkSettings{
		Downlink: simnet.LinkSettings{BitsPerSecond: 100 * simlibp2p.OneMbps},
		Uplink:   simnet.LinkSettings{BitsPerSecond: 100 * simlibp2p.OneMbps},
	}
	hosts := make([]*Host, n)
	for i := range hosts {
		h, err := New(Config{
			Network: "virtual", Key: newKey(t), Role: StorageNode, Limits: limits, Logger: slog.New(slog.DiscardHandler),
			Listen:        []string{fmt.Sprintf("/ip4/%s/udp/8000/quic-v1", simnet.IntToPublicIPv4(i))},
			Libp2p:        []libp2p.Option{simlibp2p.QUICSimnet(wires, link)},
			TestTransport: true,
		})
		if err != nil {
			t.Fatal(err)
		}
		hosts[i] = h
	}
	wires.Start()
	t.Cleanup(func() {
		for _, h := range hosts {
			if err := h.Close(); err != nil {
				t.Error(err)
			}
		}
		wires.Close()
		synctest.Wait()
	})
	return hosts
}

func TestVirtualTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hosts := simulated(t, 5, 100*time.Millisecond, DefaultLimits())
		stores := make([]*memory, len(hosts))
		for i, h := range hosts {
			stores[i] = newMemory()
			if err := h.Serve(t.Context(), stores[i]); err != nil {
				t.Fatal(err)
			}
		}
		start := time.Now()
		for i, h := range hosts {
			next := (i + 1) % len(hosts)
			connect(t, h, hosts[next])
			checkEveryOperation(t, h, hosts[next].ID(), stores[next])
		}
		if d := time.Since(start); d < time.Second || d > time.Minute {
			t.Errorf("everything took %v of virtual time: want some round trips of 100 ms", d)
		}
	})
}

// A caller without a deadline waits a bounded time for a server that accepts its request and never answers.
func TestSilentServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limits := DefaultLimits()
		hosts := simulated(t, 2, 20*time.Millisecond, limits)
		m := newMemory()
		m.on(func(ctx context.Context, _ string) error {
			<-ctx.Done()
			return ctx.Err()
		})
		server := hosts[1]
		server.cfg.Limits.ResponseTimeout = time.Hour // the server never gives up
		if err := server.Serve(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		connect(t, hosts[0], server)
		for _, op := range everyOperation {
			start := time.Now()
			_, err := op.call(t.Context(), hosts[0], server.ID())
			if !errors.Is(err, ErrUnavailable) {
				t.Errorf("%s: got %v, want %v", op.name, err, ErrUnavailable)
			}
			if d := time.Since(start); d > limits.ResponseTimeout+time.Second {
				t.Errorf("%s: took %v", op.name, d)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			start = time.Now()
			_, err = op.call(ctx, hosts[0], server.ID())
			cancel()
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: got %v, want %v", op.name, err, context.DeadlineExceeded)
			}
			if d := time.Since(start); d != time.Second {
				t.Errorf("%s: ended %v after the call, want exactly the context's second", op.name, d)
			}
		}
	})
}

// A reader that pauses between reads is not a slow peer. A stream unused for long is closed on both sides.
func TestIdleStreamsAreClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limits := DefaultLimits()
		hosts := simulated(t, 2, 20*time.Millisecond, limits)
		if err := hosts[1].Serve(t.Context(), newMemory()); err != nil {
			t.Fatal(err)
		}
		connect(t, hosts[0], hosts[1])
		r, err := hosts[0].FetchSliver(t.Context(), hosts[1].ID(), testID, shards.Primary, 0, 0, 200<<10)
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 1<<10)
		for range 200 {
			if _, err := io.ReadFull(r, b); err != nil {
				t.Fatal(err)
			}
			time.Sleep(5 * time.Second)
		}
		r.Close() // the server has given up this stream by now; the next request notices
		if _, err := hosts[0].Confirm(t.Context(), hosts[1].ID(), testID, testPersistence); err != nil {
			t.Errorf("request on a stale stream: %v", err)
		}
		streams := func() (n int) {
			for _, c := range hosts[1].host.Network().ConnsToPeer(hosts[0].ID()) {
				for _, s := range c.GetStreams() {
					if s.Protocol() == protocolID("virtual", sliverProtocol) {
						n++
					}
				}
			}
			return n
		}
		if n := streams(); n != 1 {
			t.Errorf("%d streams after use, want 1 kept", n)
		}
		time.Sleep(limits.IdleTimeout + time.Second)
		if n := streams(); n != 0 {
			t.Errorf("%d streams after the idle time, want none", n)
		}
		if _, err := hosts[0].Confirm(t.Context(), hosts[1].ID(), testID, testPersistence); err != nil {
			t.Errorf("request after the idle time: %v", err)
		}
	})
}

// An uploader may pause until it gives up another node.
func TestPausingUploader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limits := DefaultLimits()
		hosts := simulated(t, 2, 20*time.Millisecond, limits)
		m := newMemory()
		if err := hosts[1].Serve(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		connect(t, hosts[0], hosts[1])
		upload := func(pause time.Duration) error {
			return hosts[0].StorePairs(t.Context(), hosts[1].ID(), testID, testToken, []int{1}, 1<<20, func(w io.Writer) error {
				for part := range 4 {
					if _, err := w.Write(mebibyte[part<<18:][:1<<18]); err != nil {
						return err
					}
					time.Sleep(pause)
				}
				return nil
			})
		}
		if err := upload(2 * limits.ProgressTime); err != nil {
			t.Errorf("pauses as long as two nodes that are given up: %v", err)
		}
		if err := upload(4 * limits.ProgressTime); !errors.Is(err, ErrUnavailable) {
			t.Errorf("longer pauses: got %v, want %v", err, ErrUnavailable)
		}
	})
}

// A node that sends a sliver drop by drop is given up in bounded time. So is a node that takes an upload drop by drop.
func TestDrippingServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limits := DefaultLimits()
		hosts := simulated(t, 2, 20*time.Millisecond, limits)
		hosts[1].host.SetStreamHandler(protocolID("virtual", sliverProtocol), func(st network.Stream) {
			defer st.Reset()
			st.Read(make([]byte, 10))
			head := frame(&wire.Response{Payload: 1 << 20, Result: &wire.Response_Sliver{Sliver: &wire.SliverInfo{Size: 1 << 20}}}, nil)
			for _, err := st.Write(head); err == nil; _, err = st.Write([]byte{1}) {
				time.Sleep(time.Second)
			}
		})
		connect(t, hosts[0], hosts[1])
		start := time.Now()
		r, err := hosts[0].FetchSliver(t.Context(), hosts[1].ID(), testID, shards.Primary, 0, 0, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, r)
		r.Close()
		if d := time.Since(start); !errors.Is(err, ErrUnavailable) || d > limits.ProgressTime+time.Second {
			t.Errorf("fetch: got %d bytes, %v after %v; want %v within %v", n, err, d, ErrUnavailable, limits.ProgressTime)
		}
		hosts[1].host.SetStreamHandler(protocolID("virtual", sliverProtocol), func(st network.Stream) {
			defer st.Reset()
			_, _ = st.Write(frame(&wire.Response{Result: &wire.Response_Accepted{Accepted: new(wire.Accepted)}}, nil))
			for _, err := st.Read(make([]byte, 100)); err == nil; _, err = st.Read(make([]byte, 100)) {
				time.Sleep(time.Second)
			}
		})
		start = time.Now()
		err = hosts[0].StorePairs(t.Context(), hosts[1].ID(), testID, testToken, []int{1}, 1<<40, func(w io.Writer) error {
			for {
				if _, err := w.Write(mebibyte); err != nil {
					return err
				}
			}
		})
		if d := time.Since(start); !errors.Is(err, ErrUnavailable) || d > 2*limits.ProgressTime {
			t.Errorf("store: got %v after %v; want %v", err, d, ErrUnavailable)
		}
		time.Sleep(2 * time.Second) // the handlers notice that their streams are gone
	})
}
