package gateway

import (
	"context"
	"errors"

	"walrus/client"
)

// reserve holds what a request is going to make the wallet pay, or says why that is too much. settle puts what was paid in
// its place.
type reserve func(ctx context.Context, frost uint64) (settle func(paid uint64), err error)

// unlimited is reserve without a guard.
func unlimited(context.Context, uint64) (func(uint64), error) { return func(uint64) {}, nil }

// anySize is checkSize without a guard.
func anySize(context.Context, int64) error { return nil }

// bill is what one request makes the wallet pay: approved as planned, then settled as it was.
type bill struct {
	planned uint64
	settle  func(paid uint64)
}

// approve asks reserve about each plan; a new one takes the place of that before. ctx is that of the request.
func (b *bill) approve(ctx context.Context, reserve reserve) func(client.Cost) error {
	return func(c client.Cost) error {
		b.end(0)
		settle, err := reserve(ctx, uint64(c.Total()))
		if err == nil {
			b.planned, b.settle = uint64(c.Total()), settle
		}
		return err
	}
}

func (b *bill) end(paid uint64) {
	if b.settle != nil {
		b.settle(paid)
	}
	b.settle = nil
}

// paid settles a request that has done, or partly done, what it was to do.
func (b *bill) paid(c client.Cost) { b.end(uint64(c.Total())) }

// failed settles a request of which nothing is known to be paid. A transaction whose fate is not known counts as paid.
func (b *bill) failed(err error) {
	if mayBePaid(err) {
		b.end(b.planned)
	}
	b.end(0)
}

// mayBePaid says whether a transaction may have effect although the request failed.
func mayBePaid(err error) bool {
	return errors.Is(err, client.ErrUnknown) || errors.Is(err, client.ErrStalled)
}

// pay stores within what the client of the request may spend, and counts what was stored. ctx is that of the request.
func (g *Gateway) pay(ctx context.Context, opt client.StoreOptions, store func(client.StoreOptions) (*client.StoreResult, error)) (*client.StoreResult, error) {
	var b bill
	opt.Approve = b.approve(ctx, g.reserve)
	res, err := store(opt)
	if mayBePaid(err) || res == nil {
		b.failed(err)
	} else {
		b.paid(res.Cost)
	}
	if err == nil {
		g.stored.Add(res.Size)
	}
	return res, err
}
