package light

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/certs"
	"walrus/internal/pause"
	"walrus/ledger"
)

// caller sends requests to nodes and records how quickly they answer. It is constant.
type caller struct {
	host    host.Host
	connect func(ctx context.Context, id peer.ID) error // nil: the host knows the addresses
	network string
	id      certs.NetworkID
	book    *book
}

// ask sends one node a request and reads its answer. An error that is a falsehood is certainly the node's fault; one
// that wraps ErrUnavailable means that it did not answer.
func (c *caller) ask(ctx context.Context, to peer.ID, name string, m, answer message) error {
	frame, err := encodeRequest(c.id, m)
	if err != nil {
		return err
	}
	e := endpoints[name]
	start := time.Now()
	limited, cancel := context.WithTimeout(ctx, connectTime+e.wait+answerTime)
	defer cancel()
	err = c.attempt(limited, to, name, e, frame, answer)
	if errors.Is(err, errCut) && limited.Err() == nil { // the connection had ended unnoticed: try once more
		if err = c.attempt(limited, to, name, e, frame, answer); err != nil {
			err = cutBefore{err}
		}
	}
	switch trip := time.Since(start); {
	case e.wait > readWait: // the node may have to wait, so its time says nothing
	case err == nil:
		c.book.answered(to, trip)
	case ctx.Err() != nil:
		c.book.slow(to, trip)
	case errors.Is(err, ErrUnavailable):
		c.book.failed(to, time.Now())
	}
	return err
}

var (
	// errCut reports a stream that broke before its answer.
	errCut = fmt.Errorf("%w: the stream broke", ErrUnavailable)
	// errSlow reports a node that took too long over its answer.
	errSlow = fmt.Errorf("%w in time", ErrUnavailable)
)

// cutBefore is the error of a second attempt. The request may have arrived by the first, whose stream broke: maybe the
// node was killed when it had passed the request on.
type cutBefore struct{ error }

func (c cutBefore) Unwrap() error { return c.error }

func (c *caller) attempt(ctx context.Context, to peer.ID, name string, e *endpoint, frame []byte,
	answer message) error {
	st, err := c.open(ctx, to, name)
	if err != nil {
		return err
	}
	defer func() { _ = st.Reset() }() // nothing more is sent after this function
	stop := context.AfterFunc(ctx, func() { _ = st.Reset() })
	defer stop()
	if err := st.SetDeadline(time.Now().Add(e.wait + answerTime)); err != nil {
		return fmt.Errorf("%w: %w", errCut, err)
	}
	if _, err = st.Write(frame); err == nil {
		err = readAnswerFrame(st, e.limit, answer)
	}
	switch timeout := interface{ Timeout() bool }(nil); {
	case err == nil:
		return nil
	case ctx.Err() != nil && !errors.Is(context.Cause(ctx), context.DeadlineExceeded):
		return context.Cause(ctx)
	case errors.Is(err, errForm):
		return falsehood{err}
	case refused(err):
		return err
	case errors.As(err, &timeout) && timeout.Timeout() || ctx.Err() != nil:
		return errSlow
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w before the end of the answer", errCut)
	}
	return fmt.Errorf("%w: %s", errCut, oneLine(err))
}

// open opens a stream, and first finds and dials the node if necessary.
func (c *caller) open(ctx context.Context, to peer.ID, name string) (network.Stream, error) {
	dial, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	var err error
	if c.connect != nil && c.host.Network().Connectedness(to) != network.Connected {
		err = c.connect(dial, to)
	}
	var st network.Stream
	if err == nil {
		st, err = c.host.NewStream(dial, to, protocolID(c.network, name))
	}
	if err == nil {
		return st, nil
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return nil, fmt.Errorf("%w: connect: %s", ErrUnavailable, oneLine(err))
}

// refused tells a node's refusal from a broken stream.
func refused(err error) bool {
	var op *ledger.OpError
	if errors.As(err, &op) {
		return true
	}
	for _, sentinel := range codes[codeInternal:] {
		if errors.Is(err, sentinel) {
			return true
		}
	}
	return false
}

// oneLine returns an error's text on one line: libp2p lists failed dials on many.
func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

// asking sends a request to one node.
type asking[T any] func(ctx context.Context, id peer.ID) (T, error)

// result is the outcome of an asking.
type result[T any] struct {
	value T
	err   error
}

// enough ends the asking with an error that other nodes would give as well.
type enough struct{ error }

func (e enough) Unwrap() error { return e.error }

// Hedges: after this long without an answer, another node is asked as well.
const (
	minHedge     = 100 * time.Millisecond
	maxHedge     = 500 * time.Millisecond
	unknownHedge = 250 * time.Millisecond
)

// first asks one node after another until one gives a convincing answer. It asks the next as soon as one fails or is
// slow, and returns after all requests have ended.
//
//   - A stalled ledger's answer comes with a *Stall. If no node gives a reason for the stall, the nodes may just have
//     been started, and first waits for the next block.
//   - Busy nodes are asked again for busyTime.
//   - If this machine's clock causes a failure, the error is a *ClockError.
func first[T any](ctx context.Context, c *Client, ask asking[T]) (T, error) {
	return firstOf(ctx, c, c.cfg.Hasty, ask)
}

// firstOf does first's work. If hasty, it does not wait for the next block.
func firstOf[T any](ctx context.Context, c *Client, hasty bool, ask asking[T]) (T, error) {
	start := time.Now()
	for {
		order, lies := c.book.order(c.nodes(ctx), time.Now())
		hedge := unknownHedge
		if len(order) > 0 {
			if usual := c.book.usual(order[0]); usual > 0 {
				hedge = max(minHedge, min(3*usual, maxHedge))
			}
		}
		v, err := race(ctx, c, order, lies, hedge, ask)
		if c.cfg.Hasty {
			return v, err
		}
		if fault := c.clockFault(ctx, err, hasty); fault != nil {
			return v, fault
		}
		again := errors.Is(err, ErrBusy) && time.Since(start) < busyTime && pause.For(ctx, busyPause)
		if !again && (hasty || !c.stall.wait(ctx, err, firstBlock)) {
			return v, err
		}
	}
}

// busyPause is the pause before nodes are asked again after all were busy.
const busyPause = 250 * time.Millisecond

// race makes one attempt of first: it asks nodes in the given order. reasons explain why others are left out.
func race[T any](ctx context.Context, c *Client, order []peer.ID, reasons []error, hedge time.Duration, ask asking[T]) (T, error) {
	var none T
	var asked sync.WaitGroup
	defer asked.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make(chan result[T], len(order))
	var stalled *result[T]
	next := time.NewTimer(0) // fires to ask one more node, or, after all were asked, to accept a stalled answer
	defer next.Stop()
	for waiting := 0; waiting > 0 || len(order) > 0; {
		select {
		case <-ctx.Done():
			return none, reason(append(reasons, context.Cause(ctx)))
		case <-next.C:
			if len(order) == 0 {
				if stalled != nil { // slower nodes have nothing newer, or will be heard later
					c.stall.remember(stalled.err)
					return stalled.value, stalled.err
				}
				continue
			}
			id := order[0]
			order = order[1:]
			waiting++
			asked.Go(func() { results <- judge(ctx, c, id, ask) })
			next.Reset(hedge)
		case r := <-results:
			waiting--
			var last enough
			var stall *Stall
			switch {
			case r.err == nil:
				return r.value, nil
			case errors.As(r.err, &last):
				return r.value, last.error
			case errors.As(r.err, &stall):
				if c.stall.known(stall) {
					return r.value, r.err
				}
				stalled = newer(stalled, r)
			default:
				reasons = append(reasons, r.err)
			}
			if len(order) > 0 {
				next.Reset(0)
			} else if stalled != nil {
				next.Reset(hedge)
			}
		}
	}
	if stalled != nil {
		c.stall.remember(stalled.err)
		return stalled.value, stalled.err
	}
	return none, reason(reasons)
}

// reason joins the reasons for which all nodes failed.
func reason(reasons []error) error {
	switch len(reasons) {
	case 0:
		return fmt.Errorf("%w: no node is known", ErrUnavailable)
	case 1:
		return reasons[0]
	}
	if err := sameBlock(reasons); err != nil {
		return err
	}
	return failures(reasons)
}

// newer returns the result with the later block.
func newer[T any](a *result[T], b result[T]) *result[T] {
	var x, y *Stall
	if a != nil && errors.As(a.err, &x) && errors.As(b.err, &y) && x.Height >= y.Height {
		return a
	}
	return &b
}

// judge asks one node and records a lie in the book. The error names the node.
func judge[T any](ctx context.Context, c *Client, id peer.ID, ask asking[T]) result[T] {
	v, err := ask(ctx, id)
	var lie falsehood
	var last enough
	switch {
	case err == nil:
		return result[T]{v, nil}
	case errors.As(err, &lie):
		l := &Lie{Node: id, Name: c.names[id], What: lie.error}
		c.book.lied(l, time.Now())
		c.cfg.Logger.Warn("node gave a false answer about the ledger", "peer", id, "name", l.Name, "what", l.What)
		return result[T]{v, l}
	case ctx.Err() != nil || errors.As(err, &last):
		return result[T]{v, err}
	case errors.Is(err, ErrStalled):
		return result[T]{v, err}
	case errors.Is(err, ErrClock) || errors.Is(err, ErrExpired): // other nodes have the same blocks
		return result[T]{v, enough{err}}
	}
	return result[T]{v, fmt.Errorf("%s: %w", nodeName(id, c.names[id]), err)}
}
