package p2p

import (
	"sync"
	"time"

	"walrus/p2p/internal/wire"
)

// uploadBody is the payload of an upload, as a Backend reads it.
type uploadBody struct{ x *request }

// Read reads the payload. The first one accepts what was offered.
func (b uploadBody) Read(p []byte) (int, error) {
	if b.x.offered {
		b.x.offered = false
		if err := b.x.accept(); err != nil {
			b.x.body.err = err
			return 0, err
		}
	}
	n, err := b.x.body.Read(p)
	if why := b.x.ending.why(); why != nil && b.x.body.err != nil {
		err = why
	}
	return n, err
}

// End implements Body.
func (b uploadBody) End(err error) { b.x.ending.end(err) }

// accept asks the peer for the payload that it offered.
func (x *request) accept() error {
	head, err := wire.AppendHeader(nil, &wire.Response{Result: &wire.Response_Accepted{Accepted: new(wire.Accepted)}})
	if err == nil {
		_, err = x.w.Write(head)
	}
	return err
}

// ended reports whether the Backend has ended the payload. Then the stream is good for the reply.
func (x *request) ended() bool { return x.ending != nil && x.ending.why() != nil }

// ending lets another goroutine wake the reader of a payload.
type ending struct {
	st duplex // constant

	mu   sync.Mutex
	err  error // guarded by mu, as is the next
	over bool  // the request is answered: the stream has other deadlines now
}

// deadline sets the stream's deadline for reads, unless the payload was ended.
func (e *ending) deadline(t time.Time) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.err != nil {
		t = time.Unix(1, 0)
	}
	return e.st.SetReadDeadline(t)
}

func (e *ending) end(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.over || e.err != nil {
		return
	}
	e.err = err
	_ = e.st.SetReadDeadline(time.Unix(1, 0)) // fails only on a dead stream, whose reads end by themselves
}

// finish makes later calls of end do nothing.
func (e *ending) finish() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.over = true
}

func (e *ending) why() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.err
}
