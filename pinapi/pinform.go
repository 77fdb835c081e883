package pinapi

import (
	"time"

	"walrus/pin"
	"walrus/quilt"
	"walrus/shards"
)

// Pin is a request in the JSON of this project, which has everything that a pinner knows of it. Times are missing while
// there is none.
type Pin struct {
	ID           string            `json:"requestId"`
	CID          string            `json:"cid"`              // as it was given
	BlobID       *shards.BlobID    `json:"blobId,omitempty"` // missing for the CID of something else
	Name         string            `json:"name,omitempty"`
	Meta         map[string]string `json:"meta,omitempty"`
	Origins      []string          `json:"origins,omitempty"`
	Until        uint32            `json:"untilEpoch,omitempty"`
	Created      time.Time         `json:"created"`
	Status       pin.Status        `json:"status"`
	Reason       string            `json:"reason,omitempty"`
	Have         int               `json:"rowsHere"`
	Rows         int               `json:"rows"` // 0 before the metadata is known
	Percent      int               `json:"percent"`
	Size         uint64            `json:"sizeBytes"`
	NextTry      time.Time         `json:"nextTry,omitzero"`
	LastVerified time.Time         `json:"lastVerified,omitzero"`
	Announced    time.Time         `json:"announced,omitzero"`
	Served       uint64            `json:"servedBytes"`
	Files        []File            `json:"files,omitempty"` // of a quilt, if they were asked for
}

// File is a file of a quilt.
type File struct {
	ID         quilt.PatchID     `json:"patchId"`
	Identifier string            `json:"identifier"`
	Tags       map[string]string `json:"tags,omitempty"`
}

// NewFiles describes the files of a quilt.
func NewFiles(id shards.BlobID, files []quilt.Patch) []File {
	list := make([]File, len(files))
	for i := range files {
		list[i] = File{files[i].ID(id), files[i].Identifier, files[i].Tags}
	}
	return list
}

// NewPin describes a request.
func NewPin(r *pin.Request) Pin {
	p := Pin{
		ID: r.ID, CID: r.CID, Name: r.Name, Meta: r.Meta, Origins: r.Origins, Until: r.Until, Created: r.Created.UTC(), Status: r.Status,
		Reason: r.Reason, Have: r.Have, Rows: r.Rows, Percent: Percent(r), Size: r.Size, NextTry: utc(r.NextTry),
		LastVerified: utc(r.LastVerified), Announced: utc(r.Announced), Served: r.Served,
	}
	if r.Blob != (shards.BlobID{}) {
		p.BlobID = &r.Blob
	}
	return p
}

func utc(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.UTC()
}

// request is the inverse of NewPin.
func (p *Pin) request() pin.Request {
	r := pin.Request{
		ID: p.ID, CID: p.CID, Name: p.Name, Meta: p.Meta, Origins: p.Origins, Until: p.Until, Created: p.Created, Status: p.Status,
		Reason: p.Reason, Have: p.Have, Rows: p.Rows, Size: p.Size, NextTry: p.NextTry, LastVerified: p.LastVerified,
		Announced: p.Announced, Served: p.Served,
	}
	if p.BlobID != nil {
		r.Blob = *p.BlobID
	}
	return r
}

// List is a page of pins, and how many there are in all.
type List struct {
	Total int   `json:"total"`
	Pins  []Pin `json:"pins"`
}

// NewList describes a page of requests.
func NewList(page []pin.Request, total int) List {
	l := List{Total: total, Pins: make([]Pin, len(page))}
	for i := range page {
		l.Pins[i] = NewPin(&page[i])
	}
	return l
}

// Status describes a pinner and its counts.
type Status struct {
	Process
	Requests int    `json:"requests"`
	Foreign  int    `json:"foreign"` // requests for CIDs of something else
	Pinned   int    `json:"pinned"`  // blobs, as the next four
	Queued   int    `json:"queued"`
	Fetching int    `json:"fetching"`
	Failing  int    `json:"failing"` // will be tried again
	Refused  int    `json:"refused"` // will not
	Bytes    int64  `json:"diskBytes"`
	Limit    int64  `json:"diskLimit"` // 0: none
	Served   uint64 `json:"servedBytes"`
	Today    int64  `json:"servedToday"`
	Daily    int64  `json:"dailyLimit"` // 0: none
	Looked   uint64 `json:"announcementsLookedFor"`
	Missing  uint64 `json:"announcementsNotFound"`
}

// Process describes the process that keeps the pins.
type Process struct {
	Running   bool     `json:"running"`
	Version   string   `json:"version,omitempty"`
	Network   string   `json:"networkId,omitempty"`
	PeerID    string   `json:"peerId,omitempty"`
	Addresses []string `json:"addresses,omitempty"`
	API       string   `json:"pinningApi,omitempty"` // URL of the IPFS Pinning Service API
}

// NewStatus describes counts.
func NewStatus(p Process, s pin.Stats) Status {
	return Status{
		Process: p, Requests: s.Requests, Foreign: s.Foreign, Pinned: s.Pinned, Queued: s.Queued, Fetching: s.Fetching, Failing: s.Failing,
		Refused: s.Refused, Bytes: s.Bytes, Limit: s.Limit, Served: s.Served, Today: s.Today, Daily: s.Daily, Looked: s.Looked, Missing: s.Missing,
	}
}

// counts is the inverse of NewStatus.
func (s *Status) counts() pin.Stats {
	return pin.Stats{
		Requests: s.Requests, Foreign: s.Foreign, Pinned: s.Pinned, Queued: s.Queued, Fetching: s.Fetching, Failing: s.Failing, Refused: s.Refused,
		Bytes: s.Bytes, Limit: s.Limit, Served: s.Served, Today: s.Today, Daily: s.Daily, Looked: s.Looked, Missing: s.Missing,
	}
}
