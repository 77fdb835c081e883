package compose

import (
	"log/slog"
	"path/filepath"

	"walrus/clientnode"
	"walrus/config"
	"walrus/dht"
	"walrus/gateway"
	"walrus/ledger/wallet"
)

// NodeGateway makes the configuration of the gateway beside a node, and the function that opens its view of the ledger.
// The gateway reaches the network through its node. node.yaml must configure a gateway.
func NodeGateway(n *config.Node, version string, log *slog.Logger) (cfg clientnode.Config, open clientnode.OpenChain, gw gateway.SiteConfig, err error) {
	genesis, err := config.LoadGenesis(n.Genesis)
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
	cfg = config.ClientProcess(genesis.Network, version, log)
	cfg.DHT = dht.Config{Bootstrap: append([]string{here}, n.Bootstrap...), MDNS: n.MDNS}
	gw = gateway.DefaultSite()
	gw.API.Version, gw.API.Publisher = version, payer != nil
	gw.API.Store.UploadDir = filepath.Join(n.Home, "uploads")
	if err := nodeGateway(&gw, &n.Gateway); err != nil {
		return cfg, nil, gw, err
	}
	return cfg, clientnode.Light(genesis, payer, log), gw, ownerKey(&gw, payer)
}

// nodeGateway copies the gateway section of node.yaml into the gateway's configuration.
func nodeGateway(gw *gateway.SiteConfig, n *config.Gateway) error {
	gw.Listen(n.Bind)
	most, err := n.MaxBodyBytes()
	if err != nil {
		return err
	}
	if most > 0 {
		gw.API.Store.MaxBody, gw.API.Store.MaxQuiltBody = most, most
	}
	switch n.Metrics {
	case "":
	case "none":
		gw.Metrics = ""
	default:
		gw.Metrics, gw.MetricsIfFree = n.Metrics, false
	}
	return nil
}

// ClientGateway makes the configuration of a gateway in c's network. With a wallet the gateway can also store.
func ClientGateway(c *config.Client, version string, payer *wallet.Wallet, log *slog.Logger) (cfg clientnode.Config, open clientnode.OpenChain, gw gateway.SiteConfig, err error) {
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

// ownerKey derives the key for management tokens from the wallet, so that all gateways of one wallet accept them.
func ownerKey(gw *gateway.SiteConfig, payer *wallet.Wallet) (err error) {
	if payer != nil {
		gw.API.Store.OwnerKey, err = payer.Derive("tokens of owners at gateways")
	}
	return err
}
