package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"walrus/certs"
	"walrus/p2p"
	"walrus/shards"
)

// verifiedCertificate decodes a peer's certificate for blob id and verifies it with the committee of its epoch. It
// returns this committee too: the signers are its members.
func verifiedCertificate(all certs.Committees, id shards.BlobID,
	b []byte) (*certs.Certificate, *certs.Committee, error) {
	cert, err := certs.UnmarshalCertificate(b)
	if err != nil {
		return nil, nil, err
	}
	if cert.Blob != id {
		return nil, nil, fmt.Errorf("%w: sent another blob's certificate", errLied)
	}
	com, err := all.At(cert.Epoch)
	if err != nil {
		return nil, nil, fmt.Errorf("verify its certificate: %w", err)
	}
	return cert, com, com.Verify(cert)
}

// noteAnswer remembers how long an answer took, if there was one.
func (c *nodes) noteAnswer(start time.Time, err error) {
	if err == nil || errors.Is(err, p2p.ErrNotFound) {
		c.patience.note(time.Now(), time.Since(start))
	}
}

// answers counts the answers of an ask so far.
type answers struct {
	nodes                      int // nodes that answered the question
	answered, notFound, failed int // shards
	invalid                    int // shards whose nodes say that the blob is invalid
	last                       any // value of the newest answer, nil if it was an error
	bad                        []BadNode
}

// askTimeout bounds one node's answer to a small question.
const askTimeout = 10 * time.Second

// ask sends a question to every node of the committee at once. It calls enough after each answer, from the caller's
// goroutine, until enough returns true or all nodes have answered. Then it cancels the rest and returns the final
// tally.
func (c *nodes) ask(ctx context.Context, com *certs.Committee,
	question func(context.Context, int, *certs.Member) (any, error), enough func(answers) bool) answers {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type answer struct {
		i   int
		val any
		err error
	}
	members := com.Members()
	ch := make(chan answer, len(members))
	var g errgroup.Group
	for i := range members {
		g.Go(func() error {
			a := answer{i: i}
			if a.err = c.Connect(ctx, members[i].Node); a.err == nil {
				ctx, cancel := context.WithTimeout(ctx, askTimeout)
				defer cancel()
				start := time.Now()
				a.val, a.err = question(ctx, i, &members[i])
				c.noteAnswer(start, a.err)
			}
			ch <- a
			return nil
		})
	}
	var tally answers
collect:
	for range members {
		select {
		case a := <-ch:
			tally.last = nil
			switch w := com.Weight(a.i); {
			case a.err == nil:
				tally.nodes++
				tally.answered += w
				tally.last = a.val
			case errors.Is(a.err, p2p.ErrNotFound):
				tally.notFound += w
			case errors.Is(a.err, p2p.ErrInvalid):
				tally.invalid += w
			default:
				tally.failed += w
				tally.bad = append(tally.bad, badNode(&members[a.i], a.err))
			}
			if enough(tally) {
				break collect
			}
		case <-ctx.Done():
			break collect
		}
	}
	cancel()
	_ = g.Wait()
	return tally
}
