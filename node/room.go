package node

import (
	"context"
	"errors"
	"time"

	"walrus/p2p"
	"walrus/store"
)

// ReadOnly is the state that other nodes see if this node serves its data but takes no new data.
const ReadOnly = "read-only"

// roomLook is the pause between checks whether the disk takes data, for the log. Uploads check by themselves.
const roomLook = 10 * time.Second

// runRoom logs when the node stops taking new data, and when it takes data again.
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

// refusal returns the reason, in words for others, why the node takes no new data; empty if it takes data.
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

// noteRoom adds disk usage to a status, and whether the node takes data.
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

// countRefusal counts a request to store that was refused for lack of space.
func (n *Node) countRefusal(err error) {
	if errors.Is(err, store.ErrFull) {
		n.meters.refused.Inc()
	}
}
