package client

import (
	"context"
	"errors"
	"sync"

	"walrus/certs"
	"walrus/ledger"
)

// registration follows the transaction of a plan to the ledger. It begins when nodes with a quorum of shards have
// accepted the blob. The upload goes on at the same time.
type registration struct {
	c   *Client // constant, as are the next three
	w   *want
	p   *plan
	run func() // runs the plan's operations

	composed chan struct{}   // closed when the new record's ID is first predicted
	expected ledger.ObjectID // the predicted ID; constant once composed is closed
	moved    chan struct{}   // closed when the transaction is composed anew and the prediction no longer holds
	astray   bool            // moved is closed; used by expect only

	mu     sync.Mutex
	begun  bool // guarded by mu, as is the next
	gaveUp bool

	done chan struct{} // closed when the transaction is committed or has failed
	// object is the blob's record: constant once done is closed, as the next two.
	object  ledger.ObjectID
	receipt ledger.Receipt
	err     error

	certified []ledger.Receipt // certifications, failed ones too; owned by the upload
}

// register prepares to run the plan's operations, with ctx. A plan without operations is done already.
func (c *Client) register(ctx context.Context, w *want, p *plan) *registration {
	r := &registration{
		c: c, w: w, p: p, composed: make(chan struct{}), moved: make(chan struct{}),
		done: make(chan struct{}), object: p.object,
	}
	if p.compose == nil {
		r.begun = true
		close(r.done)
		return r
	}
	r.run = func() {
		defer close(r.done)
		r.receipt, r.err = c.run(ctx, func(object func(op int) ledger.ObjectID) []ledger.Op {
			if p.registers >= 0 {
				r.expect(object(p.registers))
			}
			return p.compose(object)
		})
	}
	return r
}

// begin runs the operations, once.
func (r *registration) begin() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.begun && !r.gaveUp {
		r.begun = true
		go r.run()
	}
}

func (r *registration) hasBegun() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.begun
}

// giveUp ends a registration that has not begun: nothing is paid. It reports whether that was so.
func (r *registration) giveUp() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.begun && !r.gaveUp {
		r.gaveUp = true
		close(r.done)
	}
	return r.gaveUp
}

// end waits until nothing is under way.
func (r *registration) end() {
	r.giveUp()
	<-r.done
}

// known returns the record's ID as far as it is known; zero before it is predicted.
func (r *registration) known() ledger.ObjectID {
	select {
	case <-r.done:
		return r.object
	default:
	}
	select {
	case <-r.composed:
		return r.expected
	default:
		return r.p.object
	}
}

// expect records the ID that the transaction, as now composed, gives the new record. Calls do not overlap.
func (r *registration) expect(object ledger.ObjectID) {
	switch {
	case r.object == ledger.ObjectID{}:
		r.expected = object
		close(r.composed)
	case object != r.expected && !r.astray:
		r.astray = true
		close(r.moved)
	}
	r.object = object
}

// wait waits until the operations are committed or have failed.
func (r *registration) wait() error {
	<-r.done
	return r.err
}

// waitOr waits as wait does, but returns nil if ctx ends first.
func (r *registration) waitOr(ctx context.Context) error {
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
		return nil
	}
}

// expectation predicts the record's persistence before the ledger confirms it, so that nodes can be asked to confirm as
// soon as they have the record. This works only if nodes cannot mistake another record for it; otherwise expectation
// waits for the ledger. moved is closed if the prediction turns out wrong; it is nil for a permanent record, whose
// confirmation holds for any record.
func (r *registration) expectation(ctx context.Context) (p certs.Persistence, moved <-chan struct{}, err error) {
	if r.p.alone {
		select {
		case <-r.composed:
			if p = r.persistent(r.expected); p.Deletable {
				moved = r.moved
			}
			return p, moved, nil
		case <-r.done:
		case <-ctx.Done():
		}
	}
	p, err = r.persistence(ctx)
	return p, nil, err
}

// persistence waits for the ledger and returns the persistence of the blob's record.
func (r *registration) persistence(ctx context.Context) (p certs.Persistence, err error) {
	select {
	case <-r.done:
	case <-ctx.Done():
		return p, context.Cause(ctx)
	}
	if r.err != nil {
		return p, r.err
	}
	return r.persistent(r.object), nil
}

// persistent returns the persistence of object under the plan.
func (r *registration) persistent(object ledger.ObjectID) (p certs.Persistence) {
	if r.p.deletable {
		p = certs.Persistence{Deletable: true, Object: object}
	}
	return p
}

// certify puts the certificate on the ledger, unless the blob's record is certified already.
func (r *registration) certify(ctx context.Context, cert *certs.Certificate) error {
	if r.p.certified != 0 {
		return nil
	}
	ops := r.w.certify(r.object, r.p.end, cert.Marshal())
	receipt, err := r.c.run(ctx, ledger.Fixed(ops...))
	if receipt.ID != (ledger.TxID{}) { // in a block: the fee is paid even if it failed
		r.certified = append(r.certified, receipt)
	}
	var refused *ledger.OpError
	if errors.As(err, &refused) && refused.Code == ledger.CodeState && refused.Op == 0 && r.isCertified(ctx) {
		return nil // certified by an earlier attempt whose answer was lost
	}
	return err
}

func (r *registration) isCertified(ctx context.Context) bool {
	reader, err := r.c.chain.Read(ctx, ledger.KeyBlob(r.object))
	if err != nil {
		return false
	}
	b, err := ledger.ReadBlob(reader, r.object)
	return err == nil && b.Certified != 0
}

// addPaid adds to res the transactions and the fees paid, failed ones too. The registration must be done.
func (r *registration) addPaid(res *StoreResult) {
	res.Object = r.object
	for i, receipt := range append([]ledger.Receipt{r.receipt}, r.certified...) {
		if receipt.ID == (ledger.TxID{}) {
			continue
		}
		res.Txs = append(res.Txs, receipt.ID)
		res.Cost.Fee += receipt.Fee
		switch {
		case receipt.Code != ledger.CodeOK:
		case i == 0:
			res.Cost.Storage += r.p.cost.Storage
			res.Cost.Write += r.p.cost.Write
			res.Cost.Deposit += depositPaid(&receipt)
		default:
			res.Cost.Fund += r.p.cost.Fund
		}
	}
}
