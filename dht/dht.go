// Package dht finds the network's peers, and the addresses at which a peer with a known ID can be dialled today. It
// has a Kademlia table with its own protocol prefix, so that networks with different names never mix; a file that
// remembers addresses across restarts; and a rendezvous under which storage nodes announce themselves. It moves no
// blobs. What other peers say about addresses is a claim, which a dial verifies: it proves the peer ID. Addresses that
// were proven before come before claims, and no stranger can replace them. Start with New, then Run.
package dht

import (
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"sync"

	kad "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p-kad-dht/records"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-multiaddr"
)

// Errors that callers branch on.
var (
	// ErrNotFound reports that no peer that answered knows an address of the peer.
	ErrNotFound = errors.New("peer not found")
	// ErrClosed reports that the DHT has been closed.
	ErrClosed = errors.New("dht is closed")
)

// Config of a DHT.
type Config struct {
	// Network is the name of the network, part of every protocol ID: 1 to 32 of a-z, 0-9 and '-'.
	Network string
	// Server makes this peer answer queries, keep records and announce itself as a storage node. Set it on every peer
	// that can be dialled, not on clients behind a NAT.
	Server bool
	// Bootstrap lists multiaddrs ending in /p2p/<peer ID>. One that answers is enough to join. A server without any
	// waits to be dialled.
	Bootstrap []string
	// MDNS finds peers on the local network by multicast, and lets them find us.
	MDNS bool
	// AddressBook is the path of the file that remembers servers we reached, so that a dead bootstrap peer does not
	// strand us; "" keeps none.
	AddressBook string
	// Light keeps tables small and skips the periodic refresh, for simulations with many hosts in one process.
	Light bool
	// Logger receives what an operator can act on; nil discards it.
	Logger *slog.Logger
}

// networkName matches the names that are valid in a protocol ID.
var networkName = regexp.MustCompile(`^[a-z0-9-]{1,32}$`)

// Validate reports the first invalid field.
func (c Config) Validate() error {
	if !networkName.MatchString(c.Network) {
		return fmt.Errorf("network name %q: use 1 to 32 of a-z, 0-9 and '-'", c.Network)
	}
	_, err := parseBootstrap(c.Bootstrap)
	return err
}

// DHT is one peer's view of the network. Safe for concurrent use.
type DHT struct {
	host      host.Host          // constant after New, not owned
	kad       *kad.IpfsDHT       // constant after New
	proto     protocol.ID        // protocol of our network's servers; constant after New
	bootstrap []peer.AddrInfo    // constant after New, never includes ourselves
	cfg       Config             // constant after New
	log       *slog.Logger       // constant after New
	book      *book              // has its own lock
	dials     dials              // has its own lock
	found     chan peer.AddrInfo // from mDNS to Run

	mu      sync.Mutex
	tried   map[peer.ID]string                // why the last dial of a bootstrap peer failed; guarded by mu
	wanted  map[peer.ID]int                   // searches for each peer; guarded by mu; no zeros
	pinned  map[peer.ID][]multiaddr.Multiaddr // addresses of members in the peerstore; guarded by mu
	closing sync.Once
	closed  error // set by Close
}

// New makes a DHT on h and starts its table, which only listens until Run joins. The caller owns h and closes it
// after the DHT. An unreadable address book is logged and ignored.
func New(h host.Host, cfg Config) (*DHT, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("configure dht: %w", err)
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	bootstrap, err := parseBootstrap(cfg.Bootstrap)
	if err != nil {
		return nil, fmt.Errorf("configure dht: %w", err)
	}
	prefix := protocol.ID("/walrus/" + cfg.Network)
	d := &DHT{
		host: h, proto: prefix + "/kad/1.0.0", cfg: cfg, log: cfg.Logger,
		found:  make(chan peer.AddrInfo, maxFoundQueue),
		tried:  make(map[peer.ID]string),
		wanted: make(map[peer.ID]int),
		pinned: make(map[peer.ID][]multiaddr.Multiaddr),
	}
	d.book = newBook(cfg.AddressBook)
	d.book.member = d.member
	for _, p := range bootstrap {
		if p.ID != h.ID() {
			d.bootstrap = append(d.bootstrap, p)
		}
	}
	if d.kad, err = kad.New(tableHost{h, claimStore{h.Peerstore(), d}}, d.tableOptions(prefix)...); err != nil {
		return nil, fmt.Errorf("start dht: %w", err)
	}
	if err := d.book.load(); err != nil {
		d.log.Warn("address book ignored; a new one will replace it", "err", err)
	}
	return d, nil
}

// tableOptions configures Kademlia for our own network. It has no value records, because we use none.
func (d *DHT) tableOptions(prefix protocol.ID) []kad.Option {
	cfg := d.cfg
	kept := newRecordStore(maxRecords, maxRecordsPerPeer, maxRecordsPerNet)
	kept.origin = d.announcer
	opts := []kad.Option{
		kad.ProtocolPrefix(prefix),
		kad.DisableValues(),
		kad.AddressFilter(d.filter),
		kad.RoutingTablePeerDiversityFilter(newDiversity(d.host, d.member)),
		kad.Datastore(kept),
		kad.ProviderManagerOpts(records.ProvideValidity(recordValidity), records.ProviderAddrTTL(recordAddrTTL)),
	}
	// By default the library answers no queries until a public address is proven, which never happens on a private
	// network.
	if cfg.Server {
		opts = append(opts, kad.Mode(kad.ModeServer))
	} else {
		opts = append(opts, kad.Mode(kad.ModeClient))
	}
	if cfg.Light {
		opts = append(opts, kad.Concurrency(4), kad.DisableAutoRefresh())
	}
	// A look-up ends after this many of the nearest servers have been asked. By default 3 are; in a young network
	// perhaps none of these has met the peer yet. The library asks the rest of a bucket anyway, but does not wait for
	// them.
	size := bucketSize
	if cfg.Light {
		size = lightBucketSize
	}
	return append(opts, kad.BucketSize(size), kad.Resiliency(size))
}

// parseBootstrap merges addresses of the same peer and rejects addresses that can never be dialled.
func parseBootstrap(addrs []string) ([]peer.AddrInfo, error) {
	if len(addrs) > maxBootstrap {
		return nil, fmt.Errorf("%d bootstrap addresses: list at most %d", len(addrs), maxBootstrap)
	}
	parsed := make([]multiaddr.Multiaddr, 0, len(addrs))
	for _, s := range addrs {
		a, err := multiaddr.NewMultiaddr(s)
		if err != nil {
			return nil, fmt.Errorf("bootstrap address %q: %w: write it like /ip4/192.0.2.1/tcp/9000/p2p/12D3Koo…", s, err)
		}
		if t, id := peer.SplitAddr(a); t == nil || id == "" {
			return nil, fmt.Errorf("bootstrap address %q: want an address that ends in /p2p/<peer ID>", s)
		}
		parsed = append(parsed, a)
	}
	infos, err := peer.AddrInfosFromP2pAddrs(parsed...)
	if err != nil {
		return nil, fmt.Errorf("bootstrap addresses: %w", err)
	}
	return infos, nil
}

// Close stops the table and every dial in progress. Run must have returned or be about to. The host stays open.
func (d *DHT) Close() error {
	d.closing.Do(func() {
		d.dials.close()
		if err := d.kad.Close(); err != nil {
			d.closed = fmt.Errorf("close dht: %w", err)
		}
	})
	return d.closed
}

// TableSize returns how many servers of the network are in the routing table.
func (d *DHT) TableSize() int { return d.kad.RoutingTable().Size() }

// speaksOurs reports whether a connected, identified peer is a server of our network.
func (d *DHT) speaksOurs(id peer.ID) bool {
	got, err := d.host.Peerstore().SupportsProtocols(id, d.proto)
	return err == nil && len(got) > 0
}

// connected reports whether there is a connection that can carry slivers: a relayed one with limits does not count.
func (d *DHT) connected(id peer.ID) bool {
	return d.host.Network().Connectedness(id) == network.Connected
}

// self returns this peer's own ID and the addresses it believes it has.
func (d *DHT) self() peer.AddrInfo {
	return peer.AddrInfo{ID: d.host.ID(), Addrs: d.host.Addrs()}
}
