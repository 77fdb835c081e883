package engine

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"walrus/internal/swarmtest"
	"walrus/ledger/engine/badgerdb"
	"walrus/ledger/light"
)

func TestJudge(t *testing.T) {
	const gib = 1 << 30
	for _, c := range []struct {
		free, size int64
		want       Alarm
		text       string
	}{
		{10 * gib, 1000 * gib, RoomEnough, ""},
		{10*gib - 1, 1000 * gib, RoomShort, "has 10239 MiB of 1000 GiB free"},
		{5 * gib, 50 * gib, RoomEnough, ""},
		{5*gib - 1, 50 * gib, RoomShort, "has 5119 MiB of 50 GiB free"},
		{2*gib - 1, 4 * gib, RoomShort, "has 2047 MiB of 4096 MiB free: free some space"},
		{refuseFree, 4 * gib, RoomShort, "with less than 512 MiB the node takes no transactions"},
		{refuseFree - 1, 4 * gib, RoomNone, "needs 512 MiB for transactions"},
		{badgerdb.MinFree, 4 * gib, RoomNone, "with less than 128 MiB the node ends"},
		{badgerdb.MinFree - 1, 4 * gib, RoomLast, "needs 128 MiB: free some space and start again"},
		{0, 0, RoomLast, "start again"},
	} {
		r := judge(c.free, c.size)
		if r.Alarm != c.want || !strings.Contains(r.String(), c.text) || (c.text == "") != (r.String() == "") {
			t.Errorf("%d of %d free: alarm %d, %q; want %d, %q", c.free, c.size, r.Alarm, r, c.want, c.text)
		}
	}
}

// A node whose disk is nearly full refuses transactions with a clear text, while it goes on with what others take:
// their blocks come without delay. It takes them again when there is room, and ends in order below the last reserve.
func TestDiskAlarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFleet(t, swarmtest.NewNetwork(1), 2, nil)
		var free atomic.Int64
		free.Store(10 << 30)
		s.adjust = func(i int, c *Config) {
			c.Disk = func(string) (int64, int64, error) {
				if i == 1 {
					return free.Load(), 20 << 30, nil
				}
				return 10 << 30, 20 << 30, nil
			}
		}
		defer s.closeAll()
		s.open(0, 1)
		<-s.nodes[0].Ready()
		<-s.nodes[1].Ready()
		s.pay(1, 0, 1)
		if room := s.nodes[1].Status().Room; room.Alarm != RoomEnough || room.Size != 20<<30 {
			t.Errorf("room before: %+v", room)
		}

		free.Store(refuseFree - 1)
		time.Sleep(2 * lookRoom)
		refused := s.transfer(2, 3)
		err := s.nodes[1].Submit(t.Context(), refused.Marshal())
		if !errors.Is(err, ErrDisk) || !errors.Is(err, light.ErrUnavailable) || !strings.Contains(err.Error(),
			"takes no transactions: the ledger's disk has 511 MiB of 20 GiB free, and needs 512 MiB") {
			t.Errorf("submit to the node without room: %v", err)
		}
		if room := s.nodes[1].Status().Room; room.Alarm != RoomNone {
			t.Errorf("room: %+v", room)
		}
		paid := s.pay(0, 4, 5) // others take it, and the node without room votes for the block
		s.reach(1, paid.Height+1, time.Minute)
		s.same(0, 1)
		if err := s.nodes[0].Submit(t.Context(), refused.Marshal()); err != nil {
			t.Errorf("the same transaction elsewhere: %v", err)
		}

		free.Store(refuseFree)
		time.Sleep(2 * lookRoom)
		s.pay(1, 6, 7)

		free.Store(badgerdb.MinFree - 1)
		select {
		case err := <-s.nodes[1].ended:
			if !errors.Is(err, ErrHalted) || !strings.Contains(err.Error(), "free some space and start again") {
				t.Errorf("it ended with: %v", err)
			}
			s.nodes[1].ended <- nil
		case <-time.After(time.Minute):
			t.Error("it goes on without room")
		}
	})
}
