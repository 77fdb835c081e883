// Package pin keeps whole copies of blobs for whoever asks, apart from the committee and longer than the storage that
// was paid for. It fetches blobs row by row, checks them against their IDs, announces and serves them, and reads them
// again from time to time. A copy is the metadata and the bytes of the blob, which are its data rows; any sliver can be
// made from them. What it needs of the network it declares as interfaces. Start with Open, then Run.
package pin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"walrus/internal/badgerdisk"
	"walrus/shards"
)

// Source finds and fetches blobs: from the committee, or from other pinners.
type Source interface {
	// Open finds a blob. origins are addresses of peers that may have it. Errors that wrap ErrRefused are final.
	Open(ctx context.Context, id shards.BlobID, origins []string) (Remote, error)
}

// Remote is a blob that was found.
type Remote interface {
	// Metadata returns the verified metadata.
	Metadata() *shards.Metadata
	// Copy writes n bytes of the blob from off on. All of them are verified, also before an error.
	Copy(ctx context.Context, w io.Writer, off, n int64) error
}

// Announcer tells the network what is kept here.
type Announcer interface {
	Announce(ctx context.Context, key [32]byte) error
	// AnnounceAll announces many keys, at less cost for each. It returns for each the number of peers that were told,
	// also with an error.
	AnnounceAll(ctx context.Context, keys [][32]byte) (told []int, err error)
	// Place orders keys: those with nearby places cost least when they are announced together.
	Place(key [32]byte) (uint16, error)
	// Findable looks for this peer's announcement as a stranger would, who shares no state with it.
	Findable(ctx context.Context, keys [][32]byte) (found []bool, err error)
	// Addrs returns the addresses to which announcements lead now, the peer's identity included. Empty: not known yet.
	Addrs() []string
}

// ErrRefused marks a blob that must not be kept: it is invalid, or the operator blocks it.
var ErrRefused = errors.New("this blob is not kept")

// Config of a Keeper.
type Config struct {
	// Dir holds everything; made if missing. One process at a time may use it.
	Dir string
	// Params is the encoding of the network.
	Params shards.Params
	// Limit bounds the disk space of all pins and of their records, in bytes. Default 0: only the disk bounds it.
	Limit int64
	// Rate bounds what is served, in bytes per second, and Daily in bytes per day. Default 0: no bound.
	Rate, Daily int64
	// Source and Announcer are the network. Required, except that without an Announcer nothing is announced.
	Source    Source
	Announcer Announcer
	// Judge returns an error that wraps ErrRefused for a blob that must not be kept or served any more, because the
	// ledger has marked it as invalid. It is asked before each announcement and check. Default nil: none is.
	Judge func(ctx context.Context, id shards.BlobID) error
	// Blocked reports that the operator blocks a blob: it is not served from then on. Call Keeper.Judge when its answer
	// for a blob has changed. Default nil: none is.
	Blocked func(id shards.BlobID) bool
	// Epoch returns the current epoch; 0: not known, so requests with an end are refused. Default nil: they do not end.
	Epoch func() uint32
	// Logger receives what an operator can act on; nil discards.
	Logger *slog.Logger
	// Schedule has the times; zero fields mean those of DefaultSchedule.
	Schedule Schedule
}

// Keeper keeps pins. Its methods may be called concurrently, before Run and while it runs.
type Keeper struct {
	*records
	*copies
	cfg   Config // constant, as the next five
	plan  Schedule
	log   *slog.Logger
	lock  io.Closer
	line  *rate.Limiter // of all that is served; nil: no limit
	files *files

	checking sync.Mutex // held while a blob is encoded again, which takes much memory

	fetched        atomic.Uint64 // rows written since Open
	looked, missed atomic.Uint64 // announcements that were looked for, and not found
}

// Open opens the pins in cfg.Dir. It reads the counts, and nothing for each pin. Close the Keeper after Run.
func Open(cfg Config) (_ *Keeper, err error) {
	if cfg.Dir == "" || cfg.Source == nil || cfg.Params.Shards() == 0 || cfg.Limit < 0 || cfg.Rate < 0 || cfg.Daily < 0 {
		return nil, fmt.Errorf("open pins: the configuration lacks a folder, a source or a network, or has a negative limit")
	}
	k := &Keeper{cfg: cfg, plan: cfg.Schedule.orDefault(), log: cfg.Logger, records: &records{
		schedules: newSchedules(), params: cfg.Params, limit: cfg.Limit, served: newMeter(cfg.Daily), active: map[shards.BlobID]*activity{},
	}, copies: &copies{blobsDir(cfg.Dir), cfg.Params, badgerdisk.Free}}
	if k.log == nil {
		k.log = slog.New(slog.DiscardHandler)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("open pins in %s: %w", cfg.Dir, err), k.release())
		}
	}()
	for _, dir := range []string{cfg.Dir, blobsDir(cfg.Dir)} {
		if err := badgerdisk.MakeDir(dir); err != nil {
			return nil, err
		}
	}
	if k.lock, err = badgerdisk.Lock(filepath.Join(cfg.Dir, "lock")); err != nil {
		return nil, err
	}
	if err = k.openRecords(); errors.Is(err, errDatabase) {
		if err = rebuild(k, err); err == nil {
			err = k.openRecords()
		}
	}
	if err != nil {
		return nil, err
	}
	k.files = newFiles(k)
	if cfg.Rate > 0 {
		k.line = rate.NewLimiter(rate.Limit(cfg.Rate), int(max(cfg.Rate, serveStep)))
	}
	return k, nil
}

// openRecords opens the database and reads what is not about single pins.
func (k *Keeper) openRecords() (err error) {
	if k.db, err = openDatabase(databaseDir(k.cfg.Dir), k.log); err != nil {
		return err
	}
	if err = k.db.view(func(t *tx) error {
		if _, err := t.get([]byte{keyCounts}, &k.counts); err != nil {
			return err
		}
		if _, err := t.get([]byte{keyDay}, &k.served.dayCount); err != nil {
			return err
		}
		return t.keys([]byte{keyRequest}, nil, true, func(key []byte) (bool, error) {
			var newest Request
			_, err := t.get(key, &newest)
			k.stamped = newest.Created
			return false, err
		})
	}); err == nil {
		k.used, err = k.db.used()
	}
	if err != nil {
		err = errors.Join(err, k.db.close())
		k.db = nil
	}
	return err
}

// Run fetches, checks, announces and removes until ctx ends. It returns the first failure of its own database.
func (k *Keeper) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return k.fetchAll(ctx) })
	g.Go(func() error { return k.checkAll(ctx) })
	g.Go(func() error { return k.tend(ctx) })
	g.Go(func() error { return verifyDatabase(ctx, k.db) })
	if k.cfg.Announcer != nil {
		g.Go(func() error { return newHerald(k).all(ctx) })
	}
	err := g.Wait()
	if errors.Is(err, context.Canceled) {
		err = nil
	}
	err = errors.Join(err, k.flushServed())
	if errors.Is(err, errDatabase) { // the next Open looks, and rebuilds
		err = errors.Join(fmt.Errorf("%w: start again: the records are rebuilt from the copies", err), k.db.disk.Distrust())
	}
	return err
}

// Close releases everything. Run must have returned, and no reader be open.
func (k *Keeper) Close() error {
	k.mu.Lock()
	was := k.closed
	k.mu.Unlock()
	if was {
		return nil
	}
	err := k.flushServed()
	k.mu.Lock()
	k.closed = true
	k.mu.Unlock()
	return errors.Join(err, k.db.sync(), k.release())
}

func (k *Keeper) release() (err error) {
	if k.files != nil {
		k.files.close()
	}
	if k.db != nil {
		err = k.db.close()
	}
	if k.lock != nil {
		err = errors.Join(err, k.lock.Close())
	}
	return err
}

// Add asks for a blob, and returns the request as it was taken: it is durable. Adding a CID again makes another request
// with its own ID. A CID of something else makes a request that has failed.
func (k *Keeper) Add(ctx context.Context, r Request) (Request, error) {
	r.Created = k.stamp(time.Now())
	r.ID = newID(r.Created)
	if err := k.prepare(&r); err != nil {
		return Request{}, err
	}
	if err := k.update(func(t *tx, c *counts) error { return k.insert(t, c, &r) }); err != nil {
		return Request{}, fmt.Errorf("pin %s: %w", r.CID, err)
	}
	return k.settled(ctx, &r)
}

// Replace puts a request in the place of another one, as a whole: what both name is never given up in between. The new
// one has an ID of its own.
func (k *Keeper) Replace(ctx context.Context, id string, r Request) (Request, error) {
	r.Created = k.stamp(time.Now())
	r.ID = newID(r.Created)
	if err := k.prepare(&r); err != nil {
		return Request{}, err
	}
	if err := k.update(func(t *tx, c *counts) error {
		if err := k.insert(t, c, &r); err != nil {
			return err
		}
		return k.delete(t, c, id)
	}); err != nil {
		return Request{}, fmt.Errorf("replace request %s: %w", id, err)
	}
	return k.settled(ctx, &r)
}

// Remove ends a request. A blob without requests is removed.
func (k *Keeper) Remove(_ context.Context, id string) error {
	if err := k.update(func(t *tx, c *counts) error { return k.delete(t, c, id) }); err != nil {
		return fmt.Errorf("remove request %s: %w", id, err)
	}
	k.wake()
	return k.db.sync()
}

// Request returns a request and how its blob fares.
func (k *Keeper) Request(id string) (r Request, err error) {
	err = k.db.view(func(t *tx) error {
		known, err := t.get(requestKey(id), &r)
		if err != nil {
			return err
		}
		if !known {
			return fmt.Errorf("request %s: %w", id, ErrNotFound)
		}
		return k.complete(t, &r)
	})
	return r, err
}

// prepare checks a new request and finds its blob.
func (k *Keeper) prepare(r *Request) (err error) {
	if err := r.validate(); err != nil {
		return err
	}
	if err := k.room(0); err != nil {
		return err
	}
	if r.CID == "" {
		r.CID = CID(r.Blob)
	}
	*r = Request{
		ID: r.ID, CID: r.CID, Blob: r.Blob, Name: r.Name, Meta: r.Meta, Origins: r.Origins, Until: r.Until, Created: r.Created,
	}
	if r.Blob == (shards.BlobID{}) {
		if r.Blob, err = ParseCID(r.CID); err != nil {
			r.Status, r.Reason = Failed, err.Error()
		}
	}
	if k.cfg.Epoch != nil && r.Until > 0 {
		switch now := k.cfg.Epoch(); {
		case now == 0:
			return fmt.Errorf("pin until epoch %d: %w: try again in a minute, or without an end", r.Until, ErrNoEpoch)
		case r.Until <= now:
			return fmt.Errorf("%w: pin until epoch %d: that epoch has begun, now is epoch %d: name a later one, or none",
				ErrInvalid, r.Until, now)
		}
	}
	return k.admit(r.Blob)
}

// settled makes a new request durable.
func (k *Keeper) settled(_ context.Context, r *Request) (Request, error) {
	if err := k.db.sync(); err != nil {
		return Request{}, fmt.Errorf("pin %s: %w", r.CID, err)
	}
	k.wake()
	return k.Request(r.ID)
}

// Stats counts what a Keeper has and does.
type Stats struct {
	Requests int // of them Foreign for CIDs of something else
	Foreign  int
	Pinned   int // blobs, as the next four
	Queued   int
	Fetching int
	Failing  int // wait for another try
	Refused  int
	Bytes    int64 // of disk, of pins and records
	Limit    int64 // 0: none
	Served   uint64
	Today    int64  // bytes served since midnight UTC
	Daily    int64  // 0: none
	Fetched  uint64 // rows since the start
	// Looked counts announcements that were looked for from outside since the start, Missing those that were not found.
	Looked, Missing uint64
}

// Status reports counts. It costs the same however many pins there are.
func (k *Keeper) Status() Stats {
	k.mu.Lock()
	defer k.mu.Unlock()
	c := k.counts
	s := Stats{
		Requests: c.Requests, Foreign: c.Foreign, Pinned: c.Pinned, Failing: c.Failing, Refused: c.Refused,
		Bytes: c.Space + k.used, Limit: k.cfg.Limit, Daily: k.cfg.Daily, Fetched: k.fetched.Load(),
		Looked: k.looked.Load(), Missing: k.missed.Load(),
	}
	for _, a := range k.active {
		if a.fetching {
			s.Fetching++
		}
	}
	s.Queued = max(c.Waiting-c.Failing-s.Fetching, 0)
	s.Served, s.Today = k.served.totals()
	return s
}

// errStays: a file cannot be removed.
var errStays = errors.New("remove a pinned blob: its file stays")

// removeFiles removes the files of a blob that nobody wants any more, unless it is worked on.
func (k *Keeper) removeFiles(ctx context.Context, id shards.BlobID) error {
	_, release, ok := k.claim(ctx, id, false)
	if !ok {
		return nil
	}
	defer release()
	var wanted bool
	if err := k.db.view(func(t *tx) error {
		raw, err := t.raw(blobKey(keyBlob, id))
		wanted = raw != nil
		return err
	}); err != nil || wanted {
		return err
	}
	k.files.forget(id)
	if err := removeFile(k.path(id)); err != nil {
		return fmt.Errorf("%w: %w", errStays, err)
	}
	return k.update(func(t *tx, _ *counts) error { return t.remove(blobKey(keyDrop, id)) })
}
