package light

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/ledger"
)

// ask sends one node a request and reads its answer. Errors that are a falsehood are the node's fault for certain; those
// that wrap ErrUnavailable say that it did not answer.
func (c *Client) ask(ctx context.Context, to peer.ID, name string, m, answer message) error {
	frame, err := encodeRequest(c.id, m)
	if err != nil {
		return err
	}
	e := endpoints[name]
	start := time.Now()
	limited, cancel := context.WithTimeout(ctx, connectTime+e.wait+answerTime)
	defer cancel()
	err = c.attempt(limited, to, name, e, frame, answer)
	if errors.Is(err, errCut) && limited.Err() == nil { // the connection had ended, and nobody knew
		err = c.attempt(limited, to, name, e, frame, answer)
	}
	switch trip := time.Since(start); {
	case e.wait > readWait: // how long it takes says nothing about the node
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
	// errCut is wrapped when a stream broke before its answer.
	errCut = fmt.Errorf("%w: the stream broke", ErrUnavailable)
	// errSlow is wrapped when a node took too long over its answer.
	errSlow = fmt.Errorf("%w: it took too long", ErrUnavailable)
)

func (c *Client) attempt(ctx context.Context, to peer.ID, name string, e *endpoint, frame []byte, answer message) error {
	st, err := c.open(ctx, to, name)
	if err != nil {
		return err
	}
	defer func() { _ = st.Reset() }() // by then there is nothing more to say
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

// open opens a stream, finding and dialing the node if need be.
func (c *Client) open(ctx context.Context, to peer.ID, name string) (network.Stream, error) {
	dial, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	var err error
	if c.cfg.Connect != nil && c.cfg.Host.Network().Connectedness(to) != network.Connected {
		err = c.cfg.Connect(dial, to)
	}
	var st network.Stream
	if err == nil {
		st, err = c.cfg.Host.NewStream(dial, to, protocolID(c.cfg.Genesis.Network, name))
	}
	if err == nil {
		return st, nil
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return nil, fmt.Errorf("%w: connect: %s", ErrUnavailable, oneLine(err))
}

// refused tells a node's refusal from a stream that broke.
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

// oneLine is the text of an error of libp2p, which lists failed dials on many lines.
func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

// asking is what to do with one node.
type asking[T any] func(ctx context.Context, id peer.ID) (T, error)

// result is what came of it.
type result[T any] struct {
	value T
	err   error
}

// enough ends the asking with an error that no other node would answer better.
type enough struct{ error }

func (e enough) Unwrap() error { return e.error }

// hedge bounds how long a node may take until another is asked as well.
const (
	minHedge     = 100 * time.Millisecond
	maxHedge     = 500 * time.Millisecond
	unknownHedge = 250 * time.Millisecond
)

// first asks nodes until one gives an answer that convinces; the next one as soon as one fails or is slow. It returns
// when all asking has ended. If what it has comes from a ledger that stands still, it is returned with a *Stall; but when
// no node says why it would, they may only just have been started, and the next block is waited for. Nodes that are
// busy are asked again for busyTime. If this machine's clock is why nothing is as it should be, the error is a *ClockError.
func first[T any](ctx context.Context, c *Client, ask asking[T]) (T, error) {
	return firstOf(ctx, c, c.cfg.Hasty, ask)
}

// firstOf is first; who is hasty does not wait for the next block.
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
		again := errors.Is(err, ErrBusy) && time.Since(start) < busyTime && pause(ctx, busyPause)
		if !again && (hasty || !c.stall.wait(ctx, err, firstBlock)) {
			return v, err
		}
	}
}

// busyPause is how long nodes are left alone that were all busy.
const busyPause = 250 * time.Millisecond

// pause waits for d; false if ctx ended before.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// race is first among nodes in this order. reasons are why others are not asked.
func race[T any](ctx context.Context, c *Client, order []peer.ID, reasons []error, hedge time.Duration, ask asking[T]) (T, error) {
	var none T
	var asked sync.WaitGroup
	defer asked.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make(chan result[T], len(order))
	var stalled *result[T]
	next := time.NewTimer(0) // to ask one more, or, with all asked, to make do with what stands still
	defer next.Stop()
	for waiting := 0; waiting > 0 || len(order) > 0; {
		select {
		case <-ctx.Done():
			return none, reason(append(reasons, context.Cause(ctx)))
		case <-next.C:
			if len(order) == 0 {
				if stalled != nil { // whoever is slower has nothing newer, or will be heard later
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

// reason makes one error of why all nodes failed.
func reason(reasons []error) error {
	switch len(reasons) {
	case 0:
		return fmt.Errorf("%w: none is known", ErrUnavailable)
	case 1:
		return reasons[0]
	}
	return failures(reasons)
}

// newer is the result with the later block.
func newer[T any](a *result[T], b result[T]) *result[T] {
	var x, y *Stall
	if a != nil && errors.As(a.err, &x) && errors.As(b.err, &y) && x.Height >= y.Height {
		return a
	}
	return &b
}

// judge asks one node and enters in the book what that says about it. The error names the node.
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
		c.cfg.Logger.Warn("a node of the ledger lied", "peer", id, "name", l.Name, "what", l.What)
		return result[T]{v, l}
	case ctx.Err() != nil || errors.As(err, &last):
		return result[T]{v, err}
	case errors.Is(err, ErrStalled):
		return result[T]{v, err}
	case errors.Is(err, ErrClock): // two thirds have signed the block: others have no other
		return result[T]{v, enough{err}}
	}
	return result[T]{v, fmt.Errorf("%s: %w", nodeName(id, c.names[id]), err)}
}
