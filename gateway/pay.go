package gateway

import (
	"context"
	"errors"

	"walrus/client"
)

// Limits bound what a request may spend and store. *guard.Guard implements them.
type Limits interface {
	// Reserve holds the amount that the request of ctx will make the wallet pay, or returns an error if it is too much.
	// settle replaces the held amount by the amount paid.
	Reserve(ctx context.Context, frost uint64) (settle func(paid uint64), err error)
	// CheckSize returns an error if the request of ctx may not store this many bytes.
	CheckSize(ctx context.Context, size int64) error
}

// unlimited implements Limits for a gateway without a guard.
type unlimited struct{}

func (unlimited) Reserve(context.Context, uint64) (func(uint64), error) { return func(uint64) {}, nil }
func (unlimited) CheckSize(context.Context, int64) error                { return nil }

// bill tracks what one request makes the wallet pay: reserved as planned, then settled as paid.
type bill struct {
	planned uint64
	settle  func(paid uint64)
}

// approve reserves the cost of each plan; a new plan replaces the one before. ctx is the request's.
func (b *bill) approve(ctx context.Context, limits Limits) func(client.Cost) error {
	return func(c client.Cost) error {
		b.end(0)
		settle, err := limits.Reserve(ctx, uint64(c.Total()))
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

// paid settles a request that has done all or part of its work.
func (b *bill) paid(c client.Cost) { b.end(uint64(c.Total())) }

// failed settles a request without known payments. A transaction of unknown outcome counts as paid.
func (b *bill) failed(err error) {
	if mayBePaid(err) {
		b.end(b.planned)
	}
	b.end(0)
}

// mayBePaid reports whether a transaction may take effect although the request failed.
func mayBePaid(err error) bool {
	return errors.Is(err, client.ErrUnknown) || errors.Is(err, client.ErrStalled)
}

// pay stores within the client's spending limit, and counts the bytes stored. ctx is the request's.
func (g *Gateway) pay(ctx context.Context, opt client.StoreOptions,
	store func(client.StoreOptions) (*client.StoreResult, error)) (*client.StoreResult, error) {
	var b bill
	opt.Approve = b.approve(ctx, g.limits)
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
