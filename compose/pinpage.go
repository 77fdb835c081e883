package compose

import (
	"context"
	"errors"
	"time"

	"walrus/gateway"
	"walrus/pin"
	"walrus/pinapi"
	"walrus/shards"
)

// pinsShown is the number of pins on one page.
const pinsShown = 50

// PinPage reads the pins of the pinner with a home, for a gateway's pages.
func PinPage(home string) gateway.Pins { return pinPage{home} }

type pinPage struct{ home string }

// Pins implements gateway.Pins. A pinner that does not run has no pins to show.
func (p pinPage) Pins(ctx context.Context, before time.Time) (*gateway.PinList, error) {
	c, err := pinapi.Dial(ctx, p.home)
	if errors.Is(err, pinapi.ErrNotRunning) {
		return &gateway.PinList{Time: time.Now().UTC(), Pins: []gateway.Pin{}}, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.Close() }() // always nil
	s, err := c.About(ctx)
	if err != nil {
		return nil, err
	}
	page, total, err := c.List(pin.Filter{Before: before, Limit: pinsShown})
	if err != nil {
		return nil, err
	}
	l := &gateway.PinList{
		Time: time.Now().UTC(), Peer: s.PeerID, Running: s.Running, Requests: s.Requests, Pinned: s.Pinned, Waiting: s.Queued + s.Fetching,
		Failing: s.Failing, Refused: s.Refused + s.Foreign, Disk: uint64(max(s.Bytes, 0)), Limit: uint64(max(s.Limit, 0)), Served: s.Served,
		Today: uint64(max(s.Today, 0)), Daily: uint64(max(s.Daily, 0)), Pins: make([]gateway.Pin, len(page)),
	}
	for i := range page {
		l.Pins[i] = shownPin(&page[i])
	}
	if total > len(page) && len(page) > 0 {
		l.Next = page[len(page)-1].Created.UTC().Format(time.RFC3339Nano)
	}
	return l, nil
}

func shownPin(r *pin.Request) gateway.Pin {
	p := gateway.Pin{
		ID: r.ID, CID: r.CID, Name: r.Name, Status: string(r.Status), Reason: r.Reason, Percent: pinapi.Percent(r), Size: r.Size, SizeKnown: r.Rows > 0,
		Created: r.Created, Verified: r.LastVerified, Announced: r.Announced, NextTry: r.NextTry, Served: r.Served,
	}
	if r.Blob != (shards.BlobID{}) {
		p.Blob = r.Blob.String()
	}
	return p
}
