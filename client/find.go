package client

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"walrus/certs"
	"walrus/internal/pause"
	"walrus/ledger"
	"walrus/shards"
)

const (
	// ledgerPatience bounds how long a read that has found a blob waits for the ledger.
	ledgerPatience = 2 * time.Second
	// lagPatience delays a read's second question to the ledger about a blob that only the nodes know: it may have been
	// certified just now.
	lagPatience = time.Second
)

// find asks the nodes for the blob's metadata and, at the same time, the ledger for its record. op begins its errors.
// If the ledger says that the blob is not stored, find returns ErrNotFound; if it has marked the blob, an
// *InvalidBlobError. A ledger that does not answer is ignored.
func (c *Client) find(ctx context.Context, com *certs.Committee, id shards.BlobID, op string) (meta *shards.Metadata, liars []BadNode, err error) {
	asking, cancel := context.WithCancel(ctx)
	defer cancel()
	var says error
	verdict, found := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(verdict)
		says = c.stored(asking, id)
	}()
	go func() {
		defer close(found)
		meta, liars, err = c.metadata(asking, com, id, op)
	}()
	select {
	case <-found:
		within(ledgerPatience, verdict)
	case <-verdict:
		switch {
		case errors.Is(says, ErrNotFound): // no need to wait for nodes that do not answer
			within(lagPatience, found)
		case !errors.Is(says, ErrInvalidBlob): // which no node can change
			<-found
		}
	}
	cancel()
	<-verdict
	<-found
	if errors.Is(says, ErrNotFound) && meta != nil && pause.For(ctx, lagPatience) {
		says = c.stored(ctx, id)
	}
	switch {
	case ctx.Err() != nil:
		return nil, nil, fmt.Errorf("%s: %w", op, ctx.Err())
	case errors.Is(says, ErrNotFound), errors.Is(says, ErrInvalidBlob):
		return nil, nil, fmt.Errorf("%s: %w", op, says)
	case errors.Is(says, ErrStalled), errors.Is(says, context.Canceled):
		c.log.Debug("the ledger does not answer; reading from what the nodes have", "blob", id.String(), "err", says)
	case says != nil: // for example a node lied about it
		c.log.Warn("the ledger cannot be read; reading from what the nodes have", "blob", id.String(), "err", says)
	}
	return meta, liars, err
}

// within waits for done, but no longer than d.
func within(d time.Duration, done <-chan struct{}) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
}

// stored returns nil for a blob that the ledger lists as certified. For one that it has marked invalid it returns an
// *InvalidBlobError. For any other blob it wraps ErrNotFound and gives the reason. All other errors come from the
// ledger.
func (c *books) stored(ctx context.Context, id shards.BlobID) error {
	r, err := c.chain.Peek(ctx, ledger.KeyEpoch(), ledger.KeyBlobInfo(id))
	if err != nil {
		return err
	}
	e, err := ledger.ReadEpoch(r)
	if err != nil {
		return err
	}
	info, err := ledger.ReadBlobInfo(r, id)
	if err != nil {
		return err
	}
	if info.Invalid {
		return c.peekInvalid(ctx, id)
	}
	return missing(&info, e.Epoch)
}

// GoneBecause returns the reason in an error that wraps ErrNotFound: the text behind that of ErrNotFound.
func GoneBecause(err error) string {
	if _, why, ok := strings.Cut(err.Error(), ErrNotFound.Error()+": "); ok {
		return why
	}
	return "this network does not know it"
}

// missing returns ErrNotFound and the reason if the ledger does not list the blob as certified, and nil if it does.
func missing(info *ledger.BlobInfo, epoch uint32) error {
	switch {
	case info.CertifiedUntil(epoch) > 0:
		return nil
	case info.RegisteredUntil(epoch) > 0:
		return fmt.Errorf("%w: it is registered until epoch %d and was never certified: store it again to finish", ErrNotFound, info.RegisteredUntil(epoch))
	case info.InitialCertified > 0:
		return fmt.Errorf("%w: its storage has ended, this is epoch %d", ErrNotFound, epoch)
	}
	return fmt.Errorf("%w: the ledger has no live registration of it", ErrNotFound)
}

// Invalid returns an *InvalidBlobError if the ledger has marked the blob, and nil if it has not. Other errors come from
// the ledger.
func (c *books) Invalid(ctx context.Context, id shards.BlobID) error {
	r, err := c.chain.Peek(ctx, ledger.KeyBlobInfo(id))
	if err != nil {
		return err
	}
	info, err := ledger.ReadBlobInfo(r, id)
	if err == nil && info.Invalid {
		err = c.peekInvalid(ctx, id)
	}
	return err
}
