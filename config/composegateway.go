package config

import (
	"log/slog"

	"walrus/dht"
	"walrus/gateway"
	"walrus/ledger/wallet"
	"walrus/node"
)

// ComposeGateway makes the configuration of the gateway beside a node, which reaches the network through that node, and what
// opens its view of the ledger. The node has one.
func (n *Node) ComposeGateway(version string, log *slog.Logger) (cfg node.ClientConfig, open node.OpenChain, gw gateway.Config, err error) {
	genesis, err := LoadGenesis(n.Genesis)
	if err != nil {
		return cfg, nil, gw, err
	}
	here, err := n.LocalAddr()
	if err != nil {
		return cfg, nil, gw, err
	}
	var payer *wallet.Wallet
	if n.Gateway.Wallet != "" {
		if payer, err = wallet.Load(n.Gateway.Wallet); err != nil {
			return cfg, nil, gw, err
		}
	}
	cfg = clientConfig(genesis.Network, version, log)
	cfg.DHT = dht.Config{Bootstrap: append([]string{here}, n.Bootstrap...), MDNS: n.MDNS}
	gw = gateway.Default()
	gw.Bind, gw.Version, gw.Publisher = n.Gateway.Bind, version, payer != nil
	return cfg, node.Light(genesis, payer, log), gw, nil
}

// ComposeGateway is Compose for a gateway, which is a publisher if there is a wallet.
func (c *Client) ComposeGateway(version string, payer *wallet.Wallet, log *slog.Logger) (cfg node.ClientConfig, open node.OpenChain, gw gateway.Config, err error) {
	cfg, open, err = c.Compose(version, payer, log)
	gw = gateway.Default()
	gw.Version, gw.Publisher = version, payer != nil
	gw.Store.Epochs, gw.Store.TempDir = c.Epochs, c.TempDir
	return cfg, open, gw, err
}
