package swarmtest

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/multiformats/go-multiaddr"
)

// twoEnds returns a connection from host 0 to host 1 of a fresh network with 50 ms one way.
func twoEnds(t *testing.T) (n *Network, dialler, accepted net.Conn) {
	t.Helper()
	n = NewNetwork(1)
	n.SetLatency(func(a, b int) time.Duration { return 50 * time.Millisecond })
	addr := multiaddr.StringCast(n.ListenAddr(1))
	l, err := n.listen(1, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	dialler, err = n.dial(t.Context(), 0, addr)
	if err != nil {
		t.Fatal(err)
	}
	accepted, err = l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dialler.Close(); accepted.Close() })
	return n, dialler, accepted
}

func TestLatencyAndOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		_, a, b := twoEnds(t)
		if took := time.Since(start); took != 100*time.Millisecond {
			t.Errorf("dialling took %v, want a round trip of 100ms", took)
		}
		start = time.Now()
		for _, s := range []string{"one ", "two ", "three"} {
			if _, err := a.Write([]byte(s)); err != nil {
				t.Fatal(err)
			}
		}
		a.Close()
		if time.Since(start) != 0 {
			t.Error("writing waited")
		}
		got, err := io.ReadAll(b)
		if err != nil || string(got) != "one two three" {
			t.Errorf("read %q, %v", got, err)
		}
		if took := time.Since(start); took != 50*time.Millisecond {
			t.Errorf("took %v, want 50ms", took)
		}
		if _, err := b.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
			t.Errorf("write to a closed end: %v", err)
		}
		if _, err := a.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("read of a closed end: %v", err)
		}
		if _, err := a.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("write of a closed end: %v", err)
		}
	})
}

func TestBytesSurviveAnyReadsAndWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, a, b := twoEnds(t)
		n.SetRate(0, 100<<20)
		r := rand.New(rand.NewPCG(7, 7))
		sent := make([]byte, 3*window+12345)
		for i := range sent {
			sent[i] = byte(r.Uint32())
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			defer a.Close()
			for rest := sent; len(rest) > 0; {
				k := min(len(rest), 1+rand.N(2*window/3))
				if _, err := a.Write(rest[:k]); err != nil {
					t.Error(err)
					return
				}
				rest = rest[k:]
			}
		})
		var got bytes.Buffer
		for {
			buf := make([]byte, 1+rand.N(100_000))
			k, err := b.Read(buf)
			got.Write(buf[:k])
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		wg.Wait()
		if !bytes.Equal(got.Bytes(), sent) {
			t.Error("bytes differ")
		}
		if n.Bytes(0, 1) != int64(len(sent)) || n.Bytes(1, 0) != 0 || n.Sent(0) != n.Received(1) || n.Total() != n.Sent(0) {
			t.Errorf("counted %d, sent %d", n.Bytes(0, 1), len(sent))
		}
	})
}

func TestRateIsSharedByConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, a, b := twoEnds(t)
		n.SetRate(0, 1<<20)
		start := time.Now()
		var wg sync.WaitGroup
		wg.Go(func() { io.Copy(io.Discard, b) })
		for range 2 {
			if _, err := a.Write(make([]byte, 5<<20)); err != nil {
				t.Fatal(err)
			}
		}
		a.Close()
		wg.Wait()
		if took := time.Since(start); took < 10*time.Second || took > 11*time.Second {
			t.Errorf("10 MiB at 1 MiB/s took %v", took)
		}
	})
}

func TestDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, a, b := twoEnds(t)
		start := time.Now()
		b.SetReadDeadline(start.Add(time.Second))
		if _, err := b.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("read: %v after %v", err, time.Since(start))
		}
		b.SetReadDeadline(time.Time{})
		// The writer fills the window and blocks until its deadline.
		start = time.Now()
		a.SetWriteDeadline(start.Add(time.Second))
		k, err := a.Write(make([]byte, window+1))
		if k != window || !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("wrote %d, %v after %v", k, err, time.Since(start))
		}
		// A deadline set while another goroutine blocks applies to it too.
		a.SetDeadline(time.Time{})
		stuck := make(chan error, 1)
		go func() { _, err := a.Write([]byte("x")); stuck <- err }()
		synctest.Wait()
		a.SetWriteDeadline(time.Now().Add(-time.Second))
		if err := <-stuck; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("stuck write: %v", err)
		}
		// A reader makes room, and the blocked writer continues.
		a.SetDeadline(time.Time{})
		go func() { _, err := a.Write([]byte("x")); stuck <- err }()
		synctest.Wait()
		if _, err := io.ReadFull(b, make([]byte, window+1)); err != nil {
			t.Error(err)
		}
		if err := <-stuck; err != nil {
			t.Errorf("write after room was made: %v", err)
		}
	})
}

func TestCloseWakesBothSides(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, a, b := twoEnds(t)
		read, write := make(chan error, 1), make(chan error, 1)
		go func() { _, err := a.Read(make([]byte, 1)); read <- err }()
		go func() { _, err := a.Write(make([]byte, 2*window)); write <- err }()
		synctest.Wait()
		a.Close()
		if err := <-read; !errors.Is(err, net.ErrClosed) {
			t.Errorf("read: %v", err)
		}
		if err := <-write; !errors.Is(err, net.ErrClosed) {
			t.Errorf("write: %v", err)
		}
		go func() { _, err := b.Write(make([]byte, 2*window)); write <- err }()
		if err := <-write; !errors.Is(err, syscall.EPIPE) {
			t.Errorf("write of the other end: %v", err)
		}
	})
}
