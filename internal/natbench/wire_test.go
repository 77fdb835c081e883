package natbench

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// oneWay is the delay of a packet between two public addresses.
const oneWay = 20 * time.Millisecond

// tunWire carries packets between TUN interfaces and delays them: many kernels cannot delay by themselves.
type tunWire struct {
	delay time.Duration

	mu    sync.RWMutex
	ports map[netip.Addr]*tunPort // guarded by mu
	work  sync.WaitGroup
}

// tunPort is the end of the wire in one namespace. The delay is the same for all packets, so they leave in order.
type tunPort struct {
	file *os.File
	out  chan packet
}

type packet struct {
	at   time.Time
	data []byte
}

// queue of packets for one address. What does not fit is dropped, as by any router.
const queue = 8192

var packets = sync.Pool{New: func() any { return make([]byte, mtu) }}

const mtu = 1500

func newTunWire(delay time.Duration) (*tunWire, error) {
	f, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	return &tunWire{delay: delay, ports: map[netip.Addr]*tunPort{}}, f.Close()
}

func (w *tunWire) attach(ns, addr string) error {
	file, err := openTun(ns)
	if err != nil {
		return fmt.Errorf("wire to %s: %w", ns, err)
	}
	p := &tunPort{file, make(chan packet, queue)}
	w.mu.Lock()
	w.ports[netip.MustParseAddr(addr)] = p
	w.mu.Unlock()
	w.work.Go(func() { w.receive(p) })
	w.work.Go(p.send)
	return errors.Join(
		run("ip", "-n", ns, "addr", "add", addr+"/8", "dev", "wan"),
		run("ip", "-n", ns, "link", "set", "wan", "mtu", fmt.Sprint(mtu), "txqueuelen", "10000", "up"),
	)
}

// openTun makes an interface in a namespace. The thread that enters the namespace is not used again.
func openTun(ns string) (*os.File, error) {
	type result struct {
		file *os.File
		err  error
	}
	made := make(chan result)
	go func() {
		runtime.LockOSThread()
		file, err := openTunHere(ns)
		made <- result{file, err}
	}()
	r := <-made
	return r.file, r.err
}

func openTunHere(ns string) (*os.File, error) {
	space, err := os.Open("/run/netns/" + ns)
	if err != nil {
		return nil, err
	}
	defer space.Close()
	if err := unix.Setns(int(space.Fd()), unix.CLONE_NEWNET); err != nil {
		return nil, fmt.Errorf("enter: %w", err)
	}
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	var request [40]byte // struct ifreq
	copy(request[:], "wan")
	*(*uint16)(unsafe.Pointer(&request[unix.IFNAMSIZ])) = unix.IFF_TUN | unix.IFF_NO_PI
	if _, _, code := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TUNSETIFF, uintptr(unsafe.Pointer(&request[0]))); code != 0 {
		return nil, errors.Join(fmt.Errorf("make the interface: %w", code), unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), ns), nil
}

// receive takes packets from a namespace and hands them to the one they are for.
func (w *tunWire) receive(p *tunPort) {
	defer close(p.out)
	for {
		buf := packets.Get().([]byte)
		n, err := p.file.Read(buf[:mtu])
		if err != nil {
			return
		}
		if n < 20 || buf[0]>>4 != 4 {
			continue
		}
		w.mu.RLock()
		to := w.ports[netip.AddrFrom4([4]byte(buf[16:20]))]
		w.mu.RUnlock()
		if to != nil {
			to.offer(packet{time.Now().Add(w.delay), buf[:n]})
		}
	}
}

func (p *tunPort) offer(x packet) {
	defer func() { _ = recover() }() // the wire is being closed
	select {
	case p.out <- x:
	default:
	}
}

// send hands packets to the namespace when they are due.
func (p *tunPort) send() {
	due := time.NewTimer(0)
	defer due.Stop()
	for x := range p.out {
		if wait := time.Until(x.at); wait > 0 {
			due.Reset(wait)
			<-due.C
		}
		_, _ = p.file.Write(x.data) // without room, it is dropped
		packets.Put(x.data[:mtu])
	}
}

func (w *tunWire) close() error {
	var err error
	w.mu.Lock()
	for _, p := range w.ports {
		err = errors.Join(err, p.file.Close())
	}
	w.mu.Unlock()
	w.work.Wait()
	return err
}

// bridge is a wire without delay, for those who may not make TUN interfaces.
type bridge struct{ next int }

const bridgeSpace = "bridge"

func newBridge() (*bridge, error) {
	return new(bridge), errors.Join(
		run("ip", "netns", "add", bridgeSpace),
		run("ip", "-n", bridgeSpace, "link", "add", "br0", "type", "bridge"),
		run("ip", "-n", bridgeSpace, "link", "set", "br0", "up"),
	)
}

func (b *bridge) attach(ns, addr string) error {
	b.next++
	plug := fmt.Sprintf("plug%d", b.next)
	return errors.Join(
		run("ip", "link", "add", "name", plug, "netns", bridgeSpace, "type", "veth", "peer", "name", "wan", "netns", ns),
		run("ip", "-n", bridgeSpace, "link", "set", plug, "master", "br0", "up"),
		run("ip", "-n", ns, "addr", "add", addr+"/8", "dev", "wan"),
		run("ip", "-n", ns, "link", "set", "wan", "up"),
	)
}

func (b *bridge) close() error { return nil }
