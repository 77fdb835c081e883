package p2p

import (
	"bytes"
	"errors"
	"io"
	"os"
	"sync"
	"time"
)

// flowWindow bounds the bytes written to a flow and not yet read: as much as a stream of libp2p takes at first.
const flowWindow = 256 << 10

// flow carries bytes in one direction, from a writer to a reader in the same process. Both may use it at once. In each
// error, the side that caused it comes first.
type flow struct {
	reading, writing deadline // of the two sides

	mu                sync.Mutex
	changed           *sync.Cond
	unread            bytes.Buffer // guarded by mu, as all others
	ended, dropped    bool         // the writer has closed its side; the reader has
	readErr, writeErr error        // set when the flow was cut
}

var errStreamClosed = errors.New("stream is closed")

func newFlow() *flow {
	p := &flow{}
	p.changed = sync.NewCond(&p.mu)
	p.reading.flow, p.writing.flow = p, p
	return p
}

// Read returns what was written, io.EOF after the end, or the error of a cut. It waits until its deadline.
func (p *flow) Read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		switch {
		case p.readErr != nil:
			return 0, p.readErr
		case p.dropped:
			return 0, errStreamClosed
		case p.reading.passed():
			return 0, os.ErrDeadlineExceeded
		case len(b) == 0:
			return 0, nil
		case p.unread.Len() > 0:
			p.changed.Broadcast()
			return p.unread.Read(b)
		case p.ended:
			return 0, io.EOF
		}
		p.changed.Wait()
	}
}

// Write waits for room until its deadline. A reader that has closed its side makes no more room.
func (p *flow) Write(b []byte) (n int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for n < len(b) {
		room := min(flowWindow-p.unread.Len(), len(b)-n)
		switch {
		case p.writeErr != nil:
			return n, p.writeErr
		case p.ended:
			return n, errStreamClosed
		case p.writing.passed():
			return n, os.ErrDeadlineExceeded
		case room == 0:
			p.changed.Wait()
			continue
		}
		p.unread.Write(b[n : n+room])
		n += room
		p.changed.Broadcast()
	}
	return n, nil
}

func (p *flow) closeWrite() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	p.changed.Broadcast()
}

func (p *flow) closeRead() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dropped = true
	p.changed.Broadcast()
}

// cut ends the flow at once with an error for each side. The first cut counts.
func (p *flow) cut(read, write error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.readErr == nil {
		p.readErr, p.writeErr, p.unread = read, write, bytes.Buffer{}
	}
	p.changed.Broadcast()
}

// deadline wakes one side of a flow when it has passed. All fields but flow are guarded by the flow's mu.
type deadline struct {
	flow  *flow // constant
	at    time.Time
	timer *time.Timer
}

func (d *deadline) set(t time.Time) {
	d.flow.mu.Lock()
	defer d.flow.mu.Unlock()
	d.at = t
	switch {
	case t.IsZero():
		if d.timer != nil {
			d.timer.Stop()
		}
	case d.timer != nil:
		d.timer.Reset(time.Until(t))
	default:
		d.timer = time.AfterFunc(time.Until(t), func() {
			d.flow.mu.Lock()
			defer d.flow.mu.Unlock()
			d.flow.changed.Broadcast()
		})
	}
	d.flow.changed.Broadcast()
}

// passed reports whether the deadline is over. The caller holds the flow's mu.
func (d *deadline) passed() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }
