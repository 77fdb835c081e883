package client

import (
	"context"
	"errors"

	"walrus/certs"
	"walrus/ledger"
)

// registration is the transaction of a plan on its way to the ledger, while the upload has begun already.
type registration struct {
	c *Client // constant after register, as the next two
	w *want
	p *plan

	done chan struct{} // closed when it is committed, or has failed
	// object is the blob's record: known when done is closed, as the next two.
	object  ledger.ObjectID
	receipt ledger.Receipt
	err     error

	certified []ledger.Receipt // of the certifications, failed ones too; owned by the upload
}

// register begins to run the operations of the plan.
func (c *Client) register(ctx context.Context, w *want, p *plan) *registration {
	r := &registration{c: c, w: w, p: p, done: make(chan struct{}), object: p.object}
	if p.compose == nil {
		close(r.done)
		return r
	}
	go func() {
		defer close(r.done)
		r.receipt, r.err = c.run(ctx, func(object func(op int) ledger.ObjectID) []ledger.Op {
			if p.registers >= 0 {
				r.object = object(p.registers)
			}
			return p.compose(object)
		})
	}()
	return r
}

// wait until the operations are committed or have failed.
func (r *registration) wait() error {
	<-r.done
	return r.err
}

// waitOr is wait, unless ctx ends before.
func (r *registration) waitOr(ctx context.Context) error {
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
		return nil
	}
}

// persistence of the blob's record, once it is on the ledger.
func (r *registration) persistence(ctx context.Context) (p certs.Persistence, err error) {
	select {
	case <-r.done:
	case <-ctx.Done():
		return p, context.Cause(ctx)
	}
	if r.err != nil {
		return p, r.err
	}
	if r.p.deletable {
		p = certs.Persistence{Deletable: true, Object: r.object}
	}
	return p, nil
}

// certify puts the certificate on the ledger. A blob that is on record as certified is left as it is.
func (r *registration) certify(ctx context.Context, cert *certs.Certificate) error {
	if r.p.certified != 0 {
		return nil
	}
	ops := r.w.certify(r.object, cert.Marshal())
	receipt, err := r.c.run(ctx, func(func(int) ledger.ObjectID) []ledger.Op { return ops })
	if receipt.ID != (ledger.TxID{}) { // in a block: it has cost something even if it failed
		r.certified = append(r.certified, receipt)
	}
	var refused *ledger.OpError
	if errors.As(err, &refused) && refused.Code == ledger.CodeState && refused.Op == 0 && r.isCertified(ctx) {
		return nil // by an earlier run of ours whose answer was lost
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

// tell adds to a result what was paid, for transactions that failed too. The registration is done.
func (r *registration) tell(res *StoreResult) {
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
		default:
			res.Cost.Fund += r.p.cost.Fund
		}
	}
}
