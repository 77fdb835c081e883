package main

import (
	"context"
	"errors"
	"time"

	"walrus/client"
	"walrus/clientnode"
	"walrus/config"
	"walrus/ledger/wallet"
)

// askTimeout bounds commands that only ask; the wait for a single node is much shorter.
const askTimeout = time.Minute

// session is a client that has joined the network.
type session struct {
	*client.Client
	node *clientnode.Node
	conf *config.Client
}

// open joins the configured network for reading. The caller closes the session.
func (a *app) open(ctx context.Context) (*session, error) {
	conf, err := a.loadClient()
	if err != nil {
		return nil, err
	}
	return a.join(ctx, conf, nil)
}

// openPaying joins the configured network with the configured wallet. The caller closes the session.
func (a *app) openPaying(ctx context.Context) (*session, error) {
	conf, err := a.loadClient()
	if err != nil {
		return nil, err
	}
	payer, err := conf.LoadWallet()
	if err != nil {
		return nil, err
	}
	return a.join(ctx, conf, payer)
}

// join joins the network of conf; payer may be nil.
func (a *app) join(ctx context.Context, conf *config.Client, payer *wallet.Wallet) (*session, error) {
	log, err := a.logger(conf.Log)
	if err != nil {
		return nil, err
	}
	cfg, open, err := conf.Compose(version, payer, log)
	if err != nil {
		return nil, err
	}
	n, err := clientnode.Open(ctx, cfg, open)
	if err != nil {
		return nil, err
	}
	return &session{Client: n.Client(), node: n, conf: conf}, nil
}

// close leaves the network and adds its error to err.
func (s *session) close(err *error) { *err = errors.Join(*err, s.node.Close()) }
