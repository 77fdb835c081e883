package swarmtest

import (
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// window bounds the bytes in flight or unread in one direction of a connection, like a large TCP window.
const window = 4 << 20

type counter = atomic.Int64

// link is one direction of a host's access line, shared by all its connections.
type link struct {
	mu   sync.Mutex
	rate int64     // bytes per second, 0 = unlimited; guarded by mu
	free time.Time // when the line has sent everything it took; guarded by mu
}

func (l *link) setRate(rate int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rate = rate
}

// take puts n bytes on the line now, and returns when the last of them is through.
func (l *link) take(now time.Time, n int) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.rate == 0 {
		return now
	}
	if l.free.Before(now) {
		l.free = now
	}
	l.free = l.free.Add(time.Duration(float64(n) / float64(l.rate) * float64(time.Second)))
	return l.free
}

// segment is bytes in flight.
type segment struct {
	at   time.Time // of arrival
	data []byte
}

// pipe is one direction of a connection. Waiting uses sync.Cond, which virtual time supports; timers only wake.
type pipe struct {
	latency  time.Duration // constant
	up, down *link         // of the sender, of the receiver; constant
	taken    *counter      // constant

	mu       sync.Mutex
	readable sync.Cond // the reader should look again
	writable sync.Cond // the writer should look again
	segments []segment // guarded by mu, as all below
	unread   int       // bytes in segments
	arrival  time.Time // arrival of the newest segment; later ones do not overtake it
	held     bool      // cut: nothing arrives, not even the other end's close
	ended    bool      // the writer has closed
	endAt    time.Time // when the reader may see the end
	gone     bool      // the reader has closed
	broken   error     // reset: both ends get this

	readDeadline, writeDeadline deadline
	next                        *time.Timer // wakes the reader at the next arrival
}

func newPipe(latency time.Duration, up, down *link, taken *counter, held bool) *pipe {
	p := &pipe{latency: latency, up: up, down: down, taken: taken, held: held}
	p.readable.L, p.writable.L = &p.mu, &p.mu
	return p
}

// wake returns a timer's function. It takes the lock, so that a waiter that has looked is already waiting.
func (p *pipe) wake(c *sync.Cond) func() {
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		c.Broadcast()
	}
}

// write takes b as far as the window allows.
func (p *pipe) write(b []byte) (written int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(b) > 0 {
		room := window - p.unread
		switch {
		case p.broken != nil:
			return written, p.broken
		case p.ended:
			return written, net.ErrClosed
		case p.gone && !p.held:
			return written, syscall.EPIPE
		case p.writeDeadline.passed():
			return written, os.ErrDeadlineExceeded
		case room <= 0:
			p.writable.Wait()
			continue
		}
		n := min(len(b), room)
		p.send(b[:n])
		b = b[n:]
		written += n
	}
	return written, nil
}

// send puts b on the way. The caller holds mu.
func (p *pipe) send(b []byte) {
	at := p.up.take(time.Now(), len(b))
	at = p.down.take(at.Add(p.latency), len(b))
	if at.Before(p.arrival) {
		at = p.arrival
	}
	p.arrival = at
	p.segments = append(p.segments, segment{at: at, data: append([]byte(nil), b...)})
	p.unread += len(b)
	p.taken.Add(int64(len(b)))
	if len(p.segments) == 1 {
		p.readable.Broadcast()
	}
}

// read returns what has arrived, at least one byte.
func (p *pipe) read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		switch {
		case p.broken != nil:
			return 0, p.broken
		case p.gone:
			return 0, net.ErrClosed
		case p.readDeadline.passed():
			return 0, os.ErrDeadlineExceeded
		}
		now := time.Now()
		if n := p.receive(b, now); n > 0 {
			return n, nil
		}
		if !p.held {
			switch {
			case len(p.segments) > 0:
				p.wakeReaderAfter(p.segments[0].at.Sub(now))
			case p.ended && !p.endAt.After(now):
				return 0, io.EOF
			case p.ended:
				p.wakeReaderAfter(p.endAt.Sub(now))
			}
		}
		p.readable.Wait()
	}
}

// receive copies the bytes that have arrived by now. The caller holds mu.
func (p *pipe) receive(b []byte, now time.Time) (n int) {
	if p.held {
		return 0
	}
	done := 0
	for done < len(p.segments) && n < len(b) && !p.segments[done].at.After(now) {
		s := &p.segments[done]
		k := copy(b[n:], s.data)
		n += k
		if s.data = s.data[k:]; len(s.data) > 0 {
			break
		}
		s.data = nil
		done++
	}
	p.segments = p.segments[done:]
	if n > 0 {
		if p.unread >= window {
			p.writable.Broadcast()
		}
		p.unread -= n
	}
	return n
}

// wakeReaderAfter sets the reader's timer. The caller holds mu.
func (p *pipe) wakeReaderAfter(d time.Duration) {
	if p.next == nil {
		p.next = time.AfterFunc(d, p.wake(&p.readable))
		return
	}
	p.next.Reset(d)
}

// hold stops arrivals or lets them continue.
func (p *pipe) hold(held bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.held == held {
		return
	}
	p.held = held
	p.readable.Broadcast()
	p.writable.Broadcast()
}

// end is the writer's close: the reader gets the bytes in flight, then io.EOF.
func (p *pipe) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return
	}
	p.ended = true
	p.endAt = time.Now().Add(p.latency)
	p.readable.Broadcast()
	p.writable.Broadcast()
}

// leave is the reader's close: bytes in flight are dropped, and the writer's next write fails.
func (p *pipe) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gone = true
	p.segments, p.unread = nil, 0
	p.stop()
}

// reset breaks both ends.
func (p *pipe) reset(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.broken == nil {
		p.broken = err
	}
	p.segments, p.unread = nil, 0
	p.stop()
}

// stop wakes all waiters and stops the timers. The caller holds mu.
func (p *pipe) stop() {
	for _, t := range []*time.Timer{p.next, p.readDeadline.timer, p.writeDeadline.timer} {
		if t != nil {
			t.Stop()
		}
	}
	p.readable.Broadcast()
	p.writable.Broadcast()
}

func (p *pipe) setReadDeadline(t time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.readDeadline.set(t, &p.readable, p.wake(&p.readable))
}

func (p *pipe) setWriteDeadline(t time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.writeDeadline.set(t, &p.writable, p.wake(&p.writable))
}

// deadline of one direction, guarded by the pipe's mu.
type deadline struct {
	at    time.Time // zero = none
	timer *time.Timer
}

func (d *deadline) passed() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }

// set wakes the waiters, now if t has passed, else at t. Timers are reused: muxers set deadlines for every frame.
func (d *deadline) set(t time.Time, waiting *sync.Cond, wake func()) {
	d.at = t
	switch {
	case t.IsZero():
		if d.timer != nil {
			d.timer.Stop()
		}
	case d.passed():
		waiting.Broadcast()
	case d.timer == nil:
		d.timer = time.AfterFunc(time.Until(t), wake)
	default:
		d.timer.Reset(time.Until(t))
	}
}
