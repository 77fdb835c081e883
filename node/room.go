package node

import (
	"context"
	"errors"
	"time"

	"walrus/p2p"
	"walrus/store"
)

// ReadOnly is the state, for others, of a node that serves what it has and takes no new data.
const ReadOnly = "read-only"

// roomLook is how often the node looks whether its disk takes data, to say so in the log: uploads find out by themselves.
const roomLook = 10 * time.Second

// runRoom logs when the node begins and ends to refuse new data.
func (n *Node) runRoom(ctx context.Context) error {
	look := time.NewTicker(roomLook)
	defer look.Stop()
	refused := false
	for {
		err := n.store.Refuses()
		if full := errors.Is(err, store.ErrFull); full != refused {
			if refused = full; refused {
				n.log.Error("node takes no new data and repairs nothing; it serves what it has", "why", err)
			} else {
				n.log.Info("node takes new data again")
			}
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// refusal is why the node takes no new data, for others; empty if it does.
func refusal(err error) string {
	if !errors.Is(err, store.ErrFull) {
		return ""
	}
	var full *store.FullError
	if errors.As(err, &full) {
		return full.Reason()
	}
	return store.ErrFull.Error()
}

// noteRoom puts into a status how much of the disk is used, and whether the node takes data.
func (n *Node) noteRoom(st *p2p.NodeStatus) error {
	r, err := n.store.Room()
	if err != nil {
		return wireError(err)
	}
	st.DiskBytes, st.DiskLimit = uint64(r.Used), uint64(r.Limit)
	st.DiskFree, st.DiskReserve = uint64(r.Free), uint64(r.Reserve)
	if st.Refuses = refusal(r.Refuses); st.Refuses != "" && st.State == Serving {
		st.State = ReadOnly
	}
	return nil
}

// countRefusal counts a request to store that was refused for want of space.
func (n *Node) countRefusal(err error) {
	if errors.Is(err, store.ErrFull) {
		n.meters.refused.Inc()
	}
}
