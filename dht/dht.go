// Package dht finds the network's peers, and the addresses at which a peer with a known ID can be dialled today. It
// has a Kademlia table with its own protocol prefix, so that networks with different names never mix; a file that
// remembers addresses across restarts; and a rendezvous under which storage nodes announce themselves. It moves no
// blobs. What other peers say about addresses is a claim, which a dial verifies: it proves the peer ID. Addresses that
// were proven before come before claims, and no stranger can replace them. Start with New, then Run.
package dht

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"sync"

	kad "github.com/libp2p/go-libp2p-kad-dht"
	kad_pb "github.com/libp2p/go-libp2p-kad-dht/pb"
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
	// Server makes this peer answer queries, keep records and announce itself as a storage node, except while the host
	// says that it is not reachable. Set it on storage nodes.
	Server bool
	// WhenReachable makes this peer answer queries and keep records while the host says that it is reachable. Set it on
	// other peers that run for long.
	WhenReachable bool
	// Public says that the network is on the Internet: no stranger may make us dial private addresses. Default false:
	// the addresses of this host and of the bootstrap peers decide.
	Public bool
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
	bootstrap *bootstrap         // has its own lock
	cfg       Config             // constant after New
	log       *slog.Logger       // constant after New
	book      *book              // has its own lock
	dials     dials              // has its own lock
	wanted    wanted             // has its own lock
	pins      *pins              // has its own lock
	pace      *pace              // has its own lock
	records   *recordStore       // has its own lock
	found     chan peer.AddrInfo // from mDNS to Run

	searches sync.WaitGroup // may outlive the calls that began them
	closing  chan struct{}  // closed by Close
	once     sync.Once      // guards Close
	closed   error          // set by Close
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
	peers, err := newBootstrap(h, cfg)
	if err != nil {
		return nil, fmt.Errorf("configure dht: %w", err)
	}
	prefix := protocol.ID("/walrus/" + cfg.Network)
	d := &DHT{
		host: h, proto: prefix + "/kad/1.0.0", bootstrap: peers, cfg: cfg, log: cfg.Logger,
		wanted: wanted{searches: make(map[peer.ID]int)},
		found:  make(chan peer.AddrInfo, maxFoundQueue), closing: make(chan struct{}), pace: newPace(),
	}
	d.pins = &pins{store: h.Peerstore(), member: d.member, addrs: make(map[peer.ID][]multiaddr.Multiaddr)}
	d.book = newBook(cfg.AddressBook)
	d.book.member = d.member
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
	d.records = newRecordStore(maxRecords, maxRecordsPerPeer, maxRecordsPerNet)
	d.records.origin = d.announcer
	opts := []kad.Option{
		kad.ProtocolPrefix(prefix),
		kad.DisableValues(),
		kad.AddressFilter(d.filter),
		kad.RoutingTablePeerDiversityFilter(newDiversity(d.host, d.member)),
		kad.Datastore(d.records),
		kad.OnRequestHook(func(ctx context.Context, s network.Stream, req *kad_pb.Message) { d.pace.await(ctx, d, s, req) }),
		kad.ProviderManagerOpts(records.ProvideValidity(recordValidity), records.ProviderAddrTTL(recordAddrTTL)),
	}
	// By default the library answers no queries until a public address is proven, which never happens on a private
	// network. The automatic modes follow event.EvtLocalReachabilityChanged.
	switch {
	case cfg.Server:
		opts = append(opts, kad.Mode(kad.ModeAutoServer))
	case cfg.WhenReachable:
		opts = append(opts, kad.Mode(kad.ModeAuto))
	default:
		opts = append(opts, kad.Mode(kad.ModeClient))
	}
	if cfg.Light {
		opts = append(opts, kad.Concurrency(4), kad.DisableAutoRefresh())
	}
	// A look-up ends after this many of the nearest servers have been asked. By default 3 are; in a young network
	// perhaps none of these has met the peer yet. The library asks the rest of a bucket anyway, but does not wait for
	// them.
	size := replicas(d.cfg)
	return append(opts, kad.BucketSize(size), kad.Resiliency(size))
}

// replicas returns the number of servers that keep a record.
func replicas(cfg Config) int {
	if cfg.Light {
		return lightBucketSize
	}
	return bucketSize
}

// Close stops the table and every dial in progress. Run must have returned or be about to. The host stays open.
func (d *DHT) Close() error {
	d.once.Do(func() {
		close(d.closing)
		d.dials.close()
		d.searches.Wait()
		if err := d.kad.Close(); err != nil {
			d.closed = fmt.Errorf("close dht: %w", err)
		}
	})
	return d.closed
}

// TableSize returns how many servers of the network are in the routing table.
func (d *DHT) TableSize() int { return d.kad.RoutingTable().Size() }

// serves reports whether this peer is a server of the DHT now.
func serves(d *DHT) bool { return slices.Contains(d.host.Mux().Protocols(), d.proto) }

// speaksOurs reports whether a connected, identified peer is a server of our network.
func (d *DHT) speaksOurs(id peer.ID) bool {
	got, err := d.host.Peerstore().SupportsProtocols(id, d.proto)
	return err == nil && len(got) > 0
}

// connected reports whether there is a connection that can carry slivers: a relayed one with limits does not count.
func (d *DHT) connected(id peer.ID) bool {
	return d.host.Network().Connectedness(id) == network.Connected
}
