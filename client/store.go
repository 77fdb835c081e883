package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/sync/errgroup"

	"walrus/certs"
	"walrus/p2p"
	"walrus/shards"
)

// StoreOptions of one Store call.
type StoreOptions struct {
	Progress Progress
	// Force uploads although the blob is certified already: every node is offered what it lacks.
	Force bool
}

// StoreResult tells where a blob went.
type StoreResult struct {
	BlobID           shards.BlobID
	Size             uint64             // bytes of the blob
	EncodedSize      int64              // bytes that all nodes keep together, metadata included
	EndEpoch         uint32             // the epoch at whose start storage ends
	AlreadyCertified bool               // nothing was uploaded
	Certificate      *certs.Certificate // proof that a quorum keeps the blob
	Confirmed        int                // shards whose nodes confirmed
	Needed           int                // quorum
	Shards           int                // n
	Nodes            []NodeUpload       // in committee order; empty when AlreadyCertified
	Encoding         time.Duration      // time to compute the blob ID
	Uploading        time.Duration      // time from then to the certificate
}

// NodeUpload is one node's part in a Store.
type NodeUpload struct {
	Node      peer.ID
	Name      string
	Shards    []int
	Confirmed bool
	Sent      int64  // bytes of slivers sent to it
	Err       error  // why it did not confirm; it repairs itself when it learns of the certificate
	Why       string // Err on a short line, for people
}

// Store encodes src, uploads to each node the sliver pairs of its shards, and returns when a quorum has confirmed and
// holds the certificate, and the others were given a bounded time to finish. src is read twice and never held.
// Run again after a failure it sends only what nodes lack. Errors: *NotEnoughError, or what reading src returned.
func (c *Client) Store(ctx context.Context, src io.ReaderAt, size uint64, opt StoreOptions) (*StoreResult, error) {
	com, err := c.control.Committee(ctx)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	start := time.Now()
	enc, err := shards.NewEncoder(com.Params(), src, size)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	meta, err := enc.Metadata(ctx, func(done, total int64) { opt.Progress.report(Encoding, done, total) })
	if err != nil {
		return nil, fmt.Errorf("store: encode: %w", err)
	}
	id := meta.ID()
	end, err := c.control.MayStore(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("store %s: %w", id, err)
	}
	res := &StoreResult{
		BlobID: id, Size: size, EncodedSize: com.Params().EncodedSize(size), EndEpoch: end,
		Needed: com.Quorum(), Shards: com.Params().Shards(), Encoding: time.Since(start),
	}
	if !opt.Force {
		if cert := c.certificate(ctx, com, id); cert != nil {
			res.AlreadyCertified, res.Certificate, res.Confirmed = true, cert, cert.Weight(com)
			return res, nil
		}
	}
	start = time.Now()
	u := newUpload(c, com, enc, meta, id, opt.Progress)
	err = u.run(ctx)
	res.Certificate, res.Confirmed, res.Nodes = u.cert, u.weight(), u.outcome()
	res.Uploading = u.certified.Sub(start)
	if err != nil {
		return res, err
	}
	return res, nil
}

// certificate asks the committee for a certificate of blob id. Nil means that a quorum has none, or that nobody who answers has.
func (c *Client) certificate(ctx context.Context, com *certs.Committee, id shards.BlobID) *certs.Certificate {
	var found *certs.Certificate
	_ = c.ask(ctx, com, func(ctx context.Context, i int, m *certs.Member) (any, error) {
		st, err := c.swarm.BlobStatus(ctx, m.Node, id)
		if err != nil {
			return nil, err
		}
		if len(st.Certificate) == 0 {
			return nil, p2p.ErrNotFound
		}
		return verifiedCertificate(com, id, st.Certificate)
	}, func(a answers) bool {
		if cert, ok := a.last.(*certs.Certificate); ok {
			found = cert
		}
		return found != nil || a.answered+a.notFound >= com.Quorum()
	})
	return found
}

// verifiedCertificate decodes a peer's certificate and checks that it certifies blob id.
func verifiedCertificate(com *certs.Committee, id shards.BlobID, b []byte) (*certs.Certificate, error) {
	cert, err := certs.UnmarshalCertificate(b)
	if err != nil {
		return nil, err
	}
	if cert.Blob != id {
		return nil, fmt.Errorf("%w: another blob's certificate", errLied)
	}
	return cert, com.Verify(cert)
}

// answers is how far an ask is.
type answers struct {
	nodes                      int // that answered the question
	answered, notFound, failed int // shards
	last                       any // value of the newest answer, nil if it was an error
	bad                        []BadNode
}

// askTimeout bounds finding a node and its answer to a small question.
const askTimeout = 10 * time.Second

// ask puts a question to every node of the committee at once and calls enough after each answer, from this goroutine,
// until it says so or all have answered; the rest are then cancelled. It returns the final tally.
func (c *Client) ask(ctx context.Context, com *certs.Committee, question func(context.Context, int, *certs.Member) (any, error), enough func(answers) bool) answers {
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
			ctx, cancel := context.WithTimeout(ctx, askTimeout)
			defer cancel()
			if a.err = c.connect(ctx, members[i].Node); a.err == nil {
				a.val, a.err = question(ctx, i, &members[i])
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
