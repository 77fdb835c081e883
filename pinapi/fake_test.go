package pinapi

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"walrus/pin"
	"walrus/quilt"
	"walrus/shards"
)

// memory is a Keeper without a network: a blob is pinned when a test says so.
type memory struct {
	mu     sync.Mutex
	list   []pin.Request // oldest first
	full   bool
	broken error
	calls  []string
}

func (m *memory) Add(_ context.Context, r pin.Request) (pin.Request, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.addLocked(r)
}

func (m *memory) addLocked(r pin.Request) (pin.Request, error) {
	if m.full {
		return r, fmt.Errorf("pin %s: %w", r.CID, pin.ErrFull)
	}
	if m.broken != nil {
		return r, m.broken
	}
	r.ID, r.Created, r.Status = fmt.Sprintf("r%04d", len(m.list)), time.UnixMilli(1_800_000_000_000).Add(time.Duration(len(m.list))*time.Millisecond), pin.Queued
	if r.Blob == (shards.BlobID{}) {
		if r.Blob, _ = pin.ParseCID(r.CID); r.Blob == (shards.BlobID{}) {
			r.Status, r.Reason = pin.Failed, "not of this network"
		}
	}
	m.list = append(m.list, r)
	return r, nil
}

func (m *memory) at(id string) int {
	return slices.IndexFunc(m.list, func(r pin.Request) bool { return r.ID == id && r.Status != "" })
}

func (m *memory) Replace(_ context.Context, id string, r pin.Request) (pin.Request, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := m.at(id)
	if i < 0 {
		return r, fmt.Errorf("request %s: %w", id, pin.ErrNotFound)
	}
	r, err := m.addLocked(r)
	if err == nil {
		m.list[i].Status = ""
	}
	return r, err
}

func (m *memory) Remove(_ context.Context, id string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := m.at(id)
	if i < 0 {
		return fmt.Errorf("request %s: %w", id, pin.ErrNotFound)
	}
	m.list[i].Status = "" // its number is not used again
	return nil
}

func (m *memory) Request(id string) (pin.Request, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if i := m.at(id); i >= 0 {
		return m.list[i], nil
	}
	return pin.Request{}, fmt.Errorf("request %s: %w", id, pin.ErrNotFound)
}

func (m *memory) List(f pin.Filter) (page []pin.Request, total int, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range slices.Backward(m.list) {
		if r.Status == "" || !selects(&f, &r) {
			continue
		}
		if total++; len(page) < f.Limit {
			page = append(page, r)
		}
	}
	return page, total, nil
}

func selects(f *pin.Filter, r *pin.Request) bool {
	same := func(c string) bool {
		id, err := pin.ParseCID(c)
		return c == r.CID || err == nil && id == r.Blob
	}
	for k, v := range f.Meta {
		if r.Meta[k] != v {
			return false
		}
	}
	name := map[pin.Match]bool{
		"": r.Name == f.Name, pin.Exact: r.Name == f.Name, pin.IExact: strings.EqualFold(r.Name, f.Name),
		pin.Partial: strings.Contains(r.Name, f.Name), pin.IPartial: strings.Contains(strings.ToLower(r.Name), strings.ToLower(f.Name)),
	}[f.Match]
	return (len(f.CIDs) == 0 || slices.ContainsFunc(f.CIDs, same)) && (len(f.Statuses) == 0 || slices.Contains(f.Statuses, r.Status)) &&
		(f.Name == "" || name) && (f.Before.IsZero() || r.Created.Before(f.Before)) && (f.After.IsZero() || r.Created.After(f.After))
}

// set changes a request.
func (m *memory) set(id string, fn func(*pin.Request)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	fn(&m.list[m.at(id)])
}

func (m *memory) Verify(_ context.Context, id shards.BlobID) error {
	m.calls = append(m.calls, "verify "+id.String())
	return m.broken
}

func (m *memory) Export(_ context.Context, id shards.BlobID, dir string) error {
	m.calls = append(m.calls, "export "+id.String()+" "+dir)
	return m.broken
}

func (m *memory) Import(_ context.Context, dir string) ([]pin.Request, error) {
	m.calls = append(m.calls, "import "+dir)
	return []pin.Request{{ID: "imported", CID: pin.CID(shards.BlobID{1}), Blob: shards.BlobID{1}}}, m.broken
}

func (m *memory) Status() pin.Stats {
	m.mu.Lock()
	defer m.mu.Unlock()
	return pin.Stats{Requests: len(m.list), Pinned: 2, Bytes: 3, Limit: 4, Served: 5}
}

func (m *memory) Files(_ context.Context, id shards.BlobID) ([]quilt.Patch, error) {
	if id != (shards.BlobID{2}) {
		return nil, fmt.Errorf("blob %s: %w", id, pin.ErrInvalid)
	}
	return []quilt.Patch{{Identifier: "a", Start: 1, End: 2, Size: -1}, {Identifier: "b", Tags: map[string]string{"k": "v"}, Start: 2, End: 9, Size: -1}}, nil
}
