// Package walrus lets Go programs use a Walrus network: store files and folders, read them back, and extend their
// storage. It joins the network as a client and pays from a wallet. It trusts no node: content is checked against its
// blob ID, and the ledger's answers are proven. Start with OpenFile, or with Open if the program has its own
// configuration. docs/go-client.md has a complete program.
package walrus

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/client"
	"walrus/clientnode"
	"walrus/config"
	"walrus/dht"
	"walrus/ledger"
	"walrus/ledger/light"
	"walrus/ledger/wallet"
	"walrus/p2p"
	"walrus/shards"
)

// Errors that callers branch on, with errors.Is.
var (
	// ErrNotFound: no such blob, or its storage has ended.
	ErrNotFound = client.ErrNotFound
	// ErrInvalidBlob: the writer encoded the blob wrongly, so it has no content. A *client.InvalidBlobError has the proof.
	ErrInvalidBlob = client.ErrInvalidBlob
	// ErrStalled: the ledger makes no blocks. Reads continue; operations that cost WAL must wait.
	ErrStalled = client.ErrStalled
	// ErrNoFunds: the account has too little WAL.
	ErrNoFunds = client.ErrNoFunds
	// ErrNoWallet: the operation costs WAL, and the Config has no wallet.
	ErrNoWallet = client.ErrNoWallet
)

// BlobID names a blob by its content. Its text form is base64url.
type BlobID = shards.BlobID

// ParseBlobID reads the text form of a blob ID.
func ParseBlobID(text string) (id BlobID, err error) {
	err = id.UnmarshalText([]byte(text))
	return id, err
}

// joinTimeout bounds the wait for a first node. All bootstrap addresses are tried at once.
const joinTimeout = 15 * time.Second

// Config names the network to join and the wallet that pays.
type Config struct {
	// Genesis defines the network. Required. ledger.ParseGenesis and LoadConfig read it.
	Genesis *ledger.Genesis
	// Bootstrap lists addresses of nodes, ending in /p2p/<peer ID>. One that answers is enough. Required unless MDNS.
	Bootstrap []string
	// MDNS finds nodes on the local network by multicast.
	MDNS bool
	// AddressBook is a file that remembers the addresses of nodes. "" remembers nothing.
	AddressBook string
	// Trust is a checkpoint to start from, height:hash, from somebody trusted (walrus checkpoint prints it). "" starts
	// from the genesis; a genesis older than two epochs proves nothing.
	Trust string
	// TrustFile keeps the newest verified block between runs, so that trust does not expire while the client is in use. ""
	// keeps nothing.
	TrustFile string
	// Wallet pays. nil: Open succeeds, reading works, and operations that cost WAL return ErrNoWallet.
	Wallet *wallet.Wallet
	// Epochs is the default number of epochs for Store. 0 means 1.
	Epochs uint32
	// TempDir holds content that does not fit in memory. "" is the system's.
	TempDir string
	// Logger receives warnings that cannot be returned to a caller. nil discards them.
	Logger *slog.Logger
	// Key is the client's identity, for private networks: their nodes must allow its peer ID. nil is a fresh one.
	Key ed25519.PrivateKey
	// Allow, in a private network, tells whom the client connects to beside nodes that the ledger names. nil: everybody.
	Allow func(peer.ID) bool
	// UserAgent is sent to nodes. "" means "walrus-go".
	UserAgent string
}

// LoadConfig reads the client.yaml at path, and the genesis and the wallet it names. A missing wallet is not an error:
// the client can then only read. An empty path searches as the walrus command does: $WALRUS_CONFIG, ./walrus.yaml, and
// the user's configuration folder.
func LoadConfig(path string) (Config, error) {
	path, err := config.FindClient(path, os.Getenv)
	if err != nil {
		return Config{}, err
	}
	file, err := config.LoadClient(path)
	if err != nil {
		return Config{}, err
	}
	c := Config{
		Bootstrap: file.Bootstrap, MDNS: file.Neighbours(true), AddressBook: file.AddressBook, Trust: file.Trust, TrustFile: file.TrustFile, Epochs: file.Epochs, TempDir: file.TempDir,
	}
	if c.Genesis, err = config.LoadGenesis(file.Genesis); err != nil {
		return Config{}, err
	}
	if c.Allow, err = file.Allowed(c.Genesis); err != nil {
		return Config{}, err
	}
	if c.Key, err = file.IdentityKey(); err != nil {
		return Config{}, err
	}
	if _, err := os.Stat(file.Wallet); file.Wallet == "" || errors.Is(err, os.ErrNotExist) {
		return c, nil
	}
	c.Wallet, err = file.LoadWallet()
	return c, err
}

// Client is a process that has joined a network. It is safe for concurrent use. Close it at the end.
type Client struct {
	node    *clientnode.Node // constant, as all fields
	blobs   *client.Client
	epochs  uint32
	tempDir string
	largest int64 // bound of sources that are copied, in bytes; 0: any blob
}

// OpenFile joins the network that the client.yaml at path names. An empty path is searched for as LoadConfig does.
func OpenFile(ctx context.Context, path string) (*Client, error) {
	cfg, err := LoadConfig(path)
	if err != nil {
		return nil, err
	}
	return Open(ctx, cfg)
}

// Open joins a network. It returns once a node has answered, and fails after 15 seconds if none did. The connection
// lives until Close; ending ctx afterwards does not affect it.
func Open(ctx context.Context, cfg Config) (*Client, error) {
	if cfg.Genesis == nil {
		return nil, errors.New("open walrus: Config.Genesis is nil: read the network's genesis with config.LoadGenesis")
	}
	if len(cfg.Bootstrap) == 0 && !cfg.MDNS {
		return nil, errors.New("open walrus: Config.Bootstrap is empty: name a node to start from, or set MDNS")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.UserAgent == "" {
		cfg.UserAgent = "walrus-go"
	}
	trust := clientnode.Trust{File: cfg.TrustFile}
	if cfg.Trust != "" {
		at, err := light.ParseCheckpoint(cfg.Trust)
		if err != nil {
			return nil, fmt.Errorf("open walrus: Config.Trust: %w", err)
		}
		trust.Checkpoint = &at
	}
	bounds := client.Default()
	bounds.TempDir = cfg.TempDir
	n, err := clientnode.Open(ctx, clientnode.Config{
		P2P:    p2p.Config{Network: cfg.Genesis.Network, Key: cfg.Key, Allow: cfg.Allow, UserAgent: cfg.UserAgent},
		DHT:    dht.Config{Bootstrap: cfg.Bootstrap, MDNS: cfg.MDNS, AddressBook: cfg.AddressBook},
		Client: bounds, Join: joinTimeout, Logger: cfg.Logger,
	}, clientnode.LightFrom(cfg.Genesis, trust, cfg.Wallet, cfg.Logger))
	if err != nil {
		return nil, err
	}
	return &Client{node: n, blobs: n.Client(), epochs: max(1, cfg.Epochs), tempDir: cfg.TempDir}, nil
}

// Blobs returns the full client: prices, health, encryption, ranges, records by object ID.
func (c *Client) Blobs() *client.Client { return c.blobs }

// Close leaves the network.
func (c *Client) Close() error { return c.node.Close() }

// Read writes the blob to w. Every byte is verified before it is written, so the bytes written before an error are a
// correct prefix of the blob. Errors: ErrNotFound, ErrInvalidBlob, *client.NotEnoughError, and the errors of w.
func (c *Client) Read(ctx context.Context, id BlobID, w io.Writer) error {
	_, err := c.blobs.Read(ctx, id, w, client.ReadOptions{})
	return err
}

// NewReader finds the blob and returns its content as a file: Read, Seek and ReadAt fetch only the bytes they return.
// The reader works until ctx ends and holds nothing to close. Errors: as from Read.
func (c *Client) NewReader(ctx context.Context, id BlobID) (*io.SectionReader, error) {
	b, err := c.blobs.Open(ctx, id)
	if err != nil {
		return nil, err
	}
	return io.NewSectionReader(b.ReaderAt(ctx), 0, int64(b.Size())), nil
}

// Extend keeps the blob for more epochs, by extending the account's record of it. Errors: ErrNotFound if the account
// has no record, *client.ManyRecordsError if it has several; the errors of a payment.
func (c *Client) Extend(ctx context.Context, id BlobID, epochs uint32) (*client.Changed, error) {
	object, err := c.blobs.OwnRecord(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("extend: %w", err)
	}
	return c.blobs.Extend(ctx, object, epochs, client.ExtendOptions{})
}

// Delete deletes the account's record of the blob, which must be deletable. Errors: as from Extend.
func (c *Client) Delete(ctx context.Context, id BlobID) (*client.Changed, error) {
	object, err := c.blobs.OwnRecord(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("delete: %w", err)
	}
	return c.blobs.Delete(ctx, object)
}

// Attributes returns the attributes of the account's record of the blob. Errors: as from Extend.
func (c *Client) Attributes(ctx context.Context, id BlobID) (map[string]string, error) {
	object, err := c.blobs.OwnRecord(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("read attributes: %w", err)
	}
	record, err := c.blobs.Record(ctx, object)
	if err != nil {
		return nil, err
	}
	attributes := make(map[string]string, len(record.Attributes))
	for _, a := range record.Attributes {
		attributes[a.Key] = a.Value
	}
	return attributes, nil
}
