package compose

import (
	"log/slog"
	"path/filepath"

	"walrus/clientnode"
	"walrus/config"
	"walrus/gateway"
	"walrus/ledger/light"
	"walrus/ledger/wallet"
	"walrus/monitor"
	"walrus/node"
)

// Gateway configures a gateway and the client under it.
type Gateway struct {
	Client clientnode.Config
	Open   clientnode.OpenChain
	Site   gateway.SiteConfig
	// Observe makes a gateway without a storage node listen to monitors.
	Observe node.Observe
}

// DefaultGateway returns a Gateway with only Site set: a site for this machine, with the original's limits.
func DefaultGateway() *Gateway { return &Gateway{Site: gateway.DefaultSite()} }

// OperatorToken returns the token by which every record of the gateway's wallet can be managed.
func (g *Gateway) OperatorToken() (string, error) {
	return gateway.OperatorToken(g.Site.API.Store.OwnerKey)
}

// NodeGateway configures the gateway beside a node, for node.OpenGatewayBeside. node.yaml must have a section for it.
// own returns the newest block of the node's own ledger.
func NodeGateway(n *config.Node, own func() (light.Point, bool), version string, log *slog.Logger) (*Gateway, error) {
	genesis, err := config.LoadGenesis(n.Genesis)
	if err != nil {
		return nil, err
	}
	var payer *wallet.Wallet
	if n.Gateway.Wallet != "" {
		if payer, err = n.Gateway.LoadWallet(); err != nil {
			return nil, err
		}
	}
	g := DefaultGateway()
	g.Client, g.Open = config.ClientProcess(genesis.Network, version, log), clientnode.LightFrom(genesis, clientnode.Trust{Own: own}, payer, log)
	g.Site.API.Version, g.Site.API.Publisher = version, payer != nil
	g.Site.API.Store.UploadDir = filepath.Join(n.Home, "uploads")
	if err := nodeGateway(&g.Site, &n.Gateway); err != nil {
		return nil, err
	}
	return g, ownerKey(&g.Site, payer)
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

// ClientGateway configures a gateway in c's network. With a wallet the gateway can also store.
func ClientGateway(c *config.Client, version string, payer *wallet.Wallet, log *slog.Logger) (*Gateway, error) {
	g := DefaultGateway()
	var err error
	if g.Client, g.Open, err = c.Compose(version, payer, log); err != nil {
		return nil, err
	}
	if g.Observe.Genesis, err = config.LoadGenesis(c.Genesis); err != nil {
		return nil, err
	}
	g.Observe.Show = func(w *monitor.Watch) gateway.Monitor { return MonitorPage(w, false) }
	g.Client.DHT.MDNS = c.Neighbours(true)
	g.Site.API.Version, g.Site.API.Publisher = version, payer != nil
	g.Site.API.Store.Epochs, g.Site.API.Store.TempDir = c.Epochs, c.TempDir
	g.Site.Guard.JWT.Epochs = c.Epochs
	return g, ownerKey(&g.Site, payer)
}

// ownerKey derives the key for management tokens from the wallet, so that all gateways of one wallet accept them.
func ownerKey(gw *gateway.SiteConfig, payer *wallet.Wallet) (err error) {
	if payer != nil {
		gw.API.Store.OwnerKey, err = payer.Derive("tokens of owners at gateways")
	}
	return err
}
