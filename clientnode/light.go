package clientnode

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/certs"
	"walrus/client"
	"walrus/ledger"
	"walrus/ledger/light"
	"walrus/ledger/wallet"
	"walrus/shards"
)

// Chain is a client process's view of the ledger.
type Chain struct {
	Ledger client.Ledger
	Payer  client.Payer  // nil without a wallet
	Light  *light.Client // nil in tests without one
	Named  []peer.ID     // nodes that the genesis names: lies about their addresses must not hide them
}

// OpenChain opens a client's view of the ledger over its host. connect finds a peer's addresses and dials it.
type OpenChain func(h host.Host, connect func(context.Context, peer.ID) error) (Chain, error)

// Light opens the ledger of the network of genesis g. Nodes prove every answer. w may be nil: then nothing can be paid.
func Light(g *ledger.Genesis, w *wallet.Wallet, log *slog.Logger) OpenChain {
	return LightFrom(g, Trust{}, w, log)
}

// LightFrom is Light with another start of trust than the genesis.
func LightFrom(g *ledger.Genesis, trust Trust, w *wallet.Wallet, log *slog.Logger) OpenChain {
	return func(h host.Host, connect func(context.Context, peer.ID) error) (Chain, error) {
		cfg := light.Config{Genesis: g, Host: h, Connect: connect, Logger: log}
		trust.apply(&cfg)
		l, err := light.New(cfg)
		if err != nil {
			return Chain{}, err
		}
		c := Chain{Ledger: &proven{l, log}, Light: l}
		for _, m := range g.Members {
			c.Named = append(c.Named, m.Node)
		}
		if w != nil {
			c.Payer = wallet.NewPayer(w, payable{l, g.NetworkID()})
		}
		return c, nil
	}
}

// proven adapts a light client to client.Ledger.
type proven struct {
	light *light.Client
	log   *slog.Logger
}

// Committees returns the current epoch and its committees, or the newest ones known if no node proves any.
func (p *proven) Committees(ctx context.Context) (epoch uint32, all certs.Committees, err error) {
	epoch, all, err = p.light.Committees(ctx)
	if err == nil || ctx.Err() != nil || errors.Is(err, light.ErrExpired) || errors.Is(err, light.ErrCheckpoint) {
		return epoch, all, err
	}
	lied := errors.Is(err, light.ErrLied)
	epoch, all, known := p.light.NewestCommittees()
	if lied {
		p.log.Warn("the committee of the current epoch is not proven; using the newest one known", "epoch", epoch, "err", err)
	}
	return epoch, all, known
}

// Read reads proven values.
func (p *proven) Read(ctx context.Context, keys ...[]byte) (ledger.Reader, error) {
	v, err := p.light.Get(ctx, 0, keys...)
	if err != nil {
		return nil, asStalled(err)
	}
	return v, nil
}

// Peek reads proven values without waiting for a stalled ledger.
func (p *proven) Peek(ctx context.Context, keys ...[]byte) (ledger.Reader, error) {
	v, err := p.light.Peek(ctx, keys...)
	if v == nil {
		return nil, asStalled(err)
	}
	return v, asStalled(err)
}

// CatchUp makes later readings as new as what most nodes have.
func (p *proven) CatchUp(ctx context.Context) { p.light.CatchUp(ctx) }

// Objects returns owner's objects, proven to be complete.
func (p *proven) Objects(ctx context.Context,
	owner ledger.Address) (map[ledger.ObjectID]ledger.Storage, map[ledger.ObjectID]ledger.Blob, error) {
	o, err := p.light.Objects(ctx, owner)
	if err != nil {
		return nil, nil, asStalled(err)
	}
	storages, blobs := map[ledger.ObjectID]ledger.Storage{}, map[ledger.ObjectID]ledger.Blob{}
	for _, s := range o.Storages {
		storages[s.ID] = s.Storage
	}
	for _, b := range o.Blobs {
		blobs[b.ID] = b.Blob
	}
	return storages, blobs, nil
}

// certifyingPages bounds the pages of a blob's history that are read for one event.
const certifyingPages = 2

// Certifying implements client.Historian.
func (p *proven) Certifying(ctx context.Context, blob shards.BlobID, end uint32) (*client.Event, error) {
	var at light.Cursor
	for range certifyingPages {
		h, err := p.light.About(ctx, ledger.AboutBlob(blob), at, light.MaxHistory)
		if h == nil {
			return nil, err
		}
		for _, e := range h.Entries {
			if seq, ok := e.Receipt.Certifies(blob, end); ok {
				return &client.Event{Tx: e.Receipt.ID, Seq: seq}, nil
			}
		}
		if h.Next == nil {
			break
		}
		at = *h.Next
	}
	return nil, nil
}

// Offers names objects that are offered to an account.
func (p *proven) Offers(ctx context.Context, to ledger.Address, limit int) ([]ledger.ObjectID, error) {
	ids, err := light.Offers(ctx, p.light, to, ledger.ObjectID{}, limit)
	return ids, asStalled(err)
}

// asStalled turns a light client's errors for an unusable ledger into client.ErrStalled.
func asStalled(err error) error {
	if err == nil || errors.Is(err, client.ErrStalled) {
		return err
	}
	if errors.Is(err, light.ErrStalled) || errors.Is(err, light.ErrUnavailable) || errors.Is(err, light.ErrBehind) {
		return &stalled{err}
	}
	return err
}

// stalled is client.ErrStalled with the text of the light client's error.
type stalled struct{ err error }

func (s *stalled) Error() string {
	text, before := s.err.Error(), light.ErrStalled.Error()+": "
	if i := strings.LastIndex(text, before); i >= 0 {
		return text[i+len(before):]
	}
	return text
}

func (s *stalled) Unwrap() []error { return []error{client.ErrStalled, s.err} }

// payable adapts a light client to wallet.Chain.
type payable struct {
	*light.Client
	network certs.NetworkID
}

// Submit sends a transaction and waits for its receipt.
func (p payable) Submit(ctx context.Context, tx *ledger.Tx) (ledger.Receipt, error) {
	r, err := p.Client.Submit(ctx, tx)
	if errors.Is(err, light.ErrPending) {
		err = &unknown{asStalled(err)}
	}
	return r, asStalled(err)
}

// unknown marks a transaction of unknown outcome and keeps the text of its cause.
type unknown struct{ err error }

func (u *unknown) Error() string   { return u.err.Error() }
func (u *unknown) Unwrap() []error { return []error{wallet.ErrUnknown, u.err} }

// historyPages bounds how far back Used looks: the nonces it is asked for were used moments ago.
const historyPages = 32

// Used searches an account's history for the transaction that used a nonce.
func (p payable) Used(ctx context.Context, a ledger.Address, nonce uint64) (ledger.Receipt, error) {
	var from light.Cursor
	for range historyPages {
		h, err := p.History(ctx, a, from, light.MaxHistory)
		if h == nil {
			return ledger.Receipt{}, asStalled(err)
		}
		for _, e := range h.Entries {
			if _, free := e.Tx.Free(); e.Tx.Sender.Address() == a && e.Tx.Nonce == nonce && !free {
				return e.Receipt, nil
			}
		}
		if h.Next == nil {
			break
		}
		from = *h.Next
	}
	return ledger.Receipt{}, fmt.Errorf("transaction %d of account %s: %w", nonce, a, ledger.ErrNotFound)
}

// Head reads the account's head.
func (p payable) Head(ctx context.Context, a ledger.Address) (h wallet.Head, err error) {
	v, err := p.Get(ctx, 0, ledger.KeyParams(), ledger.KeyEpoch(), ledger.KeyAccount(a))
	if err != nil {
		return h, asStalled(err)
	}
	h.Network, h.Height = p.network, v.Height
	if h.Params, err = ledger.ReadParams(v); err != nil {
		return h, fmt.Errorf("read the ledger: %w", err)
	}
	epoch, err := ledger.ReadEpoch(v)
	if err != nil {
		return h, fmt.Errorf("read the ledger: %w", err)
	}
	h.Epoch = epoch.Epoch
	h.Account, err = ledger.ReadAccount(v, a)
	return h, err
}
