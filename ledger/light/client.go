package light

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/cometbft/cometbft/types"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/certs"
	"walrus/ledger"
)

// Config of a Client.
type Config struct {
	Genesis *ledger.Genesis // of the network; the root of the client's trust
	Host    host.Host       // opens the client's streams
	// Peers returns the nodes to ask, those likely to be near first. Nil: the genesis members, connected ones first.
	Peers func(ctx context.Context) []peer.ID
	// Connect finds and dials a node. Nil: the host knows the addresses.
	Connect func(ctx context.Context, id peer.ID) error
	// Trust is a block from a trusted source to start from instead. Nil: start from the genesis.
	Trust *Checkpoint
	// Hasty clients ask each node once. They wait neither for busy nodes nor, if the ledger is stalled for no known
	// reason, for its next block.
	Hasty bool
	// AnyClock accepts blocks ahead of this machine's clock. Nodes set it: they go by the validators' clocks.
	AnyClock bool
	Logger   *slog.Logger
}

// Client reads a network's ledger and submits transactions to it. It believes only proven answers. Its methods may be
// called concurrently. They end with their contexts, or with an error soon after the last node has been asked. It
// runs no goroutines between calls.
type Client struct {
	// Constant after New; the last seven have their own locks.
	cfg    Config
	id     certs.NetworkID
	names  map[peer.ID]string
	shards map[peer.ID]int // number of each member's shards
	epoch  time.Duration   // duration of an epoch
	calls  *caller
	trust  *trust
	book   *book
	sets   *committeeCache
	bonds  bondCache
	stall  stallMark
	clock  clockMark
	pace   paceMark

	mu    sync.Mutex
	floor uint64 // guarded by mu: no later reading is below this height
}

// New makes a Client. It sends no requests yet.
func New(cfg Config) (*Client, error) {
	if cfg.Genesis == nil || cfg.Host == nil || cfg.Logger == nil {
		return nil, errors.New("ledger client: genesis, host and logger are required")
	}
	t, err := newTrust(cfg.Genesis)
	if err != nil {
		return nil, fmt.Errorf("ledger client: %w", err)
	}
	t.anyClock, t.pending = cfg.AnyClock, cfg.Trust
	id, book := cfg.Genesis.NetworkID(), newBook()
	c := &Client{
		cfg: cfg, id: id, names: make(map[peer.ID]string, len(cfg.Genesis.Members)),
		shards: make(map[peer.ID]int, len(cfg.Genesis.Members)), epoch: cfg.Genesis.EpochDuration,
		calls: &caller{host: cfg.Host, connect: cfg.Connect, network: cfg.Genesis.Network, id: id, book: book},
		trust: t, book: book, sets: new(committeeCache),
	}
	for _, m := range cfg.Genesis.Members {
		c.names[m.Node], c.shards[m.Node] = m.Name, len(m.Shards)
	}
	return c, nil
}

// nodes returns the nodes to ask. Without Config.Peers these are first the connected members, then the others in
// random order, so that new clients do not all ask the same node, which may be down.
func (c *Client) nodes(ctx context.Context) []peer.ID {
	if c.cfg.Peers != nil {
		return c.cfg.Peers(ctx)
	}
	ids := make([]peer.ID, len(c.cfg.Genesis.Members))
	for i, at := range rand.Perm(len(ids)) {
		ids[i] = c.cfg.Genesis.Members[at].Node
	}
	far := func(id peer.ID) int {
		if c.cfg.Host.Network().Connectedness(id) == network.Connected {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(ids, func(a, b peer.ID) int { return far(a) - far(b) })
	return ids
}

// verify checks the signatures of a block from a node, which also shows the way to it.
func (c *Client) verify(ctx context.Context, id peer.ID, b *types.LightBlock) error {
	return c.trust.verify(ctx, b, node{
		block: func(ctx context.Context, height int64) (*types.LightBlock, error) {
			var answer blockAnswer
			if err := c.calls.ask(ctx, id, blockProtocol, &blockRequest{uint64(height)}, &answer); err != nil {
				return nil, err
			}
			if answer.Block.Height != height {
				return nil, wrong("asked for block %d, it gave block %d", height, answer.Block.Height)
			}
			return answer.Block, nil
		},
		handovers: func(ctx context.Context, after int64) ([]*types.LightBlock, error) {
			var answer handoversAnswer
			if err := c.calls.ask(ctx, id, handoversProtocol, &handoversRequest{uint64(after)}, &answer); err != nil {
				return nil, fmt.Errorf("fetch the hand-overs from block %d on the way to block %d: %w", after, b.Height, err)
			}
			return answer.Blocks, nil
		},
	})
}

// fresh returns nil if b is recent enough to be the latest block, and a *Stall otherwise.
func (c *Client) fresh(from peer.ID, b *types.LightBlock, trouble string) error {
	age, limit := c.trust.now().Sub(b.Time), staleAfter(0, c.epoch)
	switch {
	case trouble != "":
		limit = min(limit, troubledAfter)
	case age > limit:
		limit = c.pace.staleAfter(b, c.epoch)
	}
	if age <= limit {
		return nil
	}
	return &Stall{Height: uint64(b.Height), Time: b.Time, Node: nodeName(from, c.names[from]), Reason: trouble, limit: limit}
}

// Head identifies the latest block of the ledger.
type Head struct {
	Height uint64
	Time   time.Time // when the block before it was agreed on, by the validators' clocks
	Hash   [32]byte
}

// Head returns the latest block. If the ledger is stalled, it returns the last one and a *Stall.
func (c *Client) Head(ctx context.Context) (Head, error) {
	b, err := first(ctx, c, func(ctx context.Context, id peer.ID) (*types.LightBlock,
		error) {
		return c.blockFrom(ctx, id, 0)
	})
	if b == nil {
		return Head{}, fmt.Errorf("read the ledger's head: %w", err)
	}
	return Head{uint64(b.Height), b.Time, [32]byte(b.Hash())}, err
}

// Block returns the verified block at a height: its header, all its signatures, each verified, and its validators,
// verified except for whose turn it is to propose.
func (c *Client) Block(ctx context.Context, height uint64) (*types.LightBlock, error) {
	if height == 0 || height > math.MaxInt64 {
		return nil, fmt.Errorf("read block %d of the ledger: %w: heights go from 1 to %d", height, ErrRequest,
			int64(math.MaxInt64))
	}
	b, err := first(ctx, c, func(ctx context.Context, id peer.ID) (*types.LightBlock, error) {
		b, err := c.blockFrom(ctx, id, height)
		if err != nil {
			return nil, err
		}
		// A verified header needs only two thirds of the signatures: check the others, too.
		if err := b.ValidatorSet.VerifyCommit(b.ChainID, b.Commit.BlockID, b.Height, b.Commit); err != nil {
			return nil, wrong("block %d: %w", height, err)
		}
		return b, nil
	})
	if err != nil {
		return nil, fmt.Errorf("read block %d of the ledger: %w", height, err)
	}
	return b, nil
}

// blockFrom requests the block at a height from one node; at height 0 the latest.
func (c *Client) blockFrom(ctx context.Context, id peer.ID, height uint64) (*types.LightBlock, error) {
	var answer blockAnswer
	if err := c.calls.ask(ctx, id, blockProtocol, &blockRequest{height}, &answer); err != nil {
		return nil, err
	}
	b := answer.Block
	if height != 0 && b.Height != int64(height) {
		return nil, wrong("asked for block %d, it gave block %d", height, b.Height)
	}
	if err := c.verify(ctx, id, b); err != nil {
		return nil, err
	}
	if height != 0 {
		return b, nil
	}
	return b, c.fresh(id, b, answer.Trouble)
}

// raise sets a height below which no later reading may be.
func (c *Client) raise(height uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.floor = max(c.floor, height)
}

// lowest returns the least height that a reading may have.
func (c *Client) lowest() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.floor
}
