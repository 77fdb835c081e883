package config

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/template"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"walrus/internal/userfile"
	"walrus/ledger/light"
	"walrus/p2p"
)

// NodeFile is the name of the configuration file in a node's home.
const NodeFile = "node.yaml"

// Values of Node.Pace.
const (
	paceNetwork = "network"
	paceLocal   = "local"
)

// Node is the node.yaml of a storage node. Relative paths in the file are relative to the file, and ~/ is the home of
// the user that runs the node. LoadNode makes them absolute.
type Node struct {
	// Home is the folder of node.yaml, keys and data. Not in the file.
	Home string `yaml:"-"`
	// Name appears in logs and tables; others see the name in the genesis. Default: the name of Home.
	Name string `yaml:"name"`
	// Genesis is the file shared by all nodes of a network. Required. Default genesis.yaml.
	Genesis string `yaml:"genesis"`
	// Listen lists multiaddrs to accept connections on: TCP and QUIC, which share a port number. Required.
	Listen []string `yaml:"listen"`
	// Announce lists multiaddrs told to others beside the detected ones, names such as /dns4/node.example.org/tcp/4001
	// among them. Needed behind port forwarding. Default none.
	Announce []string `yaml:"announce"`
	// AnnounceOnly tells others the addresses of Announce and no others. Default false.
	AnnounceOnly bool `yaml:"announceOnly"`
	// Bootstrap lists addresses of other nodes, ending in /p2p/<peer ID>; one that answers is enough. Default none: the
	// node then waits to be dialled.
	Bootstrap []string `yaml:"bootstrap"`
	// Allow makes the network private: it lists peer IDs, and files with one a line. Only these, the ledger's members and
	// the bootstrap nodes get a connection. Default none: everybody does.
	Allow []string `yaml:"allow"`
	// MDNS finds nodes on the local network by multicast. Default null: true in a private network of several machines,
	// false on the Internet and on one machine.
	MDNS *bool `yaml:"mdns"`
	// Store configures the place of slivers, metadata and certificates. In the file, a plain text is its path.
	Store Storage `yaml:"store"`
	// RepairRate bounds the traffic of repairs per second, such as 10MiB. While users read or upload, repairs get a
	// quarter. Default "": 64 MiB.
	RepairRate string `yaml:"repairRate"`
	// Chain has the keys ledger, pace, archive and stateCache.
	Chain
	// AddressBook is the file that remembers peers' addresses, so that the node can join when bootstrap nodes are down.
	// Default peers.json.
	AddressBook string `yaml:"addressBook"`
	// Metrics is the address of the node's Prometheus metrics, at /metrics, and of /healthz and /readyz. Default "":
	// DefaultNodeMetrics if it is free. "none" turns them off.
	Metrics string `yaml:"metrics"`
	// Connections bounds the connections of strangers.
	Connections Connections `yaml:"connections"`
	// Gateway serves HTTP beside the node. Default none.
	Gateway Gateway `yaml:"gateway"`
	// Pins keeps whole blobs beside the node. Default none.
	Pins Pins `yaml:"pins"`
	// Watching has the sections alerts and monitor.
	Watching
	// Log configures logging. Default info, text.
	Log Log `yaml:"log"`
}

// Chain has the keys of node.yaml about the ledger.
type Chain struct {
	// Trust is a checkpoint to start from, needed if the ledger here is older than the trust period. Not in the file.
	Trust *light.Checkpoint `yaml:"-"`
	// StoodStill vouches that the ledger stood still while the node did not run. Not in the file.
	StoodStill bool `yaml:"-"`
	// NewConsensusState makes a missing file of the consensus key's last signature anew. Not in the file.
	NewConsensusState bool `yaml:"-"`
	// Ledger is the folder of the ledger's blocks and state. Default ledger.
	Ledger string `yaml:"ledger"`
	// Pace of the ledger, the same for all nodes of a network: network for nodes in different places, local for nodes
	// on one machine. Default network.
	Pace string `yaml:"pace"`
	// Archive keeps all blocks, receipts and histories. Default false: those of the last 30 days, or two epochs.
	Archive bool `yaml:"archive"`
	// StateCache is the memory for parts of the state's tree, such as 256MiB. Default "": 64 MiB.
	StateCache string `yaml:"stateCache"`
}

// StateCacheBytes returns StateCache in bytes; 0 means the default.
func (c *Chain) StateCacheBytes() (int, error) {
	if c.StateCache == "" {
		return 0, nil
	}
	n, err := ParseSize(c.StateCache)
	switch {
	case err != nil:
		return 0, fmt.Errorf("key \"stateCache\": %w", err)
	case n < minStateCache || n > maxStateCache:
		return 0, fmt.Errorf("key \"stateCache\" is %s: must be 1MiB to 64GiB", c.StateCache)
	}
	return int(n), nil
}

// With less than minStateCache, each block reads the top of the tree anew. More than maxStateCache is a mistake.
const minStateCache, maxStateCache = 1 << 20, 64 << 30

// Watching has the sections of node.yaml about monitors.
type Watching struct {
	// Alerts says how the operator hears of trouble that monitors see. Default: by the log alone.
	Alerts Alerts `yaml:"alerts"`
	// Monitor probes other nodes beside the node. Default none.
	Monitor Monitor `yaml:"monitor"`
}

// DefaultNodeMetrics is the default metrics address of a node, as in the original.
const DefaultNodeMetrics = "127.0.0.1:9184"

// noMetrics, as Metrics, turns metrics off.
const noMetrics = "none"

// MetricsAddr returns the address for metrics, "" for none, and whether to go without if the address is taken.
func (n *Node) MetricsAddr() (addr string, ifFree bool) {
	switch n.Metrics {
	case "":
		return DefaultNodeMetrics, true
	case noMetrics:
		return "", false
	}
	return n.Metrics, false
}

// Storage is the section of node.yaml about the node's data.
type Storage struct {
	// Path is the folder. Default store.
	Path string `yaml:"path"`
	// Limit bounds the disk space, such as 500GiB. Default "": as much as the disk has.
	Limit string `yaml:"limit"`
	// Scrub is the period in which everything stored is read back and checked once, such as 336h. Default "": 14 days.
	Scrub string `yaml:"scrub"`
}

// minScrub: a shorter period would only read the same again.
const minScrub = time.Second

// ScrubPeriod returns Scrub; 0 means the default.
func (s *Storage) ScrubPeriod() (time.Duration, error) {
	if s.Scrub == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(s.Scrub)
	if err != nil || d < minScrub {
		return 0, fmt.Errorf("key \"store.scrub\": %q is not a period of at least %v: want a number with a unit, such as 336h", s.Scrub, minScrub)
	}
	return d, nil
}

// LimitBytes returns Limit in bytes; 0 means none.
func (s *Storage) LimitBytes() (int64, error) {
	if s.Limit == "" || s.Limit == "0" {
		return 0, nil
	}
	n, err := ParseSize(s.Limit)
	if err != nil {
		return 0, fmt.Errorf("key \"store.limit\": %w", err)
	}
	return n, nil
}

// RepairBytes returns RepairRate in bytes; 0 means the default.
func (n *Node) RepairBytes() (int64, error) {
	if n.RepairRate == "" {
		return 0, nil
	}
	rate, err := ParseSize(n.RepairRate)
	if err != nil {
		return 0, fmt.Errorf("key \"repairRate\": %w", err)
	}
	return rate, nil
}

// DefaultNode returns the default values of a node.yaml.
func DefaultNode() Node {
	return Node{
		Genesis: "genesis.yaml", Store: Storage{Path: "store"}, Chain: Chain{Ledger: "ledger", Pace: paceNetwork}, AddressBook: "peers.json",
		Connections: defaultConnections(), Log: Log{Level: "info", Format: "text"},
	}
}

// LoadNode reads home/node.yaml and validates it.
func LoadNode(home string) (*Node, error) {
	home, err := filepath.Abs(home)
	if err != nil {
		return nil, fmt.Errorf("find node home: %w", err)
	}
	path := filepath.Join(home, NodeFile)
	raw, err := readFile(path, maxFileSize)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("no node at %s: %s is missing: make one with walrus node init --home %s", home, NodeFile, home)
	}
	if err != nil {
		return nil, fmt.Errorf("read node configuration: %w", err)
	}
	n := DefaultNode()
	n.Home = home
	n.Name = filepath.Base(home)
	if err := decode(path, raw, &n); err != nil {
		return nil, err
	}
	if err := n.Validate(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	err = locate(path, pathKey{"genesis", &n.Genesis}, pathKey{"store", &n.Store.Path}, pathKey{"ledger", &n.Ledger},
		pathKey{"addressBook", &n.AddressBook}, pathKey{"gateway.wallet", &n.Gateway.Wallet},
		pathKey{"pins.blocklist", &n.Pins.Blocklist})
	if err = errors.Join(err, locateAllow(path, n.Allow), n.Alerts.locate(path)); err != nil {
		return nil, err
	}
	return &n, nil
}

// Validate returns an error for the first key that is wrong.
func (n *Node) Validate() error {
	switch {
	case n.Genesis == "":
		return errors.New("key \"genesis\" is empty: name the network's genesis file")
	case n.Store.Path == "":
		return errors.New("key \"store.path\" is empty: name the folder for the data")
	case n.Ledger == "":
		return errors.New("key \"ledger\" is empty: name the folder for the ledger")
	case n.Pace != paceNetwork && n.Pace != paceLocal:
		return fmt.Errorf("key \"pace\" is %q: use %s or %s", n.Pace, paceNetwork, paceLocal)
	case len(n.Listen) == 0:
		return errors.New("key \"listen\" is empty: a storage node needs an address, such as /ip4/0.0.0.0/tcp/4001")
	}
	if err := checkAddrs("listen", n.Listen); err != nil {
		return err
	}
	if err := checkAnnounce(n.Announce, n.AnnounceOnly); err != nil {
		return err
	}
	if err := checkPeerAddrs("bootstrap", n.Bootstrap); err != nil {
		return err
	}
	if _, err := n.Store.LimitBytes(); err != nil {
		return err
	}
	if _, err := n.Store.ScrubPeriod(); err != nil {
		return err
	}
	if _, err := n.RepairBytes(); err != nil {
		return err
	}
	if _, err := n.StateCacheBytes(); err != nil {
		return err
	}
	if _, _, err := net.SplitHostPort(n.Metrics); err != nil && n.Metrics != "" && n.Metrics != noMetrics {
		return fmt.Errorf("key \"metrics\" is %q: want an address and a port, such as %s, or none", n.Metrics, DefaultNodeMetrics)
	}
	if err := n.Connections.validate(); err != nil {
		return err
	}
	if err := n.Gateway.validate(); err != nil {
		return err
	}
	if err := n.Pins.validate(); err != nil {
		return err
	}
	if err := n.Alerts.validate(); err != nil {
		return err
	}
	if err := n.Monitor.validate(); err != nil {
		return err
	}
	return n.Log.Validate()
}

// Neighbours reports whether the node finds others by multicast.
func (n *Node) Neighbours() bool {
	if n.MDNS != nil {
		return *n.MDNS
	}
	all := slices.Concat(n.Listen, n.Announce, n.Bootstrap)
	return !p2p.IsPublic(all...) && !onMachine(all)
}

// PeerID returns the node's peer ID, from its key file.
func (n *Node) PeerID() (peer.ID, error) {
	keys, err := LoadKeys(n.Home)
	if err != nil {
		return "", err
	}
	return keys.PeerID()
}

// LocalAddr returns the address at which processes on this machine reach the node, ending in /p2p/<peer ID>: its first
// TCP address, with loopback for a node that listens on all addresses.
func (n *Node) LocalAddr() (string, error) {
	id, err := n.PeerID()
	if err != nil {
		return "", err
	}
	for _, s := range n.Listen {
		a, err := multiaddr.NewMultiaddr(s)
		if err != nil {
			return "", fmt.Errorf("find the node's address: %w", err)
		}
		port, err := a.ValueForProtocol(multiaddr.P_TCP)
		if err != nil || port == "0" {
			continue
		}
		s = strings.Replace(s, "/ip4/0.0.0.0/", "/ip4/127.0.0.1/", 1)
		s = strings.Replace(s, "/ip6/::/", "/ip6/::1/", 1)
		return s + "/p2p/" + id.String(), nil
	}
	return "", fmt.Errorf("%s: key \"listen\" has no TCP address with a fixed port: add one", filepath.Join(n.Home, NodeFile))
}

// CreateNode makes home with its keys and a commented node.yaml holding n, whose paths are written unchanged. Existing
// keys are kept. An existing node.yaml is an error wrapping fs.ErrExist.
func CreateNode(home string, n Node) (*Keys, error) {
	if n.Name == "" {
		n.Name = filepath.Base(home)
	}
	if err := n.Validate(); err != nil {
		return nil, fmt.Errorf("configure node: %w", err)
	}
	path := filepath.Join(home, NodeFile)
	if _, err := os.Lstat(path); err == nil {
		return nil, fmt.Errorf("a node already exists at %s: %w", home, fs.ErrExist)
	}
	if err := os.MkdirAll(home, 0o750); err != nil {
		return nil, fmt.Errorf("create node home: %w", err)
	}
	keys, err := completeKeys(home)
	if err != nil {
		return nil, err
	}
	if err := n.write(home); err != nil {
		return nil, err
	}
	return keys, nil
}

// LocalPace reports whether the ledger runs at a devnet's pace.
func (n *Node) LocalPace() bool { return n.Pace == paceLocal }

// ConsensusStateFile returns the path of the file that remembers what the consensus key last signed.
func (n *Node) ConsensusStateFile() string { return filepath.Join(n.Home, keysDir, consensusStateFile) }

func (n *Node) write(home string) error {
	text, err := render(nodeTemplate, n)
	if err != nil {
		return fmt.Errorf("write node configuration: %w", err)
	}
	return userfile.CreateNew(filepath.Join(home, NodeFile), text, 0o644)
}

//go:embed node.yaml.tmpl
var nodeTemplate string

// render fills a template, in which q quotes values as JSON: JSON text is YAML text.
func render(text string, value any) ([]byte, error) {
	quote := func(v any) (string, error) {
		b, err := json.Marshal(v)
		return string(b), err
	}
	t, err := template.New("").Funcs(template.FuncMap{"q": quote}).Parse(text)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := t.Execute(&b, value); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
