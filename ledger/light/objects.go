package light

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/internal/pause"
	"walrus/ledger"
)

// Owned lists all objects of an account.
type Owned struct {
	Account  ledger.Account
	Storages []OwnedStorage // ascending by ID, as are Blobs; expired ones included
	Blobs    []OwnedBlob
}

// OwnedStorage is a storage resource with its ID.
type OwnedStorage struct {
	ID ledger.ObjectID
	ledger.Storage
}

// OwnedBlob is a blob's record with its ID.
type OwnedBlob struct {
	ID ledger.ObjectID
	ledger.Blob
}

const (
	// objectTries limits the attempts to list an account that changes during the listing.
	objectTries = 5
	// mismatches limits the lists of a node that do not match an unchanged account. One such list may be honest, if
	// one object came and another went meanwhile, so the node gets a second chance after a pause.
	mismatches    = 2
	mismatchPause = 500 * time.Millisecond
)

// errMismatch reports a list that contradicts the account's counts.
var errMismatch = errors.New("objects are withheld or made up")

// Objects lists all objects that an account owns. Each record is proven, and the account's counts prove that none is
// missing. An account that changes all the time gives ErrChanging. If the ledger stands still, the list comes with a
// *Stall.
func (c *Client) Objects(ctx context.Context, owner ledger.Address) (*Owned, error) {
	owned, err := first(ctx, c, func(ctx context.Context, id peer.ID) (*Owned, error) {
		return c.objectsFrom(ctx, id, owner)
	})
	if owned == nil {
		return nil, fmt.Errorf("list objects of %s: %w", owner, err)
	}
	return owned, err
}

// objectsFrom lists the objects that one node names.
func (c *Client) objectsFrom(ctx context.Context, id peer.ID, owner ledger.Address) (*Owned, error) {
	wrongs := 0
	for range objectTries {
		owned, err := c.listOnce(ctx, id, owner)
		switch {
		case err == nil || owned != nil:
			return owned, err
		case errors.Is(err, ErrChanging):
			continue
		case errors.Is(err, errMismatch):
			if wrongs++; wrongs == mismatches {
				return nil, falsehood{err}
			}
			if !pause.For(ctx, mismatchPause) {
				return nil, context.Cause(ctx)
			}
		default:
			return nil, err
		}
	}
	return nil, ErrChanging
}

// listOnce reads the account, the names and the records. A list comes with nil or a *Stall.
func (c *Client) listOnce(ctx context.Context, id peer.ID, owner ledger.Address) (*Owned, error) {
	v, stall := c.readFrom(ctx, id, c.lowest(), [][]byte{ledger.KeyAccount(owner)})
	if v == nil {
		return nil, stall
	}
	account, err := ledger.ReadAccount(v, owner)
	if err != nil {
		return nil, err
	}
	owned := &Owned{Account: account}
	count := int(account.Storages) + int(account.Blobs)
	for found, after := 0, (ledger.ObjectID{}); ; {
		var page objectsAnswer
		if err := c.ask(ctx, id, objectsProtocol, &objectsRequest{owner, after, MaxObjects}, &page); err != nil {
			return nil, err
		}
		for _, o := range page.Objects {
			if string(o.ID[:]) <= string(after[:]) {
				return nil, wrong("objects of %s are not in order", owner)
			}
			after = o.ID
		}
		if found += len(page.Objects); found > count {
			return nil, c.mismatch(ctx, id, owner, account, "the node names more")
		}
		if err := c.records(ctx, id, owner, v.Height, page.Objects, owned); err != nil {
			return nil, err
		}
		if len(page.Objects) < MaxObjects {
			break
		}
	}
	if len(owned.Storages) != int(account.Storages) || len(owned.Blobs) != int(account.Blobs) {
		return nil, c.mismatch(ctx, id, owner, account, fmt.Sprintf("the node shows %d and %d", len(owned.Storages), len(owned.Blobs)))
	}
	return owned, stall
}

// mismatch returns the error for a list that does not match the account; ErrChanging if the account has changed.
func (c *Client) mismatch(ctx context.Context, id peer.ID, owner ledger.Address, before ledger.Account, what string) error {
	v, err := c.readFrom(ctx, id, c.lowest(), [][]byte{ledger.KeyAccount(owner)})
	if !stood(err) {
		return err
	}
	now, err := ledger.ReadAccount(v, owner)
	if err != nil {
		return err
	}
	if now != before {
		return ErrChanging
	}
	return fmt.Errorf("%w: %s owns %d storage resources and %d blobs, %s", errMismatch, owner, now.Storages, now.Blobs, what)
}

// records reads the named objects and adds those of the owner. The account must be unchanged.
func (c *Client) records(ctx context.Context, id peer.ID, owner ledger.Address, height uint64, names []Object, owned *Owned) error {
	for len(names) > 0 {
		some := names[:min(len(names), MaxKeys-1)]
		names = names[len(some):]
		keys := [][]byte{ledger.KeyAccount(owner)}
		for _, o := range some {
			keys = append(keys, o.key())
		}
		v, err := c.readFrom(ctx, id, height, keys)
		if !stood(err) {
			return err
		}
		account, err := ledger.ReadAccount(v, owner)
		if err != nil {
			return err
		}
		if account != owned.Account {
			return ErrChanging
		}
		for _, o := range some {
			if err := owned.add(v, owner, o); err != nil {
				return err
			}
		}
	}
	return nil
}

// add adds a record that v has, if it is the owner's.
func (o *Owned) add(v *View, owner ledger.Address, name Object) error {
	if name.Blob {
		b, err := ledger.ReadBlob(v, name.ID)
		if err == nil && b.Owner == owner {
			o.Blobs = append(o.Blobs, OwnedBlob{name.ID, b})
		}
		return ignoreAbsent(err)
	}
	s, err := ledger.ReadStorage(v, name.ID)
	if err == nil && s.Owner == owner {
		o.Storages = append(o.Storages, OwnedStorage{name.ID, s})
	}
	return ignoreAbsent(err)
}

// ignoreAbsent drops the error for an absent record: the counts reveal it.
func ignoreAbsent(err error) error {
	if errors.Is(err, ledger.ErrNotFound) {
		return nil
	}
	return err
}
