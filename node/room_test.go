package node

import (
	"testing"

	"walrus/ledger/engine"
)

// Each worse alarm of the disk is told, and its end; a better one is not.
func TestRoomFact(t *testing.T) {
	const none, short, full, last = engine.RoomEnough, engine.RoomShort, engine.RoomNone, engine.RoomLast
	for _, c := range []struct {
		known, now engine.Alarm
		told, over bool
	}{
		{none, none, false, false}, {none, short, true, false}, {short, short, false, false}, {short, full, true, false},
		{full, last, true, false}, {full, short, false, false}, {short, none, true, true}, {full, none, true, true},
	} {
		f, told := roomFact(c.known, engine.Room{Alarm: c.now})
		if told != c.told || f.Over != c.over || told && !f.Over && f.Detail == "" {
			t.Errorf("from alarm %d to %d: told %v, %+v", c.known, c.now, told, f)
		}
	}
}
