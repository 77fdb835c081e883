package config

import (
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"walrus/internal/userfile"
	"walrus/ledger"
	"walrus/ledger/light"
	"walrus/ledger/wallet"
	"walrus/p2p"
)

// ClientFile is the default name of the client's configuration file.
const ClientFile = "walrus.yaml"

// ErrNoConfig is returned when no client configuration was named and none was found.
var ErrNoConfig = errors.New("no configuration found")

// Client is the configuration of a process that is only a client. Relative paths in the file are relative to the file,
// and ~/ is the user's home. LoadClient makes them absolute.
type Client struct {
	// Path of the file itself. Not in the file.
	Path string `yaml:"-"`
	// Genesis is the file that defines the network. Required. Default genesis.yaml.
	Genesis string `yaml:"genesis"`
	// Bootstrap lists addresses of nodes, ending in /p2p/<peer ID>; one that answers is enough. Required unless MDNS.
	Bootstrap []string `yaml:"bootstrap"`
	// Allow makes the network private: it lists peer IDs, and files with one a line. Only these, the nodes that the ledger
	// names and the bootstrap nodes get a connection. Default none: everybody does.
	Allow []string `yaml:"allow"`
	// Identity is the file with the client's own key, for networks whose nodes must know its peer ID. It is made when it
	// is needed. Default "": a fresh identity for each process. A pinner has its own in its home.
	Identity string `yaml:"identity"`
	// MDNS finds nodes on the local network by multicast. Default null: true for gateways and other processes that run
	// for long, unless all bootstrap nodes are on this machine; false for commands.
	MDNS *bool `yaml:"mdns"`
	// MaxConnections bounds the connections in a public network: small routers at home forget some when there are more
	// than a few hundred. With 150 or fewer, the client also makes one new connection a second on average, after a first
	// burst. Default 150.
	MaxConnections int `yaml:"maxConnections"`
	// AddressBook is the file that remembers nodes' addresses, so that the client can join when bootstrap nodes are
	// down. "" remembers nothing. Default client-peers.json.
	AddressBook string `yaml:"addressBook"`
	// Trust is a checkpoint to start from, height:hash, from somebody trusted. Default "": start from the genesis.
	Trust string `yaml:"trust"`
	// TrustFile is the file that keeps the newest verified block, so that trust does not expire while the client is in
	// use. "" keeps nothing. Default client-trust.json.
	TrustFile string `yaml:"trustFile"`
	// Own returns the newest header of a storage node in this process; nil without. Not in the file.
	Own func() (light.Point, bool) `yaml:"-"`
	// Wallet is the file with the key that pays; not needed for reading. Default wallet.yaml.
	Wallet string `yaml:"wallet"`
	// MaxFee bounds the fee of a transaction, in multiples of the least fee: while the ledger is busy, nodes ask for more,
	// and the client pays that up to here. Default 10.
	MaxFee uint64 `yaml:"maxFee"`
	// Faucet is the devnet wallet from which walrus wallet faucet pays. Default "": none.
	Faucet string `yaml:"faucet"`
	// Epochs is the default number of epochs for store. Default 1.
	Epochs uint32 `yaml:"epochs"`
	// TempDir holds content that does not fit in memory: standard input while it is stored, rows that arrive early in a
	// read. Default "": the system's.
	TempDir string `yaml:"tempDir"`
	// Log configures logging. Default "", text.
	Log Log `yaml:"log"`
}

// DefaultClient returns the default values of a client's configuration.
func DefaultClient() Client {
	return Client{
		Genesis: "genesis.yaml", AddressBook: "client-peers.json", TrustFile: "client-trust.json", Wallet: "wallet.yaml", Epochs: 1,
		MaxFee:         wallet.DefaultMaxFee,
		MaxConnections: p2p.HomeLimits().Conns.All,
		Log:            Log{Format: "text"},
	}
}

// FindClient returns the path of the client's configuration: flag, else $WALRUS_CONFIG, else the first that exists of
// ./walrus.yaml and walrus/walrus.yaml under $XDG_CONFIG_HOME (default ~/.config). Without any it returns ErrNoConfig.
func FindClient(flag string, env Env) (string, error) {
	if flag != "" {
		return flag, nil
	}
	if path := env(EnvConfig); path != "" {
		path, err := userfile.Expand(path)
		if err != nil {
			return "", fmt.Errorf("$%s: %w", EnvConfig, err)
		}
		return path, nil
	}
	candidates := []string{ClientFile}
	if dir := env("XDG_CONFIG_HOME"); dir != "" {
		candidates = append(candidates, filepath.Join(dir, "walrus", ClientFile))
	} else if home := env("HOME"); home != "" {
		candidates = append(candidates, filepath.Join(home, ".config", "walrus", ClientFile))
	}
	for _, path := range candidates {
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%w: give --config FILE or set $%s (for a devnet: client.yaml in its folder)", ErrNoConfig, EnvConfig)
}

// LoadClient reads the file at path and validates it.
func LoadClient(path string) (*Client, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("find configuration: %w", err)
	}
	raw, err := readFile(path, maxFileSize)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("no configuration at %s: give --config FILE or set $%s", path, EnvConfig)
	}
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	c := DefaultClient()
	c.Path = path
	if err := decode(path, raw, &c); err != nil {
		return nil, err
	}
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	err = locate(path, pathKey{"genesis", &c.Genesis}, pathKey{"addressBook", &c.AddressBook}, pathKey{"tempDir", &c.TempDir},
		pathKey{"trustFile", &c.TrustFile},
		pathKey{"wallet", &c.Wallet}, pathKey{"faucet", &c.Faucet}, pathKey{"identity", &c.Identity})
	if err = errors.Join(err, locateAllow(path, c.Allow)); err != nil {
		return nil, err
	}
	return &c, nil
}

// LoadWallet reads the wallet that pays. It refuses a file that other users can read.
func (c *Client) LoadWallet() (*wallet.Wallet, error) {
	if c.Wallet == "" {
		return nil, fmt.Errorf("%s: key \"wallet\" is empty: name a wallet file, or make one with walrus wallet new", c.Path)
	}
	w, err := wallet.Load(c.Wallet)
	if err != nil {
		return nil, err
	}
	return w.MaxFee(c.MaxFee), nil
}

// LoadFaucet reads the wallet that walrus wallet faucet pays from.
func (c *Client) LoadFaucet() (*wallet.Wallet, error) {
	if c.Faucet == "" {
		return nil, fmt.Errorf("%s names no faucet: only a devnet has one", c.Path)
	}
	return wallet.Load(c.Faucet)
}

// Validate returns an error for the first key that is wrong.
func (c *Client) Validate() error {
	if c.Genesis == "" {
		return errors.New("key \"genesis\" is empty: name the network's genesis file")
	}
	if c.Epochs == 0 || c.Epochs > ledger.MaxEpochsAhead {
		return fmt.Errorf("key \"epochs\" is %d: must be 1 to %d", c.Epochs, ledger.MaxEpochsAhead)
	}
	if c.MaxConnections < minConnections || c.MaxConnections > maxStrangers {
		return fmt.Errorf("key \"maxConnections\" is %d: want %d to %d", c.MaxConnections, minConnections, maxStrangers)
	}
	if c.MaxFee == 0 {
		return errors.New("key \"maxFee\" is 0: want 1 or more, in multiples of the least fee")
	}
	if len(c.Bootstrap) == 0 && (c.MDNS == nil || !*c.MDNS) {
		return errors.New("key \"bootstrap\" is empty: name a node to start from, or set mdns: true")
	}
	if err := checkPeerAddrs("bootstrap", c.Bootstrap); err != nil {
		return err
	}
	if c.Trust != "" {
		if _, err := light.ParseCheckpoint(c.Trust); err != nil {
			return fmt.Errorf("key \"trust\": %w", err)
		}
	}
	return c.Log.Validate()
}

// minConnections is enough for a small committee.
const minConnections = 20

// Limits returns the limits of the client's host in a public network.
func (c *Client) Limits() p2p.Limits {
	l := p2p.HomeLimits()
	if c.MaxConnections > l.Conns.All {
		l.Dials = p2p.DialLimits{}
	}
	l.Conns.All, l.Conns.High, l.Conns.Low = c.MaxConnections, c.MaxConnections*4/5, c.MaxConnections*2/3
	l.Conns.Strangers, l.Conns.StrangersOut = c.MaxConnections/2, c.MaxConnections/2
	return l
}

// Neighbours reports whether the client finds nodes by multicast; lasting is true for a process that runs for long.
func (c *Client) Neighbours(lasting bool) bool {
	if c.MDNS != nil {
		return *c.MDNS
	}
	return lasting && !onMachine(c.Bootstrap)
}

//go:embed client.yaml.tmpl
var clientTemplate string

// write creates the commented file, with c's paths as they are.
func (c *Client) write(path string) error {
	text, err := render(clientTemplate, c)
	if err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	return userfile.CreateNew(path, text, 0o644)
}
