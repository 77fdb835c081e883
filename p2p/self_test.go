package p2p

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// servingSelf opens a host that serves b and is asked by nobody but itself.
func servingSelf(t *testing.T, b Backend, change func(*Config)) *Host {
	t.Helper()
	h := newHost(t, change)
	if err := h.Serve(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	if err := h.Connect(t.Context(), peer.AddrInfo{ID: h.ID()}); err != nil {
		t.Fatal(err)
	}
	return h
}

// streamsToSelf returns how many streams the resource manager counts for the host's own peer ID.
func streamsToSelf(t *testing.T, h *Host) (n int) {
	t.Helper()
	err := h.host.Network().ResourceManager().ViewPeer(h.ID(), func(s network.PeerScope) error {
		st := s.Stat()
		n = st.NumStreamsInbound + st.NumStreamsOutbound
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestSelf: a host answers itself as it answers others, without a connection.
func TestSelf(t *testing.T) {
	m := newMemory()
	h := servingSelf(t, m, nil)
	checkEveryOperation(t, h, h.ID(), m)
	if received, sent := h.Traffic(); received+sent != 0 {
		t.Errorf("counted %d bytes received and %d sent that never left the process", received, sent)
	}
	if n := len(h.host.Network().Conns()); n != 0 {
		t.Errorf("%d connections", n)
	}
	for _, sentinel := range codes[1:] {
		m.on(func(context.Context, string) error { return fmt.Errorf("shelf 4: %w", sentinel) })
		for _, op := range everyOperation {
			if _, err := op.call(t.Context(), h, h.ID()); !errors.Is(err, sentinel) {
				t.Fatalf("%s: got %v, want %v", op.name, err, sentinel)
			}
		}
	}
	if n := streamsToSelf(t, h); n == 0 {
		t.Error("idle streams are not counted")
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Confirm(t.Context(), h.ID(), testID, testPersistence); !errors.Is(err, ErrUnavailable) {
		t.Errorf("asked after Close: %v", err)
	}
}

// TestSelfBeforeServe: what is not served yet is not available, and no stream stays behind.
func TestSelfBeforeServe(t *testing.T) {
	h := newHost(t, nil)
	if _, err := h.NodeStatus(t.Context(), h.ID()); !errors.Is(err, ErrUnavailable) {
		t.Errorf("got %v, want %v", err, ErrUnavailable)
	}
	h.host.(*selfHost).handlers.Wait()
	if n := streamsToSelf(t, h); n != 0 {
		t.Errorf("%d streams stay behind", n)
	}
}

// TestSelfHasLimits: a host gives itself no more than any other peer: streams, and requests at once.
func TestSelfHasLimits(t *testing.T) {
	h := servingSelf(t, newMemory(), func(c *Config) { c.Limits.StreamsPerPeer = 10 })
	h.SetProtected("committee", []peer.ID{h.ID()})
	if h.door.origin(h.ID()).class == member {
		t.Error("the host has the limits of a member for itself")
	}
	var held []network.Stream
	for range 10 {
		st, err := h.host.NewStream(t.Context(), h.ID(), protocolID("test", sliverProtocol))
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, st)
	}
	if _, err := h.Confirm(t.Context(), h.ID(), testID, testPersistence); !errors.Is(err, ErrBusy) {
		t.Errorf("one stream too many: got %v, want %v", err, ErrBusy)
	}
	for _, st := range held {
		_ = st.Reset()
	}

	m := newMemory()
	h = servingSelf(t, m, func(c *Config) { c.Limits.RequestsPerPeer = 1 })
	inside, leave := make(chan bool), make(chan bool)
	m.on(func(context.Context, string) error { inside <- true; <-leave; return nil })
	done := make(chan error)
	go func() {
		_, err := h.Confirm(t.Context(), h.ID(), testID, testPersistence)
		done <- err
	}()
	<-inside
	if _, err := h.PutMetadata(t.Context(), h.ID(), testID, testToken, mebibyte[:200_000]); !errors.Is(err, ErrBusy) {
		t.Errorf("one request too many: got %v, want %v", err, ErrBusy)
	}
	close(leave)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestSelfUploadRefused: a refusal ends an upload to the own host early.
func TestSelfUploadRefused(t *testing.T) {
	m := newMemory()
	m.on(func(context.Context, string) error { return ErrNotRegistered })
	h := servingSelf(t, m, nil)
	written := 0
	err := h.StorePairs(t.Context(), h.ID(), testID, testToken, []int{1}, 1<<40, func(w io.Writer) error {
		for {
			n, err := w.Write(mebibyte)
			written += n
			if err != nil {
				return err
			}
		}
	})
	if !errors.Is(err, ErrNotRegistered) || written > 8<<20 {
		t.Errorf("got %v after %d bytes", err, written)
	}
}

// TestSelfEnds: requests to the own host end with their context, and with the host.
func TestSelfEnds(t *testing.T) {
	m := newMemory()
	h := servingSelf(t, m, nil)
	inside := make(chan bool, 2)
	m.on(func(ctx context.Context, _ string) error { inside <- true; <-ctx.Done(); return ctx.Err() })
	for _, end := range []func(cancel func()){func(cancel func()) { cancel() }, func(func()) { _ = h.Close() }} {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() {
			_, err := h.Confirm(ctx, h.ID(), testID, testPersistence)
			done <- err
		}()
		<-inside
		end(cancel)
		if err := <-done; !errors.Is(err, context.Canceled) && !errors.Is(err, ErrUnavailable) {
			t.Errorf("got %v", err)
		}
		cancel()
	}
}

// TestFlow compares a stream in memory with what libp2p promises of streams.
func TestFlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFlow()
		got := make(chan []byte)
		go func() {
			b, err := io.ReadAll(f)
			if err != nil {
				t.Error(err)
			}
			got <- b
		}()
		if n, err := f.Write(mebibyte); n != len(mebibyte) || err != nil {
			t.Errorf("wrote %d, %v", n, err)
		}
		f.closeWrite()
		if !bytes.Equal(<-got, mebibyte) {
			t.Error("read something else than was written")
		}
		if _, err := f.Write([]byte{1}); !errors.Is(err, errStreamClosed) {
			t.Errorf("written after the end: %v", err)
		}

		f = newFlow()
		start := time.Now()
		f.reading.set(start.Add(3 * time.Second))
		if _, err := f.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != 3*time.Second {
			t.Errorf("read: %v after %v", err, time.Since(start))
		}
		f.writing.set(start.Add(5 * time.Second))
		n, err := f.Write(mebibyte)
		if n != flowWindow || !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != 5*time.Second {
			t.Errorf("wrote %d, %v after %v", n, err, time.Since(start))
		}
		f.reading.set(time.Time{})
		if n, err := f.Read(make([]byte, 10)); n != 10 || err != nil {
			t.Errorf("read %d, %v after the deadline was lifted", n, err)
		}
		f = newFlow()
		go f.cut(io.ErrNoProgress, io.ErrShortWrite)
		if _, err := f.Read(make([]byte, 1)); !errors.Is(err, io.ErrNoProgress) {
			t.Errorf("read of a flow that was cut: %v", err)
		}
		if _, err := f.Write(make([]byte, 1)); !errors.Is(err, io.ErrShortWrite) {
			t.Errorf("write to a flow that was cut: %v", err)
		}
	})
}
