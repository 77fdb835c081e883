package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/certs"
	"walrus/client"
	"walrus/gateway/pages"
	"walrus/ledger"
	"walrus/p2p"
	"walrus/shards"
)

// explored lists the client methods that the pages use.
type explored interface {
	Committee(ctx context.Context) (*certs.Committee, error)
	Info(ctx context.Context) (*client.Info, error)
	Health(ctx context.Context) (*client.Health, error)
	BlobStatus(ctx context.Context, id shards.BlobID) (*client.BlobStatus, error)
	Record(ctx context.Context, object ledger.ObjectID) (*ledger.Blob, error)
	NodeHistory(ctx context.Context, id peer.ID) ([]p2p.HistoryPoint, error)
	Store(ctx context.Context, src io.ReaderAt, size uint64, opt client.StoreOptions) (*client.StoreResult, error)
}

// ExploreConfig configures the pages' data. Fields that are not set are left out of the pages.
type ExploreConfig struct {
	// Stored and Read return the bytes of blobs that this gateway has stored and served since it started.
	Stored, Read func() uint64
	// Head reads up to max bytes from the start of a blob: the pages guess its type from them, and show text.
	Head func(ctx context.Context, id shards.BlobID, max int) ([]byte, error)
	// Store replaces the client's Store, so that form uploads are counted, bounded and drained like others.
	Store func(ctx context.Context, src io.ReaderAt, size uint64, opt client.StoreOptions) (*client.StoreResult, error)
	// Quilt lists the files of a blob that may be a quilt.
	Quilt func(ctx context.Context, id shards.BlobID) ([]pages.QuiltFile, error)
	// Pinners returns peers that claim to pin a blob, those found when ctx ends.
	Pinners func(ctx context.Context, id shards.BlobID) []peer.ID
	// Pinned looks for peers that pin a blob and give its metadata; nil if there are none.
	Pinned func(ctx context.Context, id shards.BlobID) *client.Pinned
	// Chronicle reads the ledger's blocks and transactions.
	Chronicle Chronicle
}

// Times and bounds of the explorer.
const (
	exploreFresh    = 2 * time.Second        // a younger answer counts as current
	exploreStale    = time.Minute            // up to this age it is still shown while a new one is fetched
	explorePatience = 300 * time.Millisecond // but the new one is waited for this long first
	exploreLimit    = 15 * time.Second       // for asking all nodes: above the client's own limit for one
	exploreAtOnce   = 8                      // concurrent questions to the ledger
	exploreHeaders  = 512                    // blocks kept: they do not change
	exploreBlobs    = 64                     // answers about blobs kept
	sampleEvery     = 5 * time.Second
	sampleKeep      = 360 // half an hour
	sampleRefresh   = 6   // samples between two questions to the network if no page asks
)

// Explorer answers the questions of the pages, and counts throughput while Run runs. Many readers share one question to
// the network.
type Explorer struct {
	cfg    ExploreConfig // constant after NewExplorer, as the next
	client explored

	work    sync.WaitGroup // questions in progress
	network recent[*networkState]

	turn      chan struct{} // semaphore of questions to the ledger that are not shared
	mu        sync.Mutex
	histories map[peer.ID]*recent[[]p2p.HistoryPoint] // guarded by mu, as all that follow; of the committee's members
	told      map[peer.ID]*pages.NodeHistory          // their latest histories
	seen      map[peer.ID]time.Time                   // when they last answered
	headers   map[uint64]*pages.Block
	blobs     map[shards.BlobID]*recent[*pages.Blob]
	samples   []pages.Sample // oldest first
	claims    map[claim]time.Time
}

// NewExplorer makes an Explorer over c. It starts nothing.
func NewExplorer(cfg ExploreConfig, c explored) *Explorer {
	if cfg.Store == nil {
		cfg.Store = c.Store
	}
	return &Explorer{
		cfg: cfg, client: c, turn: make(chan struct{}, exploreAtOnce), blobs: map[shards.BlobID]*recent[*pages.Blob]{},
		headers:   map[uint64]*pages.Block{},
		histories: map[peer.ID]*recent[[]p2p.HistoryPoint]{}, told: map[peer.ID]*pages.NodeHistory{},
		seen: map[peer.ID]time.Time{}, claims: map[claim]time.Time{},
	}
}

// Run samples throughput until ctx ends, then waits for questions in progress.
func (e *Explorer) Run(ctx context.Context) error {
	defer e.work.Wait()
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	last := e.count()
	for n := 0; ; n++ {
		if n%sampleRefresh == 0 {
			e.network.start(ctx, &e.work, e.askNetwork)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		now := e.count()
		e.sample(last, now)
		last = now
	}
}

// counted records the gateway's counters at a time.
type counted struct {
	at           time.Time
	stored, read uint64
}

func (e *Explorer) count() counted {
	c := counted{at: time.Now()}
	if e.cfg.Stored != nil {
		c.stored = e.cfg.Stored()
	}
	if e.cfg.Read != nil {
		c.read = e.cfg.Read()
	}
	return c
}

// sample records the difference between two counts.
func (e *Explorer) sample(from, to counted) {
	s := pages.Sample{Time: to.at}
	if d := to.at.Sub(from.at).Seconds(); d > 0 {
		s.Stored, s.Read = float64(to.stored-min(from.stored, to.stored))/d, float64(to.read-min(from.read, to.read))/d
	}
	if n, _, ok := e.network.last(); ok {
		s.Blobs, s.Height = n.network.Storage.Blobs, n.network.Ledger.Height
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.samples = append(e.samples, s)
	if extra := len(e.samples) - sampleKeep; extra > 0 {
		e.samples = append(e.samples[:0], e.samples[extra:]...)
	}
}

// Network implements pages.Data.
func (e *Explorer) Network(ctx context.Context) (*pages.Network, error) {
	s, err := e.state(ctx)
	if err != nil {
		return nil, err
	}
	n := *s.network
	e.mu.Lock()
	defer e.mu.Unlock()
	n.Throughput = append([]pages.Sample{}, e.samples...)
	return &n, nil
}

// Node implements pages.Data.
func (e *Explorer) Node(ctx context.Context, key string) (*pages.Node, error) {
	s, err := e.state(ctx)
	if err != nil {
		return nil, err
	}
	// IDs come before names, or a node named like another's peer ID could pose as it.
	for _, named := range []bool{false, true} {
		for i := range s.health.Nodes {
			if n := &s.health.Nodes[i]; !named && n.Node.String() == key || named && n.Name == key {
				node := s.node(n)
				e.remember(ctx, n, node)
				return node, nil
			}
		}
	}
	return nil, fmt.Errorf("node %.100s: %w in the committee", key, pages.ErrNotFound)
}

// Price implements pages.Data.
func (e *Explorer) Price(ctx context.Context, size uint64, epochs uint32) (*pages.Price, error) {
	s, err := e.state(ctx)
	if err != nil {
		return nil, err
	}
	if s.info == nil {
		return nil, fmt.Errorf("price: %w", s.infoErr)
	}
	p := &s.info.Params
	if size > shards.MaxLength {
		return nil, fmt.Errorf("price: a blob of %d bytes is %w: the limit is %d", size, pages.ErrRange,
			uint64(shards.MaxLength))
	}
	if epochs == 0 || epochs > p.MaxEpochsAhead {
		return nil, fmt.Errorf("price: %d epochs are %w: 1 to %d are", epochs, pages.ErrRange, p.MaxEpochsAhead)
	}
	price := &pages.Price{
		Size: size, EncodedSize: uint64(s.committee.Params().EncodedSize(size)), Epochs: epochs,
		Fees: aboutFees(p, len(s.committee.Members()), epochs),
		End:  s.network.Epoch.At(s.info.Epoch + epochs),
	}
	if price.Storage, err = p.StorageCost(price.EncodedSize, epochs); err != nil {
		return nil, fmt.Errorf("price: %w", err)
	}
	if price.Write, err = p.WriteCost(price.EncodedSize); err != nil {
		return nil, fmt.Errorf("price: %w", err)
	}
	for _, a := range []ledger.Amount{price.Storage, price.Write, price.Fees} {
		if price.Total, err = price.Total.Add(a); err != nil {
			return nil, fmt.Errorf("price: %w", err)
		}
	}
	price.Text = price.Total.String()
	return price, nil
}

// aboutFees estimates the fees of registering and certifying a blob for some epochs: a transaction has some 350 bytes,
// and a certificate two bytes per signer.
func aboutFees(p *ledger.Params, members int, epochs uint32) ledger.Amount {
	signed := ledger.CertifyBlob{Certificate: make([]byte, 140+2*members)}
	return p.MinFee(350, []ledger.Op{ledger.BuyStorage{End: epochs}, ledger.RegisterBlob{}}) +
		p.MinFee(350+2*members, []ledger.Op{signed})
}

// Store implements pages.Data.
func (e *Explorer) Store(ctx context.Context, u pages.Upload) (*pages.Stored, error) {
	opt := client.StoreOptions{Epochs: u.Epochs, Permanent: u.Permanent}
	if t, _, err := mime.ParseMediaType(u.ContentType); err == nil && t != "application/octet-stream" &&
		len(u.ContentType) <= ledger.MaxAttributeValue {
		opt.Attributes = []ledger.Attribute{{Key: contentTypeKey, Value: u.ContentType}}
	}
	res, err := e.cfg.Store(ctx, u.File, u.Size, opt)
	if err != nil {
		f := classify(storing, err)
		return nil, &pages.Refusal{Status: f.code, Class: f.status, Message: f.message, Retry: f.retry}
	}
	return &pages.Stored{ID: res.BlobID, Cost: res.Cost.Total()}, nil
}

// contentTypeKey is the attribute with a blob's media type.
const contentTypeKey = "content-type"

// absent marks an error for something that does not exist.
type absent struct{ error }

func (a absent) Unwrap() error      { return a.error }
func (absent) Is(target error) bool { return target == pages.ErrNotFound }

// asAbsent turns the client's errors for missing things into absent.
func asAbsent(err error) error {
	if errors.Is(err, client.ErrNotFound) {
		return absent{err}
	}
	return err
}
