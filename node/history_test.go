package node

import (
	"reflect"
	"testing"
	"time"

	"walrus/p2p"
)

// TestHistory adds 40 days of points, with one day's gap, and checks that the history stays bounded.
func TestHistory(t *testing.T) {
	h := &history{}
	start := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	end := start.AddDate(0, 0, 40)
	for at := start; !at.After(end); at = at.Add(historyStep) {
		if away := end.AddDate(0, 0, -10); at.After(away) && !at.After(away.AddDate(0, 0, 1)) {
			continue
		}
		h.add(p2p.HistoryPoint{End: at, Length: historyStep, Up: historyStep, Disk: uint64(at.Unix()), Received: 2,
			Sent: 3, Repaired: 1})
	}
	h.add(p2p.HistoryPoint{End: start}) // by a clock that was set back
	points := h.points()
	if len(points) > p2p.MaxHistory || len(h.day) != historyDay || len(h.month) != historyMonth ||
		len(h.marshal()) > 256<<10 {
		t.Fatalf("%d points, %d of the day, %d of the month", len(points), len(h.day), len(h.month))
	}
	var day, month p2p.HistoryPoint
	for i, p := range points {
		if i > 0 && p.End.Before(points[i-1].End) {
			t.Errorf("point %d ends at %v, the one before at %v", i, p.End, points[i-1].End)
		}
		for limit, sum := range map[time.Duration]*p2p.HistoryPoint{24 * time.Hour: &day, 30 * 24 * time.Hour: &month} {
			if p.End.After(end.Add(-limit)) {
				sum.Up, sum.Received, sum.Repaired = sum.Up+p.Up, sum.Received+p.Received, sum.Repaired+p.Repaired
			}
		}
	}
	if day.Up != 24*time.Hour || day.Received != 2*288 || day.Repaired != 288 {
		t.Errorf("the day: %+v", day)
	}
	if days := month.Up.Hours() / 24; days < 28.8 || days > 29.1 || points[len(points)-1].Disk != uint64(end.Unix()) {
		t.Errorf("the month: up for %.2f days of 29, %+v", days, points[len(points)-1])
	}
	again := unmarshalHistory(h.marshal())
	if !reflect.DeepEqual(again.points(), points) {
		t.Error("what was written is not what is read")
	}
	for _, damaged := range [][]byte{nil, {1}, {1, 255, 255}, {2, 0, 0}, append([]byte{1, 0, 0}, make([]byte, 63)...),
		append(h.marshal(), 0)} {
		if got := unmarshalHistory(damaged).points(); len(got) != 0 {
			t.Errorf("%d damaged bytes are %d points", len(damaged), len(got))
		}
	}
}
