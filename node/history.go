package node

import (
	"context"
	"encoding/binary"
	"errors"
	"sync"
	"time"

	"walrus/p2p"
	"walrus/store"
)

// A node remembers 288 points of five minutes and 372 of two hours, 42 KB. They are written every hour, which is 1 MB
// a day, and when the node stops. A killed node forgets the last hour.
const (
	historyStep  = 5 * time.Minute
	historyDay   = 288
	historyLong  = 2 * time.Hour
	historyMonth = 372 // 31 days
	historyWrite = time.Hour
)

// historyKey is the key of the history in the store.
const historyKey = "history"

// history holds the node's points of the last day and month.
type history struct {
	mu    sync.Mutex
	day   []p2p.HistoryPoint // guarded by mu, as is month; oldest first
	month []p2p.HistoryPoint // oldest first; the last is still growing
}

// add appends a point to the day and merges it into the current point of the month.
func (h *history) add(p p2p.HistoryPoint) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if n := len(h.day); n > 0 && p.End.Before(h.day[n-1].End) { // the clock was set back: skip, to keep the order
		return
	}
	h.day = last(append(h.day, p), historyDay)
	slot := p.End.Truncate(historyLong)
	n := len(h.month)
	if n == 0 || !h.month[n-1].End.Truncate(historyLong).Equal(slot) {
		h.month = last(append(h.month, p), historyMonth)
		return
	}
	m := &h.month[n-1]
	p.Length, p.Up = p.Length+m.Length, p.Up+m.Up
	p.Received, p.Sent, p.Repaired = p.Received+m.Received, p.Sent+m.Sent, p.Repaired+m.Repaired
	*m = p
}

// last keeps the newest n points, moved to the front of the list.
func last(list []p2p.HistoryPoint, n int) []p2p.HistoryPoint {
	if len(list) <= n {
		return list
	}
	return append(list[:0], list[len(list)-n:]...)
}

// points returns the points of the month that are older than the day, then the points of the day.
func (h *history) points() []p2p.HistoryPoint {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []p2p.HistoryPoint
	for _, p := range h.month {
		if len(h.day) == 0 || p.End.Before(h.day[0].End.Add(-h.day[0].Length)) {
			out = append(out, p)
		}
	}
	return append(out, h.day...)
}

// marshal encodes the history for the store: a version byte, the number of points of the day as u16, all points.
func (h *history) marshal() []byte {
	h.mu.Lock()
	defer h.mu.Unlock()
	b := binary.LittleEndian.AppendUint16([]byte{1}, uint16(len(h.day)))
	b = append(b, p2p.MarshalHistory(h.day)...)
	return append(b, p2p.MarshalHistory(h.month)...)
}

// unmarshalHistory decodes a stored history; an unreadable one gives an empty history.
func unmarshalHistory(b []byte) *history {
	h := &history{}
	if len(b) < 3 || b[0] != 1 {
		return h
	}
	split := len(p2p.MarshalHistory(make([]p2p.HistoryPoint, 1))) * int(binary.LittleEndian.Uint16(b[1:]))
	if b = b[3:]; split > len(b) {
		return h
	}
	day, err := p2p.UnmarshalHistory(b[:split])
	month, err2 := p2p.UnmarshalHistory(b[split:])
	if err == nil && err2 == nil && len(day) <= historyDay && len(month) <= historyMonth {
		h.day, h.month = day, month
	}
	return h
}

// loadHistory reads the history stored by the last run.
func (n *Node) loadHistory() (*history, error) {
	b, err := n.store.State(historyKey)
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrCorrupt) {
		return &history{}, nil
	}
	return unmarshalHistory(b), err
}

// historyMark holds the counters at the end of the last point.
type historyMark struct {
	at             time.Time
	received, sent uint64
	repaired       int64
}

func (n *Node) historyMark() historyMark {
	m := historyMark{at: time.Now(), repaired: n.keeper.Repaired()}
	m.received, m.sent = n.host.Traffic()
	return m
}

// note adds a point for the time since a mark, and returns the next mark.
func (n *Node) note(from historyMark) (historyMark, error) {
	to := n.historyMark()
	stats, err := n.store.Stats()
	if err != nil {
		return from, err
	}
	up := to.at.Sub(from.at).Truncate(time.Second)
	n.history.add(p2p.HistoryPoint{
		End: to.at.UTC().Truncate(time.Second), Length: up, Up: up, Disk: uint64(stats.Bytes), Owed: n.keeper.Owed(),
		Received: to.received - from.received, Sent: to.sent - from.sent, Repaired: uint64(to.repaired - from.repaired),
	})
	return to, nil
}

// runHistory adds a point every five minutes until ctx ends. A failed write is only logged.
func (n *Node) runHistory(ctx context.Context) error {
	tick := time.NewTicker(historyStep)
	defer tick.Stop()
	mark, written := n.historyMark(), time.Now()
	for over := false; !over; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			over = true
		}
		var err error
		if mark, err = n.note(mark); err == nil && (over || time.Since(written) >= historyWrite) {
			written, err = time.Now(), n.store.PutState(historyKey, n.history.marshal())
		}
		if err != nil {
			n.log.Warn("cannot store the history of this node", "err", err)
		}
	}
	return nil
}
