package config

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"walrus/internal/userfile"
	"walrus/ledger"
	"walrus/ledger/wallet"
	"walrus/shards"
)

// Files in a devnet's folder, besides the nodes' homes.
const (
	DevnetClientFile  = "client.yaml"
	devnetGenesisFile = "genesis.yaml"
	devnetWalletFile  = "wallet.yaml"
	devnetFaucetFile  = "faucet.yaml"
)

// Devnet sizes.
const (
	// DefaultDevnetNodes tolerates the loss of two nodes.
	DefaultDevnetNodes = 7
	// DefaultDevnetShards spreads over any sensible number of nodes. The public network has ten times as many.
	DefaultDevnetShards = 100
	// MinDevnetNodes is the least number of nodes that tolerates the loss of one.
	MinDevnetNodes = 4
	// DefaultDevnetEpoch is long enough for a day's work on one devnet, and short enough to see epochs end.
	DefaultDevnetEpoch = 24 * time.Hour
	// devnetEpochs is the default storage period of a devnet's client: a week.
	devnetEpochs = 7
	// devnetFunds go into the client's wallet; the faucet's wallet has the rest of all WAL.
	devnetFunds = 1_000_000 * ledger.WAL
	// devnetValidators agree on blocks; further nodes follow. On one machine, more validators make blocks slower.
	devnetValidators = 7
	// maxDevnetNodes is bounded by the ports of one machine and the patience of one operator.
	maxDevnetNodes = 500
)

// ErrNoDevnet: the folder holds no devnet. ErrDevnetExists: it holds one already. ErrSize: the requested numbers make
// no network.
var (
	ErrNoDevnet     = errors.New("no devnet")
	ErrDevnetExists = errors.New("a devnet already exists")
	ErrSize         = errors.New("invalid network size")
)

// DevnetOptions sets the size and epoch of a devnet.
type DevnetOptions struct {
	Nodes, Shards int
	Epoch         time.Duration // length of an epoch; 0 is DefaultDevnetEpoch
}

// Devnet is a network on one machine, for development and tests.
type Devnet struct {
	Dir    string   // absolute
	Client string   // path of the client's configuration
	Homes  []string // of node 0, 1, …
	Shards int
	// Addresses lists each node's TCP address, with its peer ID.
	Addresses []string
}

// CheckDevnetSize refuses numbers that make no network. Errors wrap ErrSize.
func CheckDevnetSize(nodes, n int) error {
	switch {
	case nodes < MinDevnetNodes:
		return fmt.Errorf("%w: %d nodes: at least %d are needed to survive the loss of one", ErrSize, nodes, MinDevnetNodes)
	case nodes > maxDevnetNodes:
		return fmt.Errorf("%w: %d nodes: at most %d fit on one machine", ErrSize, nodes, maxDevnetNodes)
	case n < nodes:
		return fmt.Errorf("%w: %d shards for %d nodes: each node needs at least one", ErrSize, n, nodes)
	case n > shards.MaxShards:
		return fmt.Errorf("%w: %d shards: at most %d", ErrSize, n, shards.MaxShards)
	}
	return nil
}

// InitDevnet makes a network in dir, which may be missing or empty: keys, genesis, a configuration for each node, one
// for clients and a wallet with WAL. The first epoch begins now. Errors: ErrDevnetExists, ErrSize.
func InitDevnet(ctx context.Context, dir string, opt DevnetOptions) (d *Devnet, err error) {
	if opt.Epoch == 0 {
		opt.Epoch = DefaultDevnetEpoch
	}
	if err := CheckDevnetSize(opt.Nodes, opt.Shards); err != nil {
		return nil, err
	}
	dir, err = filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("find devnet: %w", err)
	}
	if err := claimDir(dir); err != nil {
		return nil, err
	}
	held, err := holdPorts(ctx, opt.Nodes)
	if err != nil {
		return nil, err
	}
	// The ports are released last, after the files that name them are written.
	defer func() { err = errors.Join(err, held.release()) }()

	plan, err := planDevnet(opt, held.numbers)
	if err != nil {
		return nil, err
	}
	if err := plan.write(dir); err != nil {
		return nil, fmt.Errorf("%w (empty %s before trying again)", err, dir)
	}
	return LoadDevnet(dir)
}

// claimDir makes dir, or checks that it is empty.
func claimDir(dir string) error {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return fmt.Errorf("create devnet: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("create devnet: %w", err)
	}
	if len(entries) == 0 {
		return nil
	}
	if _, err := os.Stat(filepath.Join(dir, DevnetClientFile)); err == nil {
		return fmt.Errorf("%w in %s: run it with walrus devnet up --dir %s", ErrDevnetExists, dir, dir)
	}
	return fmt.Errorf("create devnet: %s is not empty: choose another folder", dir)
}

// devnetPlan holds everything that a new devnet consists of.
type devnetPlan struct {
	genesis        *ledger.Genesis
	keys           []*Keys
	nodes          []Node
	client         Client
	wallet, faucet *wallet.Wallet
}

func planDevnet(opt DevnetOptions, ports []int) (*devnetPlan, error) {
	nodes := opt.Nodes
	var tag [4]byte
	if _, err := rand.Read(tag[:]); err != nil {
		return nil, fmt.Errorf("name devnet: %w", err)
	}
	// A unique name keeps two devnets apart even if one later uses a port of the other.
	network := "devnet-" + hex.EncodeToString(tag[:])
	p := &devnetPlan{}
	var members []ledger.GenesisMember
	var addrs []string
	for i := range nodes {
		keys, err := NewKeys()
		if err != nil {
			return nil, err
		}
		member, err := keys.Member(network, nodeName(i))
		if err != nil {
			return nil, err
		}
		p.keys = append(p.keys, keys)
		members = append(members, member)
		addrs = append(addrs, fmt.Sprintf("/ip4/127.0.0.1/tcp/%d/p2p/%s", ports[i], member.Node))
	}
	if err := p.plan(network, opt, members); err != nil {
		return nil, err
	}
	for i := range nodes {
		node := DefaultNode()
		node.Name = nodeName(i)
		node.Genesis = filepath.Join("..", devnetGenesisFile)
		node.Pace = paceLocal
		node.Metrics = noMetrics // the default address is for one node only
		node.Listen = []string{
			fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", ports[i]),
			fmt.Sprintf("/ip4/127.0.0.1/udp/%d/quic-v1", ports[i]),
		}
		// The next two nodes: in this ring no single loss cuts anyone off.
		node.Bootstrap = []string{addrs[(i+1)%nodes], addrs[(i+2)%nodes]}
		p.nodes = append(p.nodes, node)
	}
	p.client = DefaultClient()
	p.client.Genesis, p.client.Wallet, p.client.Faucet = devnetGenesisFile, devnetWalletFile, devnetFaucetFile
	p.client.Epochs = devnetEpochs
	p.client.Bootstrap = addrs[:clientBootstrap(nodes)]
	return p, nil
}

// plan makes the genesis and the wallets that hold all WAL.
func (p *devnetPlan) plan(network string, opt DevnetOptions, members []ledger.GenesisMember) (err error) {
	if p.wallet, err = wallet.New(); err != nil {
		return err
	}
	if p.faucet, err = wallet.New(); err != nil {
		return err
	}
	if p.genesis, err = ledger.NewGenesis(network, opt.Shards, members); err != nil {
		return err
	}
	g := p.genesis
	g.Time, g.EpochDuration = time.Now().UTC().Truncate(time.Second), opt.Epoch
	g.Treasury = p.faucet.Address()
	g.Accounts = []ledger.GenesisAccount{{Address: p.wallet.Address(), Amount: devnetFunds}}
	for i := devnetValidators; i < len(g.Members); i++ {
		g.Members[i].Consensus = ledger.PublicKey{}
	}
	return g.Validate()
}

// clientBootstrap returns one more than the number of nodes that may be lost, so that one answers.
func clientBootstrap(nodes int) int { return min((nodes-1)/3+1, maxAddrs) }

func nodeName(i int) string { return "node-" + strconv.Itoa(i) }

// write creates the files, the client's configuration last: it marks a devnet as complete.
func (p *devnetPlan) write(dir string) error {
	genesis, err := p.genesis.Marshal()
	if err != nil {
		return err
	}
	if err := userfile.CreateNew(filepath.Join(dir, devnetGenesisFile), genesis, 0o644); err != nil {
		return err
	}
	for i, node := range p.nodes {
		home := filepath.Join(dir, nodeName(i))
		if err := os.Mkdir(home, 0o750); err != nil {
			return fmt.Errorf("create node home: %w", err)
		}
		if err := p.keys[i].write(home); err != nil {
			return err
		}
		if err := node.write(home); err != nil {
			return err
		}
	}
	if err := p.wallet.Create(filepath.Join(dir, devnetWalletFile)); err != nil {
		return err
	}
	if err := p.faucet.Create(filepath.Join(dir, devnetFaucetFile)); err != nil {
		return err
	}
	return p.client.write(filepath.Join(dir, DevnetClientFile))
}

// LoadDevnet finds the parts of the devnet in dir. It returns ErrNoDevnet if there is none.
func LoadDevnet(dir string) (*Devnet, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("find devnet: %w", err)
	}
	d := &Devnet{Dir: dir, Client: filepath.Join(dir, DevnetClientFile)}
	if _, err := os.Stat(d.Client); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w in %s: make one with walrus devnet init --dir %s", ErrNoDevnet, dir, dir)
	}
	genesis, err := LoadGenesis(filepath.Join(dir, devnetGenesisFile))
	if err != nil {
		return nil, err
	}
	d.Shards = genesis.Shards
	for i, m := range genesis.Members {
		home := filepath.Join(dir, nodeName(i))
		n, err := LoadNode(home)
		if err != nil {
			return nil, err
		}
		d.Homes = append(d.Homes, home)
		d.Addresses = append(d.Addresses, n.Listen[0]+"/p2p/"+m.Node.String())
	}
	return d, nil
}
