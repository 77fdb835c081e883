package swarmtest

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/multiformats/go-multiaddr"
)

func TestCutDelaysAndHealDelivers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, a, b := twoEnds(t)
		n.Cut(1, 0)
		if _, err := a.Write([]byte("late")); err != nil {
			t.Fatal(err)
		}
		b.SetReadDeadline(time.Now().Add(time.Hour))
		if _, err := b.Read(make([]byte, 9)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read through a cut: %v", err)
		}
		b.SetReadDeadline(time.Time{})
		addr := multiaddr.StringCast(n.ListenAddr(1))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := n.dial(ctx, 0, addr); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("dial through a cut: %v", err)
		}
		dialled := make(chan error, 1)
		go func() {
			c, err := n.dial(t.Context(), 0, addr)
			if err == nil {
				defer c.Close()
			}
			dialled <- err
		}()
		time.Sleep(time.Minute)
		n.Isolate(0)
		n.Join(0, 1)
		synctest.Wait()
		if len(dialled) != 0 {
			t.Error("an isolated host got through")
		}
		n.Heal()
		if err := <-dialled; err != nil {
			t.Errorf("dial after healing: %v", err)
		}
		got := make([]byte, 4)
		if _, err := io.ReadFull(b, got); err != nil || string(got) != "late" {
			t.Errorf("after healing: %q, %v", got, err)
		}
	})
}

func TestKillResetsAndRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, a, b := twoEnds(t)
		stuck := make(chan error, 1)
		go func() { _, err := a.Read(make([]byte, 1)); stuck <- err }()
		synctest.Wait()
		n.Kill(1)
		if err := <-stuck; !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("read of the peer: %v", err)
		}
		if _, err := b.Write([]byte("x")); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("write of the dead: %v", err)
		}
		addr := multiaddr.StringCast(n.ListenAddr(1))
		if _, err := n.dial(t.Context(), 0, addr); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("dial to the dead: %v", err)
		}
		if _, err := n.dial(t.Context(), 1, multiaddr.StringCast(n.ListenAddr(0))); !errors.Is(err, syscall.ENETDOWN) {
			t.Errorf("dial from the dead: %v", err)
		}
		if _, err := n.listen(1, addr); !errors.Is(err, syscall.ENETDOWN) {
			t.Errorf("the dead listens: %v", err)
		}
		n.Revive(1)
		l, err := n.listen(1, addr)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		c, err := n.dial(t.Context(), 0, addr)
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
	})
}

func TestListenRejects(t *testing.T) {
	n := NewNetwork(1)
	for _, a := range []string{"/ip4/127.0.0.1/tcp/1", "/ip6/::1/tcp/1", n.ListenAddr(2), "/ip4/10.0.0.2/udp/1"} {
		if _, err := n.listen(1, multiaddr.StringCast(a)); err == nil {
			t.Errorf("listens at %s", a)
		}
	}
	l, err := n.listen(1, multiaddr.StringCast(n.ListenAddr(1)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.listen(1, l.addr); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("listens twice: %v", err)
	}
	l.Close()
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("accept after close: %v", err)
	}
	if _, err := n.dial(t.Context(), 0, l.addr); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("dial to a closed listener: %v", err)
	}
	for _, i := range []int{0, 1, 255, 256, 65536} {
		if got, err := hostOf(multiaddr.StringCast(n.ListenAddr(i))); err != nil || got != i {
			t.Errorf("address %s is of host %d, %v", n.ListenAddr(i), got, err)
		}
	}
}
