package config

import (
	"log/slog"
	"path/filepath"

	"walrus/dht"
	"walrus/gateway"
	"walrus/ledger/wallet"
	"walrus/node"
)

// ComposeGateway makes the configuration of the gateway beside a node, which reaches the network through that node, and what
// opens its view of the ledger. The node has one.
func (n *Node) ComposeGateway(version string, log *slog.Logger) (cfg node.ClientConfig, open node.OpenChain, gw gateway.SiteConfig, err error) {
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
	gw = gateway.DefaultSite()
	gw.API.Version, gw.API.Publisher = version, payer != nil
	gw.API.Store.UploadDir = filepath.Join(n.Home, "uploads")
	gw.Listen(n.Gateway.Bind)
	return cfg, node.Light(genesis, payer, log), gw, ownerKey(&gw, payer)
}

// ComposeGateway is Compose for a gateway, which is a publisher if there is a wallet.
func (c *Client) ComposeGateway(version string, payer *wallet.Wallet, log *slog.Logger) (cfg node.ClientConfig, open node.OpenChain, gw gateway.SiteConfig, err error) {
	cfg, open, err = c.Compose(version, payer, log)
	gw = gateway.DefaultSite()
	gw.API.Version, gw.API.Publisher = version, payer != nil
	gw.API.Store.Epochs, gw.API.Store.TempDir = c.Epochs, c.TempDir
	gw.Guard.JWT.Epochs = c.Epochs
	if err == nil {
		err = ownerKey(&gw, payer)
	}
	return cfg, open, gw, err
}

// ownerKey lets those who store through the gateway manage what they stored: all gateways of a wallet know their tokens.
func ownerKey(gw *gateway.SiteConfig, payer *wallet.Wallet) (err error) {
	if payer != nil {
		gw.API.Store.OwnerKey, err = payer.Derive("tokens of owners at gateways")
	}
	return err
}
