package main

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/spf13/cobra"

	"walrus/config"
	"walrus/ledger"
)

type nodeInit struct {
	home, name, genesis, network string
	listen, announce, bootstrap  []string
	mdns                         bool
}

func nodeInitCommand(a *app) *cobra.Command {
	var o nodeInit
	c := &cobra.Command{
		Use:   "init --home FOLDER (--genesis FILE | --network NAME)",
		Short: "make keys and a configuration for a new storage node",
		Long: `Make the home of a new storage node: its keys, which are never overwritten, and a commented node.yaml.

It prints the node's entry for the genesis of a new network. Send the entry to the person who sets up the network; they add
it with walrus genesis add before the first node starts. The entry proves that the node owns its keys. The proof holds for
one network only: the network of the genesis, or --network if there is no genesis yet. Then copy the finished genesis to
the path in node.yaml.

A running network takes no new members yet: its committee comes from its genesis. Do not add a node to the genesis of a
running network: one more member makes it the genesis of another network, in which the node would wait alone.

  walrus node init --home /var/lib/walrus --network example-net --listen /ip4/0.0.0.0/tcp/4001 > alpha.yaml
  walrus node init --home /var/lib/walrus --genesis genesis.yaml --bootstrap /ip4/192.0.2.1/tcp/4001/p2p/12D3Koo...

docs/network.md sets up a network of four machines, step by step.

--json prints {"home","config","peerId","member":{"node","name","key","proof","consensus"}}.`,
		Args: args(cobra.NoArgs, "no arguments"),
		RunE: func(*cobra.Command, []string) error { return a.nodeInit(o) },
	}
	homeFlag(c, &o.home)
	f := c.Flags()
	f.StringVar(&o.name, "name", "", "`NAME` in logs and tables (default: the name of the folder)")
	f.StringVar(&o.genesis, "genesis", "", "genesis `FILE` of the network (default: genesis.yaml in the home)")
	f.StringVar(&o.network, "network", "", "`NAME` of the network, if there is no genesis yet")
	f.StringSliceVar(&o.listen, "listen", []string{"/ip4/0.0.0.0/tcp/4001", "/ip4/0.0.0.0/udp/4001/quic-v1"},
		"multiaddr `ADDR` to accept connections on; may be repeated")
	f.StringSliceVar(&o.announce, "announce", nil, "multiaddr `ADDR` to announce instead, behind port forwarding; may be repeated")
	f.StringSliceVar(&o.bootstrap, "bootstrap", nil, "multiaddr `ADDR` of another node, ending in /p2p/PEER_ID; may be repeated")
	f.BoolVar(&o.mdns, "mdns", false, "also find nodes on the local network by multicast")
	return c
}

func (a *app) nodeInit(o nodeInit) error {
	network, genesis, err := o.findNetwork()
	if err != nil {
		return err
	}
	home := absolute(o.home)
	n := config.DefaultNode()
	if n.Name = o.name; n.Name == "" {
		n.Name = filepath.Base(home)
	}
	n.Listen, n.Announce, n.Bootstrap = o.listen, o.announce, o.bootstrap
	if o.mdns {
		n.MDNS = &o.mdns
	}
	if o.genesis != "" {
		n.Genesis = absolute(o.genesis)
	}
	if err := n.Validate(); err != nil {
		return &usageError{err}
	}
	keys, err := config.CreateNode(home, n)
	if err != nil {
		return err
	}
	m, err := keys.Member(network, n.Name)
	if err != nil {
		return err
	}
	if a.global.json {
		return a.printJSON(struct {
			Home   string     `json:"home"`
			Config string     `json:"config"`
			PeerID string     `json:"peerId"`
			Member memberJSON `json:"member"`
		}{home, filepath.Join(home, config.NodeFile), m.Node.String(), memberJSON{m.Node.String(), m.Name, m.Key.String(), m.Proof.String(), m.Consensus.String()}})
	}
	a.warn("made %s for network %s%s", home, network, whatNext(genesis, m.Node, o.home))
	var b strings.Builder
	fmt.Fprintf(&b, "  - node: %s\n    name: %q\n    key: %q\n    proof: %q\n    consensus: %q\n",
		m.Node, m.Name, m.Key, m.Proof, m.Consensus)
	_, err = a.stdout.Write([]byte(b.String()))
	return err
}

// whatNext says what to do with the printed entry.
func whatNext(genesis *ledger.Genesis, id peer.ID, home string) string {
	if genesis == nil {
		return "; add this entry to the genesis with walrus genesis add before the network starts:"
	}
	for i := range genesis.Members {
		if m := &genesis.Members[i]; m.Node == id {
			return fmt.Sprintf("; it is member %s of the genesis, with %s: run it with walrus node run --home %s", m.Name, plural(len(m.Shards), "shard"), home)
		}
	}
	return "; it is not a member of the genesis. A network that has started takes no new members yet: a genesis with one more is another " +
		"network's. If no node has started yet, add this entry with walrus genesis add and give everybody the new file:"
}

type memberJSON struct {
	Node      string `json:"node"`
	Name      string `json:"name"`
	Key       string `json:"key"`
	Proof     string `json:"proof"`
	Consensus string `json:"consensus"`
}

// findNetwork returns the network's name: the genesis's, or the flag's if there is no genesis yet.
func (o nodeInit) findNetwork() (name string, genesis *ledger.Genesis, err error) {
	path := o.genesis
	if path == "" {
		path = filepath.Join(o.home, "genesis.yaml")
	}
	genesis, err = config.LoadGenesis(path)
	switch {
	case err == nil && o.network != "" && o.network != genesis.Network:
		return "", nil, usagef("--network %s: the genesis %s belongs to network %s", o.network, path, genesis.Network)
	case err == nil:
		return genesis.Network, genesis, nil
	case !errors.Is(err, fs.ErrNotExist):
		return "", nil, err
	case o.network == "" && o.genesis != "":
		return "", nil, err
	case o.network == "":
		return "", nil, usagef("name the node's network: --genesis FILE, or --network NAME if there is no genesis yet")
	}
	if err := ledger.CheckNetwork(o.network); err != nil {
		return "", nil, &usageError{err}
	}
	return o.network, nil, nil
}
