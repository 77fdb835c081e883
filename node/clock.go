package node

import (
	"context"
	"errors"
	"time"

	"walrus/ledger"
	"walrus/ledger/light"
)

// runClock compares this machine's clock with the clocks of the other members. A wrong clock stops nothing here:
// slivers need no clock, and the ledger goes by the median of all.
func (n *Node) runClock(ctx context.Context) error {
	l, err := light.New(light.Config{Genesis: n.cfg.Genesis, Host: n.host.Libp2p(), Connect: n.dht.Connect, Logger: n.log})
	if errors.Is(err, ledger.ErrGenesis) { // in tests without consensus nobody serves clocks
		return nil
	}
	if err != nil {
		return err
	}
	l.WatchClock(ctx, n.tellClock)
	return nil
}

// tellClock records how far this machine's clock is ahead of the others', and logs whether that is wrong.
func (n *Node) tellClock(ahead time.Duration, wrong bool) {
	n.clockAhead.Store(int64(ahead))
	if !wrong {
		n.log.Info("this computer's clock is right again")
		return
	}
	n.log.Warn((&light.ClockError{Ahead: ahead}).Error())
}
