package gateway

import (
	"context"
	"time"

	"walrus/client"
	"walrus/gateway/pages"
	"walrus/p2p"
)

// historyPatience bounds a page's wait for a node's history.
const historyPatience = 2 * time.Second

// remember adds a node's own history to its page. The node stores the history, so it survives restarts and every
// gateway shows it. If the node does not answer, the page shows the last history it told this gateway.
func (e *Explorer) remember(ctx context.Context, n *client.NodeHealth, page *pages.Node) {
	e.mu.Lock()
	if !n.Reachable {
		page.Seen = e.seen[n.Node]
	}
	r := e.histories[n.Node]
	if r == nil {
		r = &recent[[]p2p.HistoryPoint]{}
		e.histories[n.Node] = r
	}
	e.mu.Unlock()
	if n.Reachable {
		ctx, cancel := context.WithTimeout(ctx, historyPatience)
		defer cancel()
		points, err := r.get(ctx, &e.work, true,
			func(ctx context.Context) ([]p2p.HistoryPoint, error) { return e.client.NodeHistory(ctx, n.Node) })
		if err == nil {
			told := newNodeHistory(points, time.Now())
			e.mu.Lock()
			e.told[n.Node] = told
			e.mu.Unlock()
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	page.History = e.told[n.Node]
}

// newNodeHistory sums up a node's history.
func newNodeHistory(points []p2p.HistoryPoint, now time.Time) *pages.NodeHistory {
	h := &pages.NodeHistory{Told: now, Points: make([]pages.HistoryPoint, len(points))}
	for i, p := range points {
		h.Points[i] = pages.HistoryPoint{
			End: p.End, Length: p.Length, Up: p.Up, Disk: p.Disk, Owed: p.Owed, Received: p.Received, Sent: p.Sent,
			Repaired: p.Repaired,
		}
	}
	h.Day, h.Month = sumHistory(points, 24*time.Hour), sumHistory(points, 30*24*time.Hour)
	return h
}

// sumHistory sums up the points of the last span. A time without a point counts as down.
func sumHistory(points []p2p.HistoryPoint, span time.Duration) (s pages.HistorySum) {
	if len(points) == 0 {
		return s
	}
	end := points[len(points)-1].End
	for i := range points {
		p := &points[i]
		begin := p.End.Add(-p.Length)
		if !p.End.After(end.Add(-span)) {
			s.Span = span // the node has earlier points
			continue
		}
		if i == 0 || s.Span == 0 {
			s.Span = min(span, max(s.Span, end.Sub(begin)))
		}
		s.Up += p.Up
		s.Received, s.Sent, s.Repaired = s.Received+p.Received, s.Sent+p.Sent, s.Repaired+p.Repaired
	}
	s.Up = min(s.Up, s.Span)
	return s
}
