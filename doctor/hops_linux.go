package doctor

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/sys/unix"
)

const (
	// maxHops covers a router at home, one of the provider, and what may be between.
	maxHops = 3
	hopTime = 2 * time.Second
)

// fileLimit returns how many files this process may open.
func fileLimit() uint64 {
	var r unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &r) != nil {
		return 0
	}
	return r.Cur
}

// hops returns the first routers on the way to a member, by packets that may pass only so many of them. That needs no
// privileges: the system hands the routers' complaints to the socket that sent the packet.
func hops(ctx context.Context, members []peer.AddrInfo) []netip.Addr {
	for _, m := range members {
		for _, a := range m.Addrs {
			if _, at, ok := endpoint(a); ok && at.Addr().Is4() {
				return hopsTo(ctx, at.Addr())
			}
		}
	}
	return nil
}

func hopsTo(ctx context.Context, to netip.Addr) []netip.Addr {
	list := make([]netip.Addr, maxHops)
	var asking sync.WaitGroup
	for i := range list {
		asking.Go(func() { list[i] = hop(ctx, to, i+1) })
	}
	asking.Wait()
	for i, a := range list {
		if a == to { // arrived
			return list[:i]
		}
	}
	return list
}

// hop returns the router that drops a packet after so many hops; the zero Addr if none tells.
func hop(ctx context.Context, to netip.Addr, ttl int) netip.Addr {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return netip.Addr{}
	}
	defer unix.Close(fd)
	const traceroute = 33434 // the port at which nobody listens, by convention
	if unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_TTL, ttl) != nil || unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_RECVERR, 1) != nil ||
		unix.Sendto(fd, []byte{0}, 0, &unix.SockaddrInet4{Port: traceroute + ttl, Addr: to.As4()}) != nil {
		return netip.Addr{}
	}
	for begin := time.Now(); time.Since(begin) < hopTime && ctx.Err() == nil; {
		_, _ = unix.Poll([]unix.PollFd{{Fd: int32(fd)}}, 100) // an error in the queue counts as readable
		buf, control := make([]byte, 64), make([]byte, 256)
		_, n, _, _, err := unix.Recvmsg(fd, buf, control, unix.MSG_ERRQUEUE)
		if err != nil {
			continue
		}
		messages, err := unix.ParseSocketControlMessage(control[:n])
		if err != nil {
			continue
		}
		for _, m := range messages {
			// struct sock_extended_err has 16 bytes, then the sockaddr_in of the router follows: family, port, address.
			if m.Header.Level == unix.IPPROTO_IP && m.Header.Type == unix.IP_RECVERR && len(m.Data) >= 24 {
				return netip.AddrFrom4([4]byte(m.Data[20:24]))
			}
		}
	}
	return netip.Addr{}
}
