package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"walrus/compose"
	"walrus/config"
	"walrus/ledger/wallet"
	"walrus/node"
)

const gatewayLong = `

The API is the original Walrus's, so clients written for it work unmodified. It describes itself at /v1/api. In a browser,
http://127.0.0.1:31415/ shows the network.

Once it serves, one line that begins with "ready" appears on standard output, or with --json the object
{"ready":true,"url"} on one line. Logs go to standard error.`

const (
	daemonLong = `A daemon is a publisher and an aggregator in one: it stores and reads blobs for others. The configured wallet pays.

  walrus daemon &
  curl -T photo.jpg "http://127.0.0.1:31415/v1/blobs?epochs=5"        # stores: prints JSON with the blob ID
  curl -o copy.jpg http://127.0.0.1:31415/v1/blobs/BLOB_ID`
	publisherLong = `A publisher stores blobs for others. The configured wallet pays: before you open it to strangers, limit who may store and
how much.

  walrus publisher &
  curl -T photo.jpg "http://127.0.0.1:31415/v1/blobs?epochs=5"        # stores: prints JSON with the blob ID
  curl -X PUT -F a.txt=@a.txt -F b.txt=@b.txt http://127.0.0.1:31415/v1/quilts
  walrus publisher --bind 192.0.2.1:80 --host store.example.net --jwt-decode-secret-file key --jwt-verify-upload --spend-per-day 10`
	aggregatorLong = `An aggregator reads blobs for others. It needs no wallet.

  walrus aggregator &
  curl -o copy.jpg http://127.0.0.1:31415/v1/blobs/BLOB_ID
  curl -r 0-99 http://127.0.0.1:31415/v1/blobs/BLOB_ID               # the first 100 bytes
  walrus aggregator --bind 192.0.2.1:80 --host read.example.net --cache-dir /var/cache/walrus --blocklist blocked.txt`
)

// gatewayCommands makes the commands that serve HTTP until they are interrupted.
func gatewayCommands(a *app) []*cobra.Command {
	return []*cobra.Command{
		gatewayCommand(a, "daemon", "serve HTTP: store blobs and read them", daemonLong, true, true),
		gatewayCommand(a, "publisher", "serve HTTP: store blobs", publisherLong, true, false),
		gatewayCommand(a, "aggregator", "serve HTTP: read blobs", aggregatorLong, false, true),
	}
}

func gatewayCommand(a *app, name, short, first string, publish, aggregate bool) *cobra.Command {
	var f gatewayFlags
	c := &cobra.Command{
		Use: name, Short: short, Long: first + gatewayLong,
		Args: args(cobra.NoArgs, "no arguments"),
		RunE: func(c *cobra.Command, _ []string) error {
			return a.serveGateway(c.Context(), &f, publish, aggregate)
		},
	}
	f.add(c, publish, aggregate)
	return c
}

// serveGateway runs a gateway of the configured network until ctx ends.
func (a *app) serveGateway(ctx context.Context, f *gatewayFlags, publish, aggregate bool) error {
	conf, err := a.loadClient()
	if err != nil {
		return err
	}
	var payer *wallet.Wallet
	if publish {
		if payer, err = conf.LoadWallet(); err != nil {
			return err
		}
	}
	log, err := a.logger(conf.Log.Serving())
	if err != nil {
		return err
	}
	gw, err := compose.ClientGateway(conf, version, payer, log)
	if err != nil {
		return err
	}
	gw.Site.API.Publisher, gw.Site.API.Aggregator = publish, aggregate
	if err := f.apply(gw, a.env); err != nil {
		return err
	}
	if f.operator {
		return a.printOperatorToken(gw)
	}
	g, err := node.OpenGateway(ctx, gw.Client, gw.Open, gw.Site, gw.Observe)
	if err != nil {
		return adviseTaken(err, f.bind, "--bind", gw.Site.Metrics, "--metrics-address")
	}
	err = a.ready(struct {
		Ready bool   `json:"ready"`
		URL   string `json:"url"`
	}{true, g.URL()}, "ready %s\n", g.URL())
	if err != nil {
		return errors.Join(err, g.Close())
	}
	return g.Run(ctx)
}

// printOperatorToken prints the token that is valid for every record of a publisher.
func (a *terminal) printOperatorToken(gw *compose.Gateway) error {
	token, err := gw.OperatorToken()
	if err != nil {
		return err
	}
	return a.result(struct {
		Token string `json:"operatorToken"`
	}{token}, "%s\n", token)
}

// startNodeGateway starts the gateway that the configuration of a running node asks for, on the node's host. It returns
// the gateway's URL, or "" for none.
func (a nodeApp) startNodeGateway(ctx context.Context, n *node.Node, home string,
	start func(task)) (url string, err error) {
	conf, err := config.LoadNode(home)
	if err != nil || conf.Gateway.Bind == "" {
		return "", err
	}
	log, err := a.logger(conf.Log)
	if err != nil {
		return "", err
	}
	gw, err := compose.NodeGateway(conf, n.Newest, version, log)
	if err != nil {
		return "", err
	}
	gw.Site.API.Monitor = compose.MonitorPage(n.Watch(), conf.Monitor.Enabled)
	g, err := node.OpenGatewayBeside(ctx, n, gw.Client, gw.Open, gw.Site)
	if err != nil {
		return "", adviseTaken(err, conf.Gateway.Bind, `"gateway.bind" in node.yaml`, gw.Site.Metrics,
			`"gateway.metrics" in node.yaml`)
	}
	start(g.Run)
	return g.URL(), nil
}
