package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"walrus/certs"
	"walrus/ledger"
	"walrus/shards"
)

// OwnedBlob is a blob record of the client's account.
type OwnedBlob struct {
	Object ledger.ObjectID
	ledger.Blob
	Expired bool // its storage has ended
}

// OwnedStorage is a storage resource of the client's account.
type OwnedStorage struct {
	Object ledger.ObjectID
	ledger.Storage
	Expired bool
}

// ListBlobs lists the records of the account, the earliest end first.
func (c *Client) ListBlobs(ctx context.Context, expired bool) ([]OwnedBlob, error) {
	k, err := c.owned(ctx)
	if err != nil {
		return nil, fmt.Errorf("list blobs: %w", err)
	}
	var list []OwnedBlob
	for _, id := range sortedIDs(k.blobs) {
		b := k.blobs[id]
		if o := (OwnedBlob{Object: id, Blob: b, Expired: b.End <= k.epoch}); expired || !o.Expired {
			list = append(list, o)
		}
	}
	slices.SortStableFunc(list, func(a, b OwnedBlob) int { return int(int64(a.End) - int64(b.End)) })
	return list, nil
}

// ManyRecordsError says that the account has several live records of a blob, and the caller must name one.
type ManyRecordsError struct {
	Blob    shards.BlobID
	Objects []ledger.ObjectID
}

// Error lists the records.
func (e *ManyRecordsError) Error() string {
	names := make([]string, len(e.Objects))
	for i, o := range e.Objects {
		names[i] = o.String()
	}
	return fmt.Sprintf("you have %d records of %s: say which: %s", len(e.Objects), e.Blob, strings.Join(names, ", "))
}

// OwnRecord finds the account's only live record of a blob. Errors: ErrNotFound if there is none, *ManyRecordsError if
// there are several, ErrNoWallet.
func (c *Client) OwnRecord(ctx context.Context, blob shards.BlobID) (ledger.ObjectID, error) {
	list, err := c.ListBlobs(ctx, false)
	if err != nil {
		return ledger.ObjectID{}, err
	}
	var found []ledger.ObjectID
	for i := range list {
		if list[i].BlobID == blob {
			found = append(found, list[i].Object)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return ledger.ObjectID{}, fmt.Errorf("%w: you have no live record of %s (see walrus list-blobs)", ErrNotFound, blob)
	}
	return ledger.ObjectID{}, &ManyRecordsError{blob, found}
}

// ListStorage lists the storage resources of the account, the earliest end first.
func (c *Client) ListStorage(ctx context.Context, expired bool) ([]OwnedStorage, error) {
	k, err := c.owned(ctx)
	if err != nil {
		return nil, fmt.Errorf("list storage: %w", err)
	}
	var list []OwnedStorage
	for _, id := range sortedIDs(k.storages) {
		s := k.storages[id]
		if o := (OwnedStorage{Object: id, Storage: s, Expired: s.End <= k.epoch}); expired || !o.Expired {
			list = append(list, o)
		}
	}
	slices.SortStableFunc(list, func(a, b OwnedStorage) int { return int(int64(a.End) - int64(b.End)) })
	return list, nil
}

// owned reads all objects of the account.
func (c *books) owned(ctx context.Context) (known, error) {
	if c.payer == nil {
		return known{}, ErrNoWallet
	}
	k, _, err := c.now(ctx)
	if err == nil {
		k.storages, k.blobs, err = c.chain.Objects(ctx, c.payer.Address())
	}
	return k, err
}

// Changed reports the outcome of an operation on a record.
type Changed struct {
	Object   ledger.ObjectID
	BlobID   shards.BlobID
	EndEpoch uint32          // end of the record afterwards
	Storage  ledger.ObjectID // storage left after a deletion, for use again
	Cost     Cost
	Receipt  ledger.Receipt
}

// ExtendOptions configures one Extend call.
type ExtendOptions struct {
	// FromFunds pays from the funds of a shared record instead of our account.
	FromFunds bool
	// Approve, if not nil, is called before anything is paid. Its error stops the call.
	Approve func(Cost) error
}

// Extend extends a record of a blob by epochs: our own record, or anyone's shared one.
func (c *Client) Extend(ctx context.Context, object ledger.ObjectID, epochs uint32,
	opt ExtendOptions) (*Changed, error) {
	return c.change(ctx, "extend", object, func(k *known, b *ledger.Blob) (ledger.Op, Cost, error) {
		var cost Cost
		if epochs == MaxEpochs {
			epochs = k.epoch + k.params.MaxEpochsAhead - min(b.End, k.epoch+k.params.MaxEpochsAhead)
		}
		end := uint64(b.End) + uint64(epochs)
		if epochs == 0 || end > uint64(k.epoch)+uint64(k.params.MaxEpochsAhead) {
			return nil, cost, requestError("it ends with epoch %d, the current epoch is %d, storage is sold for %d epochs ahead: extend it by %d at most",
				b.End-1, k.epoch, k.params.MaxEpochsAhead, k.epoch+k.params.MaxEpochsAhead-b.End)
		}
		price, err := k.params.StorageCost(b.Bytes, epochs)
		if err != nil {
			return nil, cost, err
		}
		if !opt.FromFunds {
			cost.Storage = price
		} else if b.Funds < price {
			return nil, cost, fmt.Errorf("%w: %v needed, the shared record has %v: fund it, or pay from your account",
				ErrNoFunds, price, b.Funds)
		}
		b.End = uint32(end)
		op := ledger.ExtendBlob{Object: object, Epochs: epochs, FromFunds: opt.FromFunds}
		if opt.Approve == nil {
			return op, cost, nil
		}
		planned := cost
		planned.Fee = feeOf(&k.params, []ledger.Op{op})
		return op, cost, opt.Approve(planned)
	})
}

// Delete deletes a deletable record of ours. The rest of its storage becomes ours to use again. The content stays as
// long as other records of it do.
func (c *Client) Delete(ctx context.Context, object ledger.ObjectID) (*Changed, error) {
	return c.change(ctx, "delete", object, func(k *known, b *ledger.Blob) (ledger.Op, Cost, error) {
		if !b.Deletable {
			return nil, Cost{}, requestError("it is permanent: it stays until its end")
		}
		b.End = k.epoch
		return ledger.DeleteBlob{Object: object}, Cost{}, nil
	})
}

// Share gives a permanent record of ours to everybody, irrevocably, with fund for its extension.
func (c *Client) Share(ctx context.Context, object ledger.ObjectID, fund ledger.Amount) (*Changed, error) {
	return c.change(ctx, "share", object, func(_ *known, b *ledger.Blob) (ledger.Op, Cost, error) {
		if b.Deletable {
			return nil, Cost{}, requestError("it is deletable: only permanent blobs are shared")
		}
		return ledger.ShareBlob{Object: object, Amount: fund}, Cost{Fund: fund}, nil
	})
}

// Fund adds to the funds of a shared record.
func (c *Client) Fund(ctx context.Context, object ledger.ObjectID, amount ledger.Amount) (*Changed, error) {
	return c.change(ctx, "fund", object, func(_ *known, b *ledger.Blob) (ledger.Op, Cost, error) {
		if !b.Shared {
			return nil, Cost{}, requestError("it is not shared")
		}
		return ledger.FundBlob{Object: object, Amount: amount}, Cost{Fund: amount}, nil
	})
}

// Burn gives up a record of ours: nobody owns it any more. The blob stays stored until its end.
func (c *Client) Burn(ctx context.Context, object ledger.ObjectID) (*Changed, error) {
	return c.change(ctx, "burn", object, func(*known, *ledger.Blob) (ledger.Op, Cost, error) {
		return ledger.BurnBlob{Object: object}, Cost{}, nil
	})
}

// SetAttributes sets and removes attributes of a record of ours.
func (c *Client) SetAttributes(ctx context.Context, object ledger.ObjectID, set []ledger.Attribute,
	remove []string) (*Changed, error) {
	set, err := sortedAttributes(set)
	if err != nil {
		return nil, fmt.Errorf("set attributes of %s: %w", object, err)
	}
	remove = slices.Compact(slices.Sorted(slices.Values(remove)))
	return c.change(ctx, "set attributes of", object, func(*known, *ledger.Blob) (ledger.Op, Cost, error) {
		return ledger.SetAttributes{Object: object, Set: set, Remove: remove}, Cost{}, nil
	})
}

// sortedAttributes sorts attributes into the order the ledger requires.
func sortedAttributes(list []ledger.Attribute) ([]ledger.Attribute, error) {
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b ledger.Attribute) int { return strings.Compare(a.Key, b.Key) })
	for i := 1; i < len(list); i++ {
		if list[i].Key == list[i-1].Key {
			return nil, fmt.Errorf("attribute %q is given twice", list[i].Key)
		}
	}
	return list, nil
}

// Record reads the record of a blob. It returns ErrNotFound if no record has that ID.
func (c *Client) Record(ctx context.Context, object ledger.ObjectID) (*ledger.Blob, error) {
	r, err := c.chain.Peek(ctx, ledger.KeyBlob(object))
	if r == nil { // an old state of the record is good enough
		return nil, fmt.Errorf("read record %s: %w", object, err)
	}
	b, err := ledger.ReadBlob(r, object)
	if errors.Is(err, ledger.ErrNotFound) {
		return nil, fmt.Errorf("record %s: %w: the ledger has no such record", object, ErrNotFound)
	}
	return &b, err
}

// change runs one operation on a record. Before anything is sent, prepare returns the operation and its cost, or why it
// cannot be done, and updates the record's end.
func (c *Client) change(ctx context.Context, verb string, object ledger.ObjectID,
	prepare func(*known, *ledger.Blob) (ledger.Op, Cost, error)) (*Changed, error) {
	fail := func(err error) (*Changed, error) { return nil, fmt.Errorf("%s %s: %w", verb, object, err) }
	if c.payer == nil {
		return fail(ErrNoWallet)
	}
	var b ledger.Blob
	var op ledger.Op
	var cost Cost
	err := c.affording(ctx, func() error {
		k, r, err := c.now(ctx, ledger.KeyBlob(object))
		if err != nil {
			return err
		}
		b, err = ledger.ReadBlob(r, object)
		if errors.Is(err, ledger.ErrNotFound) {
			return fmt.Errorf("%w: the ledger has no such record", ErrNotFound)
		}
		if err != nil {
			return err
		}
		if b.End <= k.epoch && verb != "burn" {
			return fmt.Errorf("%w: its storage ended with epoch %d, the current epoch is %d", ErrNotFound, b.End-1, k.epoch)
		}
		if op, cost, err = prepare(&k, &b); err != nil {
			return err
		}
		cost.Fee, cost.Deposit = feeOf(&k.params, []ledger.Op{op}), depositOf(&k.params, []ledger.Op{op})
		return c.afford(k, cost)
	})
	if err != nil {
		return fail(err)
	}
	receipt, err := c.run(ctx, ledger.Fixed(op))
	if err != nil {
		return fail(err)
	}
	c.opened.forget(b.BlobID)
	cost.Fee, cost.Deposit = receipt.Fee, depositPaid(&receipt)
	done := &Changed{Object: object, BlobID: b.BlobID, EndEpoch: b.End, Cost: cost, Receipt: receipt}
	for _, e := range receipt.Events {
		if e.Kind == ledger.EventDeleted {
			done.Storage = e.Other
		}
	}
	return done, nil
}

// Info describes the state of the network.
type Info struct {
	Params    ledger.Params
	Committee *certs.Committee // of Epoch
	Epoch     uint32
	EpochEnd  time.Time     // scheduled end of the epoch
	Burned    ledger.Amount // of all WAL so far
	Rules     ledger.Rules  // version of the ledger's rules
	Sold      uint64        // bytes of encoded size, in this epoch
	Rewards   ledger.Amount // paid out at the end of this epoch, so far
	Balance   ledger.Amount // of the client's account; zero without a wallet
}

// Info reads the state of the network.
func (c *Client) Info(ctx context.Context) (*Info, error) {
	com, err := c.Committee(ctx)
	if err != nil {
		return nil, fmt.Errorf("info: %w", err)
	}
	// pots are read by epoch: read the next one too, in case the epoch changes meanwhile
	k, r, err := c.now(ctx, ledger.KeySupply(), ledger.KeyRules(), ledger.KeyPot(com.Epoch()), ledger.KeyPot(com.Epoch()+1))
	if err == nil && k.epoch > com.Epoch()+1 {
		k, r, err = c.now(ctx, ledger.KeySupply(), ledger.KeyRules(), ledger.KeyPot(k.epoch), ledger.KeyPot(k.epoch+1))
	}
	if err != nil {
		return nil, fmt.Errorf("info: %w", err)
	}
	epoch, err := ledger.ReadEpoch(r)
	if err != nil {
		return nil, fmt.Errorf("info: %w", err)
	}
	supply, err := ledger.ReadSupply(r)
	if err != nil {
		return nil, fmt.Errorf("info: %w", err)
	}
	rules, err := ledger.ReadRules(r)
	if err != nil {
		return nil, fmt.Errorf("info: %w", err)
	}
	pot, err := ledger.ReadPot(r, epoch.Epoch)
	if err != nil {
		return nil, fmt.Errorf("info: %w", err)
	}
	if com, err = c.committeeAt(ctx, epoch.Epoch); err != nil {
		return nil, fmt.Errorf("info: %w", err)
	}
	return &Info{
		Params: k.params, Committee: com, Epoch: epoch.Epoch, EpochEnd: time.Unix(0, epoch.Start).Add(k.params.EpochDuration),
		Rules: rules, Burned: supply.Burned, Sold: pot.Sold, Rewards: pot.Rewards, Balance: k.account.Balance,
	}, nil
}
