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
	end  context.CancelFunc // of the session's context
}

// open joins the configured network for reading; see join.
func (a *app) open(ctx context.Context, own time.Duration) (context.Context, *session, error) {
	conf, err := a.loadClient()
	if err != nil {
		return nil, nil, err
	}
	return a.join(ctx, own, conf, nil)
}

// openPaying joins the configured network with the configured wallet; see join.
func (a *app) openPaying(ctx context.Context, own time.Duration) (context.Context, *session, error) {
	conf, err := a.loadClient()
	if err != nil {
		return nil, nil, err
	}
	payer, err := conf.LoadWallet()
	if err != nil {
		return nil, nil, err
	}
	return a.join(ctx, own, conf, payer)
}

// join joins the network of conf; payer may be nil. The returned context is bounded by --timeout or else own, and ends
// when the caller closes the session.
func (a *app) join(ctx context.Context, own time.Duration, conf *config.Client,
	payer *wallet.Wallet) (context.Context, *session, error) {
	log, err := a.logger(conf.Log)
	if err != nil {
		return nil, nil, err
	}
	cfg, open, err := conf.Compose(version, payer, log)
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := a.withTimeout(ctx, own)
	n, err := clientnode.Open(ctx, cfg, open)
	if err != nil {
		cancel()
		return nil, nil, err
	}
	return ctx, &session{Client: n.Client(), node: n, conf: conf, end: cancel}, nil
}

// close leaves the network and adds its error to err.
func (s *session) close(err *error) {
	*err = errors.Join(*err, s.node.Close())
	s.end()
}
