package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"golang.org/x/sync/errgroup"

	"walrus/internal/pause"
	"walrus/p2p"
	"walrus/shards"
)

// serveNode sends node i its pairs over the taps and gets its confirmation.
func (u *upload) serveNode(ctx context.Context, i int, taps []*tap) error {
	g, gctx := errgroup.WithContext(ctx)
	for _, t := range taps {
		g.Go(func() error { return u.sendPairs(gctx, i, t) })
	}
	if err := g.Wait(); err != nil {
		return why(ctx, err)
	}
	return u.confirm(ctx, i)
}

// sendPairs streams one tap's pairs. A busy node is asked again, before it gets a byte, or with all bytes if they are
// few. sendPairs drains the tap in every case, so that the encoder continues for the others.
func (u *upload) sendPairs(ctx context.Context, i int, t *tap) error {
	defer func() {
		t.ended.Store(true)
		for s := range t.strips {
			s.done()
		}
	}()
	size := int64(len(t.pairs)) * (u.meta.Layout(shards.Primary).Size() + u.meta.Layout(shards.Secondary).Size())
	params := u.com.Params()
	strips := u.meta.Layout(shards.Primary).Strips()
	begun := false // then the request cannot be repeated: strips are handed out once
	body := func(w io.Writer) error {
		for range strips {
			var s *sharedStrip
			var ok bool
			t.waiting.Store(true)
			select {
			case s, ok = <-t.strips:
			case <-ctx.Done():
				return ctx.Err()
			}
			t.waiting.Store(false)
			if !ok {
				return errors.New("the encoding ended early")
			}
			begun = true
			err := u.writeStrip(w, i, s.Strip, t, params)
			s.done()
			if err != nil {
				return err
			}
		}
		return nil
	}
	if size <= p2p.InlinePairs {
		var whole bytes.Buffer
		if err := body(&whole); err != nil {
			return err
		}
		begun, body = false, func(w io.Writer) error {
			_, err := w.Write(whole.Bytes())
			return err
		}
	}
	_, err := entitled(ctx, u, func(token []byte) (any, error) {
		err := u.c.nodes.StorePairs(ctx, u.com.Members()[i].Node, u.id, token, t.pairs, size, body)
		if begun && errors.Is(err, p2p.ErrBusy) {
			err = &interrupted{err}
		}
		return nil, err
	})
	if errors.Is(err, p2p.ErrHave) { // somebody else has sent them since
		return nil
	}
	if err != nil {
		u.endNode(i, why(ctx, err)) // report it at once, not only when the tap has been drained
	}
	return err
}

func (u *upload) writeStrip(w io.Writer, i int, s *shards.Strip, t *tap, params shards.Params) error {
	for _, pair := range t.pairs {
		for _, axis := range []shards.Axis{shards.Primary, shards.Secondary} {
			b := s.Sliver(axis, params.SliverOfPair(axis, pair))
			if _, err := w.Write(b); err != nil {
				return err
			}
			t.sent.Add(int64(len(b)))
			u.mu.Lock()
			u.nodes[i].sent += int64(len(b))
			u.bytes.add(int64(len(b)))
			u.mu.Unlock()
		}
	}
	return nil
}

// interrupted is the error of an upload that a node ended because it was busy. It cannot just be repeated.
type interrupted struct{ error }

const (
	// firstBusyPause and maxBusyPause bound the pause before a busy node is asked again. It doubles; half of it is
	// random.
	firstBusyPause, maxBusyPause = 100 * time.Millisecond, 2 * time.Second
)

// patient asks a busy node again until ctx ends, or for busyTime: a node that lies about its load must not hold up the
// others.
func patient[T any](ctx context.Context, question func() (T, error)) (T, error) {
	start, asked := time.Now(), 0
	for wait := firstBusyPause; ; wait = min(2*wait, maxBusyPause) {
		answer, err := question()
		asked++
		switch {
		case !errors.Is(err, p2p.ErrBusy):
			return answer, err
		case time.Since(start) > busyTime:
			return answer, fmt.Errorf("asked %d times in %v: %w", asked, time.Since(start).Round(time.Second), err)
		case !pause.For(ctx, jitter(wait)):
			return answer, err
		}
	}
}

// jitter returns a random time from half of d to d.
func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d/2) }
