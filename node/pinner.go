package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/sync/errgroup"

	"walrus/client"
	"walrus/clientnode"
	"walrus/p2p"
	"walrus/pin"
	"walrus/shards"
)

// PinnerConfig configures a pinner.
type PinnerConfig struct {
	// Client joins the network: its host has the key and the addresses of the pinner, and listens.
	Client clientnode.Config
	// Pin is the store. OpenPinner sets what belongs to the network: Params, Source, Announcer, Judge and Epoch.
	Pin pin.Config
}

// Pinner keeps blobs, announces and serves them: a process of its own, or a role beside a storage node.
type Pinner struct {
	client *clientnode.Node
	keeper *pin.Keeper
	epoch  atomic.Uint32
	cfg    PinnerConfig
}

// OpenPinner joins the network and opens the pins. The result must be run or closed.
func OpenPinner(ctx context.Context, cfg PinnerConfig, open clientnode.OpenChain) (*Pinner, error) {
	return openPinner(ctx, cfg, func() (*clientnode.Node, error) { return clientnode.Open(ctx, cfg.Client, open) })
}

// OpenPinnerBeside opens the pins on the host of n, which must run until the pinner has ended.
func OpenPinnerBeside(ctx context.Context, n *Node, cfg PinnerConfig, open clientnode.OpenChain) (*Pinner, error) {
	return openPinner(ctx, cfg, func() (*clientnode.Node, error) {
		return clientnode.Beside(ctx, cfg.Client, n.host, n.dht, open)
	})
}

func openPinner(ctx context.Context, cfg PinnerConfig, open func() (*clientnode.Node, error)) (*Pinner, error) {
	cn, err := open()
	if err != nil {
		return nil, err
	}
	p := &Pinner{client: cn, cfg: cfg}
	com, err := cn.Client().Committee(ctx)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open pins: read the committee: %w", err), cn.Close())
	}
	c := cfg.Pin
	c.Params, c.Source, c.Announcer, c.Epoch = com.Params(), pinSource{cn.Client()}, &announcer{cn, cfg.Client}, p.epoch.Load
	c.Judge = func(ctx context.Context, id shards.BlobID) error { return asRefused(cn.Client().Invalid(ctx, id)) }
	if c.Logger == nil {
		c.Logger = cfg.Client.Logger
	}
	if p.keeper, err = pin.Open(c); err != nil {
		return nil, errors.Join(err, cn.Close())
	}
	return p, nil
}

// Keeper returns the pins, for requests. They are closed when Run returns.
func (p *Pinner) Keeper() *pin.Keeper { return p.keeper }

// Node returns the pinner's client of the network.
func (p *Pinner) Node() *clientnode.Node { return p.client }

// Run keeps, announces and serves pins until ctx ends, and closes everything.
func (p *Pinner) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	serve, stop := context.WithCancel(ctx)
	defer stop()
	err := p.client.Host().ServePins(serve, p.keeper)
	if err == nil {
		g.Go(func() error { return p.keeper.Run(ctx) })
		g.Go(func() error { return p.followEpochs(ctx) })
		err = g.Wait()
	}
	stop()
	return errors.Join(err, p.Close())
}

// Close releases a pinner that was never Run. Run closes by itself.
func (p *Pinner) Close() error { return errors.Join(p.client.Close(), p.keeper.Close()) }

// epochEvery is the pause between questions for the current epoch.
const epochEvery = 5 * time.Second

func (p *Pinner) followEpochs(ctx context.Context) error {
	for {
		if epoch, _, err := p.client.Chain().Ledger.Committees(ctx); err == nil {
			p.epoch.Store(epoch)
		}
		select {
		case <-time.After(epochEvery):
		case <-ctx.Done():
			return nil
		}
	}
}

// pinSource fetches blobs for the pins as any client does.
type pinSource struct{ client *client.Client }

func (s pinSource) Open(ctx context.Context, id shards.BlobID, _ []string) (pin.Remote, error) {
	b, err := s.client.Open(ctx, id)
	if err != nil {
		return nil, asRefused(err)
	}
	return remoteBlob{b}, nil
}

type remoteBlob struct{ *client.Blob }

func (b remoteBlob) Copy(ctx context.Context, w io.Writer, off, n int64) error {
	_, err := b.CopyRange(ctx, w, off, n, client.ReadOptions{})
	return asRefused(err)
}

// asRefused marks an invalid blob as one that is not kept.
func asRefused(err error) error {
	if errors.Is(err, client.ErrInvalidBlob) {
		return fmt.Errorf("%w: %w", pin.ErrRefused, err)
	}
	return err
}

// announcer announces in the DHT, and looks for announcements with a host that shares nothing with ours.
type announcer struct {
	node *clientnode.Node
	cfg  clientnode.Config
}

func (a *announcer) Announce(ctx context.Context, key [32]byte) error {
	return a.node.DHT().Announce(ctx, key)
}

// Findable looks for our announcements as a stranger would: with a fresh identity and an empty table.
func (a *announcer) Findable(ctx context.Context, keys [][32]byte) (found []bool, err error) {
	stranger, err := clientnode.OpenStranger(ctx, a.cfg)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, stranger.Close()) }()
	for _, key := range keys {
		peers, err := stranger.Holders(ctx, key, holdersLooked)
		if err != nil && ctx.Err() != nil {
			return nil, err
		}
		self := a.node.Host().ID()
		found = append(found, slices.ContainsFunc(peers, func(i peer.AddrInfo) bool { return i.ID == self }))
	}
	return found, nil
}

// holdersLooked bounds the announcements of a blob among which ours is looked for.
const holdersLooked = 100

var _ p2p.ContentBackend = (*pin.Keeper)(nil)
