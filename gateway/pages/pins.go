package pages

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// Pins reads the pins of a pinner on this machine: see Data.
type Pins interface {
	// Pins returns counts and the newest pins created before a time; zero means the newest of all.
	Pins(ctx context.Context, before time.Time) (*PinList, error)
}

// PinList describes a pinner and a page of its pins: GET /explorer/api/pins?before=.
type PinList struct {
	Time     time.Time `json:"time"` // when the pinner was asked
	Peer     string    `json:"peer,omitempty"`
	Running  bool      `json:"running"`
	Requests int       `json:"requests"`
	Pinned   int       `json:"pinned"` // blobs, as the next three
	Waiting  int       `json:"waiting"`
	Failing  int       `json:"failing"` // will be tried again
	Refused  int       `json:"refused"` // will not
	Disk     uint64    `json:"diskBytes"`
	Limit    uint64    `json:"diskLimitBytes"` // 0: none
	Served   uint64    `json:"servedBytes"`
	Today    uint64    `json:"servedTodayBytes"`
	Daily    uint64    `json:"dailyLimitBytes"` // 0: none
	Pins     []Pin     `json:"pins"`            // newest first
	Next     string    `json:"nextBefore,omitempty"`
}

// Pin is a request to keep a blob, and how the blob fares.
type Pin struct {
	ID        string    `json:"requestId"`
	CID       string    `json:"cid"`
	Blob      string    `json:"blobId,omitempty"` // missing for the CID of something else
	Name      string    `json:"name,omitempty"`
	Status    string    `json:"status"` // queued, pinning, pinned or failed
	Reason    string    `json:"reason,omitempty"`
	Percent   int       `json:"percent"` // of the blob that is here
	Size      uint64    `json:"size"`    // bytes; valid only if SizeKnown
	SizeKnown bool      `json:"sizeKnown"`
	Created   time.Time `json:"created"`
	Verified  time.Time `json:"lastVerified,omitzero"`
	Announced time.Time `json:"announced,omitzero"`
	NextTry   time.Time `json:"nextTry,omitzero"`
	Served    uint64    `json:"servedBytes"`
}

// pins lists the subject of pins, if there is a pinner.
func (s *site) pins() []subject {
	if s.cfg.Pins == nil {
		return nil
	}
	return []subject{{"pins", s.askPins, pageOf(pinsPage)}}
}

func (s *site) askPins(r *http.Request) (any, error) {
	var before time.Time
	if text := r.URL.Query().Get("before"); text != "" {
		t, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			return nil, malformed{fmt.Errorf("before=%.40q: must be a time such as 2026-07-27T17:32:28Z", text)}
		}
		before = t
	}
	return s.cfg.Pins.Pins(r.Context(), before)
}

type pinsView struct {
	*PinList
	Table table
	Older string // URL of the next page
}

func pinsPage(l *PinList) (string, view) {
	v := pinsView{PinList: l, Table: table{Name: "Pins, newest first", ID: "pin-table", Cols: cols("Blob", "Name", "State", "Here#", "Size#", "Verified", "Sent#", "Created")}}
	for i := range l.Pins {
		v.Table.Rows = append(v.Table.Rows, pinRow(&l.Pins[i]))
	}
	if l.Next != "" {
		v.Older = "/explorer/pins?before=" + url.QueryEscape(l.Next)
	}
	return "pins", view{Title: "Pins", Here: "pins", Data: v}
}

func pinRow(p *Pin) []cell {
	blob, size, verified := cell{Text: p.CID, Code: true}, text("unknown"), text("never")
	if p.Blob != "" {
		blob = ident(p.Blob, "blobs")
	}
	if p.SizeKnown {
		size = text(bytesText(p.Size))
	}
	if !p.Verified.IsZero() {
		verified = when(p.Verified)
	}
	state := cell{Text: p.Status, State: map[string]string{"pinned": "good", "failed": "bad"}[p.Status], Note: p.Reason, Wide: p.Reason != ""}
	if !p.NextTry.IsZero() {
		state.Note += "; next try " + timeText(p.NextTry)
	}
	created := text(p.Created.UTC().Format("2 Jan 2006, 15:04")) // the footer says UTC
	return []cell{blob, {Text: p.Name, Wide: len(p.Name) > 20}, state, text(fmt.Sprintf("%d %%", p.Percent)), size, verified, text(bytesText(p.Served)), created}
}

// Pinner is a peer that claims in the DHT to pin a blob.
type Pinner struct {
	Peer string `json:"peer"`
	// Since is the time at which this gateway first saw the claim. The pin may be older.
	Since time.Time `json:"seenSince"`
}

func pinnersTable(list []Pinner) table {
	t := table{Name: "Peers that say they pin this blob", ID: "pinner-table", Cols: cols("Peer", "Seen here since")}
	for _, p := range list {
		t.Rows = append(t.Rows, []cell{{Text: p.Peer, Wide: true}, when(p.Since)})
	}
	return t
}
