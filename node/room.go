package node

import (
	"context"
	"time"

	"walrus/alert"
	"walrus/internal/pause"
	"walrus/ledger/engine"
)

// roomLook is the pause between looks at the ledger's disk.
const roomLook = 10 * time.Second

// roomy is a Ledger that watches its disk and removes old blocks.
type roomy interface {
	// Room describes the disk.
	Room() engine.Room
	// Kept returns the first block from which on all are kept, and its time.
	Kept() (height uint64, at time.Time)
}

// room describes the ledger's disk; one without an alarm if the ledger has no disk.
func (n *Node) room() engine.Room {
	if l, ok := n.ledger.(roomy); ok {
		return l.Room()
	}
	return engine.Room{}
}

// runRoom tells the alarms about the ledger's disk until ctx ends.
func (n *Node) runRoom(ctx context.Context) error {
	known := engine.RoomEnough
	if n.alarms.firing(alert.Disk) {
		known = engine.RoomShort
	}
	for {
		if fact, ok := roomFact(known, n.room()); ok {
			n.alarms.queue(fact)
		}
		known = n.room().Alarm
		if !pause.For(ctx, roomLook) {
			return nil
		}
	}
}

// roomFact returns what the operator should hear when the alarm of the disk changes: each worse alarm, and the end.
func roomFact(known engine.Alarm, now engine.Room) (f alert.Fact, ok bool) {
	switch {
	case now.Alarm > known:
		return alert.Fact{Cause: alert.Disk, Detail: now.String()}, true
	case now.Alarm == engine.RoomEnough && known != engine.RoomEnough:
		return alert.Fact{Cause: alert.Disk, Over: true}, true
	}
	return f, false
}
