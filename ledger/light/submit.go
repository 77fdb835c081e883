package light

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/internal/pause"
	"walrus/ledger"
)

const (
	// submitHedge: after this long another node gets the transaction as well. It is usually enough for a block.
	submitHedge = 2 * time.Second
	// enoughRefusals is the number of nodes that must refuse a transaction: one may be behind, or lie.
	enoughRefusals = 3
	// heldUpPatience: nodes must report a stall for this long before it counts, because nodes restart now and then.
	heldUpPatience = 2 * time.Second
	// submitPause is the pause between rounds.
	submitPause = 300 * time.Millisecond
	// busyTime and downTime bound how long all nodes may be busy or out of reach before Submit fails.
	busyTime = 30 * time.Second
	downTime = 5 * time.Second
	// nonceLook is the pause between checks whether the nonce of a submitted transaction has been used. If another
	// transaction has used it, nodes forget ours or keep it until it expires, and none would tell. nonceGrace is the
	// time that the receipt may come later than the used nonce: most likely ours has used it.
	nonceLook  = time.Second
	nonceGrace = 500 * time.Millisecond
)

// errNonceUsed ends the wait for a transaction whose nonce has been used.
var errNonceUsed = errors.New("its nonce has been used")

// Submit submits a transaction until its receipt is proven, and returns the receipt, whatever the transaction's
// result. All later readings of this client include its effects. Errors:
//   - *ledger.OpError: several nodes, or all that answer, have refused it, and it is in no block. With ledger.CodeNonce
//     the account has used the nonce, and no node shows for which transaction: look in its history. If it is PricedOut,
//     a node may have had it: pay more with the same nonce, so that only one of the two can take effect.
//   - ErrPending, wrapped: a node may have it, but its fate is unknown, because ctx ended, no node can be reached any
//     more, or the ledger is stalled (ErrStalled). It may be submitted again, and takes effect once.
//   - any other: no node has it.
func (c *Client) Submit(ctx context.Context, tx *ledger.Tx) (ledger.Receipt, error) {
	if err := tx.Validate(); err != nil {
		return ledger.Receipt{}, &ledger.OpError{Code: ledger.CodeFormat, Op: -1, Text: err.Error()}
	}
	raw := tx.Marshal()
	s := &submission{client: c, tx: tx, id: ledger.HashTx(raw), raw: raw, start: time.Now()}
	ctx, cancel := context.WithCancelCause(ctx)
	var watch sync.WaitGroup
	defer watch.Wait()
	defer cancel(nil)
	watch.Go(func() { s.watchNonce(ctx, cancel) })
	for {
		i, err := s.round(ctx)
		if err == nil {
			c.raise(i.Receipt.Height)
			return i.Receipt, nil
		}
		err = s.judge(ctx, err)
		if errors.Is(context.Cause(ctx), errNonceUsed) { // err is only the round that this broke off
			err = s.overtaken()
		}
		if err != nil {
			return ledger.Receipt{}, err
		}
		pause.For(ctx, submitPause)
	}
}

// watchNonce cancels the submission once the sender's account provably has used the nonce and no receipt comes.
func (s *submission) watchNonce(ctx context.Context, cancel context.CancelCauseFunc) {
	if _, free := s.tx.Free(); free { // it uses none
		return
	}
	sender := s.tx.Sender.Address()
	for pause.For(ctx, nonceLook) {
		v, _ := s.client.Get(ctx, 0, ledger.KeyAccount(sender)) // a stall is handled elsewhere
		if v == nil {
			continue
		}
		if account, err := ledger.ReadAccount(v, sender); err == nil && account.Nonce > s.tx.Nonce &&
			pause.For(ctx, nonceGrace) {
			cancel(errNonceUsed)
			return
		}
	}
}

// overtaken returns the error for a used nonce, most likely used by another transaction.
func (s *submission) overtaken() error {
	return &ledger.OpError{Code: ledger.CodeNonce, Op: -1, Text: fmt.Sprintf(
		"transaction %s: nonce %d of account %s has been used: check its history for whether this transaction used it", s.id,
		s.tx.Nonce, s.tx.Sender.Address())}
}

// submission is a transaction being submitted.
type submission struct {
	client *Client
	tx     *ledger.Tx
	id     ledger.TxID
	raw    []byte
	start  time.Time

	mu       sync.Mutex
	taken    bool            // a node may have it; guarded by mu
	pending  error           // latest answer of a node that waited; guarded by mu
	refusals int             // in this round; guarded by mu
	least    *ledger.OpError // priced out, with the lowest fee that a node asked for in this round; guarded by mu
	heldUp   int             // nodes that report a stall in this round; guarded by mu
	moving   int             // nodes that waited without reporting a stall in this round; guarded by mu
	since    time.Time       // first report of the stall; zero once a node moves; guarded by mu
}

// round offers the transaction to the nodes once.
func (s *submission) round(ctx context.Context) (*Inclusion, error) {
	s.refusals, s.heldUp, s.moving, s.least = 0, 0, 0, nil
	order, lies := s.client.book.order(s.client.nodes(ctx), time.Now())
	return race(ctx, s.client, order, lies, submitHedge, s.offer)
}

// offer submits the transaction to one node and waits for its receipt.
func (s *submission) offer(ctx context.Context, node peer.ID) (*Inclusion, error) {
	i, err := s.client.receiptFrom(ctx, node, submitProtocol, s.id, &submitRequest{s.raw})
	s.mu.Lock()
	defer s.mu.Unlock()
	var op *ledger.OpError
	var before cutBefore
	switch {
	case errors.As(err, &op):
		if op.PricedOut() && (s.least == nil || op.Least < s.least.Least) { // a liar who asks for more gains nothing
			s.least = op
		}
		if s.refusals++; s.refusals >= enoughRefusals {
			return nil, enough{err}
		}
	case errors.Is(err, errHeldUp):
		s.taken, s.pending = true, fmt.Errorf("%s: %w", nodeName(node, s.client.names[node]), err)
		if s.since.IsZero() {
			s.since = time.Now()
		}
		if s.heldUp++; s.heldUp >= enoughRefusals && s.moving == 0 {
			return nil, enough{err}
		}
	case errors.Is(err, ErrPending):
		s.taken, s.pending = true, err
		s.moving++
		s.since = time.Time{}
	case errors.Is(err, errCut) || errors.Is(err, errSlow) || errors.Is(err, errInternal) ||
		errors.As(err, &before) || !refused(err):
		s.taken = true
	}
	return i, err
}

// judge decides after a round without a receipt: nil to start another, or the error to return.
func (s *submission) judge(ctx context.Context, err error) error {
	var op *ledger.OpError
	switch {
	case ctx.Err() != nil:
		return s.unknown(context.Cause(ctx))
	case s.least != nil && s.moving == 0 && s.heldUp == 0: // no node that answered keeps it
		return fmt.Errorf("submit transaction %s: %w", s.id, s.least)
	case s.taken:
		return s.stillPending(ctx)
	case errors.As(err, &op):
		return fmt.Errorf("submit transaction %s: %w", s.id, err)
	case errors.Is(err, ErrBusy) && time.Since(s.start) < busyTime:
		return nil
	case errors.Is(err, ErrUnavailable) && !errors.Is(err, ErrLied) && time.Since(s.start) < downTime:
		return nil
	}
	return fmt.Errorf("submit transaction %s: %w", s.id, err)
}

// stillPending decides whether a transaction that a node has may still be committed.
func (s *submission) stillPending(ctx context.Context) error {
	if s.moving == 0 && s.heldUp > 0 && time.Since(s.since) > heldUpPatience {
		return s.unknown(nil)
	}
	head, err := s.client.Head(ctx)
	if err != nil {
		return s.unknown(err)
	}
	if head.Height <= s.tx.Expiry+1 {
		return nil
	}
	sender := s.tx.Sender.Address()
	v, err := s.client.Get(ctx, s.tx.Expiry, ledger.KeyAccount(sender))
	if err != nil {
		return s.unknown(err)
	}
	account, err := ledger.ReadAccount(v, sender)
	if err != nil {
		return s.unknown(err)
	}
	// A nonce that was used, by this transaction or another, is for watchNonce to notice.
	if _, free := s.tx.Free(); account.Nonce > s.tx.Nonce && !free {
		return nil
	}
	return &ledger.OpError{Code: ledger.CodeExpired, Op: -1, Text: fmt.Sprintf(
		"transaction %s expired at height %d without getting into a block: sign it again", s.id, s.tx.Expiry)}
}

// unknown returns the error for a transaction whose fate is unknown, because of err or of what waiting nodes said.
func (s *submission) unknown(err error) error {
	if !s.taken {
		return fmt.Errorf("submit transaction %s: %w", s.id, err)
	}
	why := failures{ErrPending}
	if s.pending != nil && s.pending.Error() != ErrPending.Error() {
		why = failures{s.pending}
	}
	if err != nil {
		why = append(why, err)
	}
	return fmt.Errorf("transaction %s was submitted: %w", s.id, why)
}
