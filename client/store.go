package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"filippo.io/age"
	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/certs"
	"walrus/ledger"
	"walrus/shards"
)

// StoreOptions configures one Store call.
type StoreOptions struct {
	Progress Progress
	// Force registers the blob anew, pays for it, and offers it to every node, even if it is certified already.
	Force bool
	// Epochs to store the blob for, including the current one; 0 means 1, MaxEpochs the most the network sells.
	Epochs uint32
	// Permanent blobs cannot be deleted before their end; the owner can delete others.
	Permanent bool
	// Attributes of the record, in any order.
	Attributes []ledger.Attribute
	// Share gives the record to everybody once it is certified, with Fund for its extension. The record must be
	// permanent.
	Share bool
	Fund  ledger.Amount
	// SendTo, unless zero, is offered the record once it is certified, until its end. Store then uses a new record, or
	// one of ours that was never certified.
	SendTo ledger.Address
	// Encrypt lists recipients. Unless it is empty, src is encrypted for them into a temporary file, which is stored.
	// The size in the result then counts encrypted bytes.
	Encrypt []age.Recipient
	// Approve, if not nil, is called with the highest possible cost before anything is paid. Its error ends the store.
	// It is called again for a new plan if the ledger moved on.
	Approve func(Cost) error
	// DryRun encodes and plans without paying or sending. The result says what storing would cost.
	DryRun bool
}

// StoreResult reports how a blob was stored and what was paid.
type StoreResult struct {
	BlobID      shards.BlobID
	Size        uint64 // bytes of the blob
	EncodedSize int64  // bytes that all nodes store together, metadata included

	Operation       Operation       // how the blob got the right to be stored
	Object          ledger.ObjectID // the record; zero after a dry run, or if another account's record was used
	Deletable       bool
	Shared          bool
	RegisteredEpoch uint32 // zero if another account's record was used
	CertifiedEpoch  uint32 // zero after a dry run
	EndEpoch        uint32 // the epoch at whose start storage ends
	EpochsExtended  uint32 // epochs by which our own record was extended
	Cost            Cost   // paid; after a dry run, the most that storing would cost
	Txs             []ledger.TxID

	AlreadyCertified bool          // nothing was paid and nothing uploaded
	Certifying       *Event        // what certified or extended another account's record; nil if not known, or for ours
	Encoding         time.Duration // time to compute the blob ID
	UploadResult
}

// UploadResult says which nodes keep the blob. Nothing but Needed and Shards is set if nothing was uploaded.
type UploadResult struct {
	Certificate *certs.Certificate // proof that a quorum keeps the blob
	Confirmed   int                // shards whose nodes confirmed that they keep the blob
	Needed      int                // shards in a quorum
	Shards      int                // n
	Nodes       []NodeUpload       // in committee order
	Uploading   time.Duration      // from the blob ID until the blob was certified
}

// NodeUpload reports one node's part in a Store.
type NodeUpload struct {
	Node      peer.ID
	Name      string
	Shards    []int
	Confirmed bool
	Sent      int64  // bytes of slivers sent to it
	Err       error  // why it did not confirm; the node repairs itself when it learns of the certificate
	Why       string // Err in one short line, for people
}

// Store encodes src, registers the blob and uploads to each node the sliver pairs of its shards. It returns when a
// quorum has confirmed, the ledger has the certificate, and the other nodes have had a bounded time to finish. src is
// read twice and never held in memory. A Store repeated after a failure uses the existing registration and sends only
// what nodes lack. Errors: *NotEnoughError; ErrNoWallet, ErrNoFunds, ErrStalled; *InvalidBlobError if the ledger has
// marked the blob ID; a *ledger.OpError; or the error of reading src. With an error Store also returns the result so
// far.
func (c *Client) Store(ctx context.Context, src io.ReaderAt, size uint64, opt StoreOptions) (*StoreResult, error) {
	if c.payer == nil {
		return nil, fmt.Errorf("store: %w", ErrNoWallet)
	}
	if len(opt.Encrypt) > 0 {
		return c.storeSealed(ctx, src, size, opt)
	}
	attributes, err := sortedAttributes(opt.Attributes)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	com, err := c.Committee(ctx)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	start := time.Now()
	way := c.reach(ctx, com)
	defer way.end()
	enc, err := shards.NewEncoder(com.Params(), src, size)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	meta, err := enc.Metadata(ctx, func(done, total int64) { opt.Progress.report(Encoding, done, total) })
	if err != nil {
		return nil, fmt.Errorf("store: encode: %w", err)
	}
	w := &want{
		meta: meta, id: meta.ID(), encoded: uint64(com.Params().EncodedSize(size)), epochs: max(1, opt.Epochs),
		permanent: opt.Permanent,
		anew:      opt.Force, share: opt.Share, fund: opt.Fund, sendTo: opt.SendTo, attributes: attributes,
	}
	res := &StoreResult{
		BlobID: w.id, Size: size, EncodedSize: com.Params().EncodedSize(size), Encoding: time.Since(start),
		UploadResult: UploadResult{Needed: com.Quorum(), Shards: com.Params().Shards()},
	}
	for attempt := 1; ; attempt++ {
		err := c.store(ctx, way, enc, w, opt, res)
		if err == nil {
			return res, nil
		}
		if attempt == storeAttempts || !replan(err) || ctx.Err() != nil {
			if errors.Is(err, ErrStalled) {
				err = fmt.Errorf("%w: blobs can still be read; store again when the ledger runs: what was paid and sent is used then", err)
			}
			return res, fmt.Errorf("store %s: %w", w.id, err)
		}
		c.log.Debug("the ledger moved on while a blob was stored; planning anew", "blob", w.id.String(), "err", err)
		w.noReuse = attempt >= reuseAttempts
	}
}

const (
	// storeAttempts bounds how often one Store is planned: the state may move on between a plan and its transaction.
	storeAttempts = 5
	// reuseAttempts bounds the attempts that plan with our own storage resources: another process may use them too.
	reuseAttempts = 2
)

// store makes one attempt: it plans, pays and uploads.
func (c *Client) store(ctx context.Context, way *connecting, enc *shards.Encoder, w *want, opt StoreOptions,
	res *StoreResult) error {
	var p *plan
	var com *certs.Committee
	err := c.affording(ctx, func() (err error) {
		p, com, err = c.planStore(ctx, w)
		return err
	})
	if err != nil {
		return err
	}
	defer c.claims.release(p.storage)
	res.Operation, res.Object, res.EndEpoch, res.EpochsExtended = p.operation, p.object, p.end, p.extended
	res.RegisteredEpoch, res.CertifiedEpoch = p.start, p.certified
	res.AlreadyCertified = p.operation == AlreadyCertified
	res.Deletable, res.Shared = p.deletable, opt.Share && !res.AlreadyCertified
	if opt.DryRun {
		res.Cost = p.cost
		return nil
	}
	if res.AlreadyCertified && res.Object == (ledger.ObjectID{}) {
		res.Certifying = certifying(ctx, c.chain, w.id, res.EndEpoch, c.log)
	}
	if opt.Approve != nil {
		if err := opt.Approve(p.cost); err != nil {
			return err
		}
	}
	start := time.Now()
	uploads := p.certified == 0
	if uploads { // pay only if the blob can be certified
		if res.Nodes, err = way.wait(); err != nil {
			return err
		}
	}
	reg := c.register(ctx, w, p)
	defer reg.end() // it uses ctx
	if !uploads {
		reg.begin()
		err := reg.wait()
		reg.addPaid(res)
		return err
	}
	u := newUpload(c, com, enc, w, reg, opt.Progress)
	err = u.run(ctx)
	reg.end()
	reg.addPaid(res)
	res.Certificate, res.Confirmed, res.Nodes = u.cert, u.weight(), u.outcome()
	if u.cert != nil {
		res.Uploading = u.certified.Sub(start)
		if p.certified == 0 {
			res.CertifiedEpoch = u.cert.Epoch
		}
	}
	return err
}

// certifyingTime bounds the search for an event that only the answer names.
const certifyingTime = 3 * time.Second

// certifying finds the event that made a blob certified until an end. Without it the answer is as good.
func certifying(ctx context.Context, chain any, id shards.BlobID, end uint32, log *slog.Logger) *Event {
	h, ok := chain.(Historian)
	if !ok {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, certifyingTime)
	defer cancel()
	e, err := h.Certifying(ctx, id, end)
	if err != nil {
		log.Debug("the event that certified a blob is not known", "blob", id.String(), "err", err)
	}
	return e
}

// planStore decides how to store w, with the state that one node gives and the committee of its epoch.
func (c *Client) planStore(ctx context.Context, w *want) (*plan, *certs.Committee, error) {
	k, r, err := c.now(ctx, ledger.KeyBlobInfo(w.id))
	if err != nil {
		return nil, nil, fmt.Errorf("plan: %w", err)
	}
	com, err := c.committeeAt(ctx, k.epoch)
	if err != nil {
		return nil, nil, fmt.Errorf("plan: %w", err)
	}
	k.members = len(com.Members())
	if k.info, err = ledger.ReadBlobInfo(r, w.id); err != nil {
		return nil, nil, fmt.Errorf("plan: %w", err)
	}
	if k.info.Invalid {
		return nil, nil, c.peekInvalid(ctx, w.id)
	}
	// the account's objects matter only if one of them can serve this store
	if k.account.Storages > 0 || k.account.Blobs > 0 && k.info.RegisteredUntil(k.epoch) > 0 {
		if err := planObjects(ctx, c, &k); err != nil {
			return nil, nil, fmt.Errorf("plan: %w", err)
		}
	}
	p, err := c.claims.decide(w, &k)
	if err != nil {
		return nil, nil, err
	}
	if err := c.afford(k, p.cost); err != nil {
		c.claims.release(p.storage)
		return nil, nil, err
	}
	return p, com, nil
}

// planListing bounds the listing of an account for a plan. Storage costs less than a blob that is not stored.
const planListing = 10 * time.Second

// planObjects lists the account's objects. A plan can do without them and buy, so only the end of ctx is an error.
func planObjects(ctx context.Context, c *Client, k *known) (err error) {
	short, stop := context.WithTimeout(ctx, planListing)
	defer stop()
	if k.storages, k.blobs, err = c.chain.Objects(short, c.payer.Address()); err == nil || ctx.Err() != nil {
		return err
	}
	c.log.Warn("the account's objects cannot be listed: storing with new storage, even if some could be used again",
		"account", c.payer.Address(), "err", err)
	return nil
}

// claims lists the storage resources that stores of this client are about to use, so that no two of them plan with the
// same one.
type claims struct {
	mu   sync.Mutex
	held map[ledger.ObjectID]bool // guarded by mu
}

// decide plans a Store without the storage that other stores have claimed. The caller must release the plan's storage.
func (c *claims) decide(w *want, k *known) (*plan, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id := range c.held {
		delete(k.storages, id)
	}
	p, err := decide(w, k)
	if err == nil && p.storage != (ledger.ObjectID{}) {
		c.held[p.storage] = true
	}
	return p, err
}

func (c *claims) release(storage ledger.ObjectID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.held, storage)
}
