package client

import (
	"context"
	"errors"
	"slices"

	"walrus/certs"
)

// connecting dials a committee while the blob is being encoded. The upload then uses these connections.
type connecting struct {
	com    *certs.Committee // constant: of the epoch in which the store began
	cancel context.CancelFunc
	done   chan struct{} // closed when tally and err are set
	tally  answers
	err    error // error of the caller's context
}

// reach begins to connect to the committee. The caller must call end.
func (c *Client) reach(ctx context.Context, com *certs.Committee) *connecting {
	ctx, cancel := context.WithCancel(ctx)
	w := &connecting{com: com, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(w.done)
		w.tally = c.nodes.ask(ctx, com, func(context.Context, int, *certs.Member) (any, error) { return nil, nil },
			func(a answers) bool { return a.answered >= com.Quorum() })
		w.err = context.Cause(ctx)
	}()
	return w
}

// end gives up unfinished connections.
func (w *connecting) end() {
	w.cancel()
	<-w.done
}

// wait waits until a quorum is connected. If too few nodes can be reached, it returns *NotEnoughError and each node's
// error.
func (w *connecting) wait() ([]NodeUpload, error) {
	<-w.done
	if w.tally.answered >= w.com.Quorum() {
		return nil, nil
	}
	if w.err != nil {
		return nil, w.err
	}
	var nodes []NodeUpload
	for _, m := range w.com.Members() {
		n := NodeUpload{Node: m.Node, Name: m.Name, Shards: m.Shards}
		if i := slices.IndexFunc(w.tally.bad, func(b BadNode) bool { return b.Node == m.Node }); i >= 0 {
			n.Why = w.tally.bad[i].Reason
			n.Err = errors.New(n.Why)
		}
		nodes = append(nodes, n)
	}
	return nodes, &NotEnoughError{
		Op: "upload", Did: "can be reached", Have: w.tally.answered, Needed: w.com.Quorum(), Shards: w.com.Params().Shards(),
		Nodes:  w.tally.bad,
		Advice: "start the missing nodes and store again: nothing was paid",
	}
}
