package client

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"walrus/ledger"
)

// Offered is a storage resource or a record that its owner offers to another account.
type Offered struct {
	Object ledger.ObjectID
	ledger.Offer
	Storage *ledger.Storage // nil if it is a record
	Blob    *ledger.Blob    // nil if it is a storage resource
}

// End returns the epoch at whose start the offered object ends.
func (o *Offered) End() uint32 {
	if o.Blob != nil {
		return o.Blob.End
	}
	return o.Storage.End
}

// Offers makes and answers offers of storage and records, as a client's account.
type Offers struct{ c *Client }

// NewOffers returns the offers of a client's account.
func NewOffers(c *Client) *Offers { return &Offers{c} }

const (
	// maxOffers bounds the offers that are looked at for a list. Anybody may offer things, so there may be many.
	maxOffers = 1024
	// offersAtOnce is the number of offers that one read has: each takes three keys of at most 128.
	offersAtOnce = 40
)

// List lists what is offered to the account, the offer that ends first in front. It looks at some 1000 offers at
// most. Nodes may hide offers; those listed are proven.
func (o *Offers) List(ctx context.Context) ([]Offered, error) {
	if o.c.payer == nil {
		return nil, fmt.Errorf("list offers: %w", ErrNoWallet)
	}
	ids, err := o.c.chain.Offers(ctx, o.c.payer.Address(), maxOffers)
	if err != nil {
		return nil, fmt.Errorf("list offers: %w", err)
	}
	var list []Offered
	for some := range slices.Chunk(ids, offersAtOnce) {
		found, epoch, err := o.read(ctx, some...)
		if err != nil {
			return nil, fmt.Errorf("list offers: %w", err)
		}
		for _, offered := range found {
			if offered.To == o.c.payer.Address() && offered.Until > epoch {
				list = append(list, offered)
			}
		}
	}
	slices.SortStableFunc(list, func(a, b Offered) int { return int(int64(a.Until) - int64(b.Until)) })
	return list, nil
}

// read reads the offers of objects that have one, and the current epoch.
func (o *Offers) read(ctx context.Context, ids ...ledger.ObjectID) (list []Offered, epoch uint32, err error) {
	var keys [][]byte
	for _, id := range ids {
		keys = append(keys, ledger.KeyOffer(id), ledger.KeyStorage(id), ledger.KeyBlob(id))
	}
	k, r, err := o.c.now(ctx, keys...)
	if err != nil {
		return nil, 0, err
	}
	for _, id := range ids {
		x := Offered{Object: id}
		if x.Offer, err = ledger.ReadOffer(r, id); errors.Is(err, ledger.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, 0, err
		}
		if s, err := ledger.ReadStorage(r, id); err == nil {
			x.Storage = &s
		} else if b, err := ledger.ReadBlob(r, id); err == nil {
			x.Blob = &b
		} else {
			return nil, 0, err
		}
		list = append(list, x)
	}
	return list, k.epoch, nil
}

// OfferDone reports an offer that was made, accepted or withdrawn.
type OfferDone struct {
	Object  ledger.ObjectID
	Offer   ledger.Offer
	Cost    Cost
	Receipt ledger.Receipt
}

// Make offers a storage resource or a record of ours to an account, for a number of epochs, the current one included;
// MaxEpochs: as long as the object lasts. It takes the place of an earlier offer.
func (o *Offers) Make(ctx context.Context, object ledger.ObjectID, to ledger.Address, epochs uint32) (*OfferDone, error) {
	fail := func(err error) (*OfferDone, error) { return nil, fmt.Errorf("offer %s: %w", object, err) }
	if o.c.payer == nil {
		return fail(ErrNoWallet)
	}
	k, r, err := o.c.now(ctx, ledger.KeyStorage(object), ledger.KeyBlob(object))
	if err != nil {
		return fail(err)
	}
	until := func(end uint32) uint32 { return uint32(min(uint64(k.epoch)+uint64(epochs), uint64(end))) }
	done := &OfferDone{Object: object, Offer: ledger.Offer{From: o.c.payer.Address(), To: to}}
	var op ledger.Op
	if s, err := ledger.ReadStorage(r, object); err == nil {
		done.Offer.Until = until(s.End)
		op = ledger.OfferStorage{Storage: object, To: to, Until: done.Offer.Until}
	} else if b, err := ledger.ReadBlob(r, object); err == nil {
		done.Offer.Until = until(b.End)
		op = ledger.OfferBlob{Object: object, To: to, Until: done.Offer.Until}
	} else if errors.Is(err, ledger.ErrNotFound) {
		return fail(fmt.Errorf("%w: the ledger has no such storage resource or record (see walrus list-blobs)", ErrNotFound))
	} else {
		return fail(err)
	}
	return o.finish(ctx, done, op, fail)
}

// Accept makes the account the owner of an object that is offered to it.
func (o *Offers) Accept(ctx context.Context, object ledger.ObjectID) (*OfferDone, error) {
	fail := func(err error) (*OfferDone, error) { return nil, fmt.Errorf("accept %s: %w", object, err) }
	offer, err := o.of(ctx, object)
	if err != nil {
		return fail(err)
	}
	return o.finish(ctx, &OfferDone{Object: object, Offer: *offer}, ledger.AcceptOffer{Object: object, From: offer.From}, fail)
}

// Withdraw ends an offer that the account made.
func (o *Offers) Withdraw(ctx context.Context, object ledger.ObjectID) (*OfferDone, error) {
	fail := func(err error) (*OfferDone, error) {
		return nil, fmt.Errorf("withdraw the offer of %s: %w", object, err)
	}
	offer, err := o.of(ctx, object)
	if err != nil {
		return fail(err)
	}
	return o.finish(ctx, &OfferDone{Object: object, Offer: *offer}, ledger.WithdrawOffer{Object: object}, fail)
}

// of reads the offer of an object.
func (o *Offers) of(ctx context.Context, object ledger.ObjectID) (*ledger.Offer, error) {
	if o.c.payer == nil {
		return nil, ErrNoWallet
	}
	list, _, err := o.read(ctx, object)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%w: nobody offers it: the offer was accepted or withdrawn, or its owner has used the object (see walrus offer list)",
			ErrNotFound)
	}
	return &list[0].Offer, nil
}

// finish pays for an operation on an offer.
func (o *Offers) finish(ctx context.Context, done *OfferDone, op ledger.Op,
	fail func(error) (*OfferDone, error)) (*OfferDone, error) {
	var err error
	if done.Receipt, err = o.c.run(ctx, ledger.Fixed(op)); err != nil {
		return fail(err)
	}
	done.Cost.Fee = done.Receipt.Fee
	return done, nil
}
