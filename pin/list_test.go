package pin

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"walrus/shards"
)

// TestList: pages and totals are those of all requests, whichever index they come from, and stay so while blobs are
// pinned and given up.
func TestList(t *testing.T) {
	src := newSource(t, 4)
	var blocked [3]atomic.Bool
	var ids []shards.BlobID
	cfg := Config{Dir: t.TempDir(), Params: src.params, Source: src, Schedule: Schedule{FirstRetry: time.Hour}}
	cfg.Blocked = func(id shards.BlobID) bool {
		i := slices.Index(ids, id)
		return i >= 0 && blocked[i].Load()
	}
	k, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		ids = append(ids, src.add(t, randomBytes(uint64(i), 1000)))
	}
	blocked[2].Store(true)
	absent := shards.BlobID{9}
	add := func(r Request) string {
		t.Helper()
		r, err := k.Add(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		return r.ID
	}
	names := map[string]string{}
	for i, r := range []Request{
		{Blob: ids[0], Name: "a0"}, {Blob: ids[1], Name: "b0", Meta: map[string]string{"k": "v"}}, {Blob: absent, Name: "absent"},
		{Blob: ids[2], Name: "blocked"}, {CID: "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy", Name: "foreign"},
		{Blob: ids[0], Name: "a1"}, {Blob: ids[1], Name: "b1"}, {Blob: ids[0], Name: "a2"},
	} {
		names[r.Name] = add(r)
		if i == 4 {
			k.mu.Lock()
			k.stamped = k.stamped.Add(time.Second)
			k.mu.Unlock()
		}
	}
	runs(t, k)
	if !becomes(t, func() bool { s := k.Status(); return s.Pinned == 2 && s.Refused == 1 && s.Failing == 1 }) {
		t.Fatalf("%+v", k.Status())
	}
	list := func(f Filter, total int, want ...string) {
		t.Helper()
		page, n, err := k.List(f)
		var got []string
		for i := range page {
			got = append(got, page[i].Name)
		}
		if err != nil || n != total || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%+v: %v of %d, want %v of %d: %v", f, got, n, want, total, err)
		}
	}
	middle, err := k.Request(names["a1"])
	if err != nil {
		t.Fatal(err)
	}
	list(Filter{}, 8, "a2", "b1", "a1", "foreign", "blocked", "absent", "b0", "a0")
	list(Filter{Limit: 2}, 8, "a2", "b1")
	list(Filter{Limit: 2, Statuses: []Status{Pinned}}, 5, "a2", "b1")
	list(Filter{Statuses: []Status{Failed}}, 3, "foreign", "blocked", "absent")
	list(Filter{Statuses: []Status{Failed}, Limit: 1}, 3, "foreign")
	list(Filter{Statuses: []Status{Queued, Pinning}}, 0)
	list(Filter{Statuses: []Status{Pinned, Failed}, Limit: 4}, 8, "a2", "b1", "a1", "foreign")
	list(Filter{Blobs: ids[:1]}, 3, "a2", "a1", "a0")
	list(Filter{CIDs: []string{CID(ids[0]), ids[0].String()}, Limit: 1}, 3, "a2")
	list(Filter{CIDs: []string{CID(ids[0])}, Blobs: ids[1:2], Before: middle.Created}, 2, "b0", "a0")
	list(Filter{Before: middle.Created, Limit: 2}, 5, "foreign", "blocked")
	list(Filter{After: middle.Created, Statuses: []Status{Pinned}}, 2, "a2", "b1")
	list(Filter{Meta: map[string]string{"k": "v"}}, 1, "b0")
	open := func(want int) {
		t.Helper()
		n := 0
		if err := k.db.view(func(t *tx) error {
			return t.keys([]byte{keyOpen}, nil, false, func([]byte) (bool, error) { n++; return true, nil })
		}); err != nil || n != want {
			t.Errorf("%d requests are listed as not pinned, want %d: %v", n, want, err)
		}
	}
	open(3)
	if err := k.Remove(t.Context(), names["a2"]); err != nil {
		t.Fatal(err)
	}
	blocked[0].Store(true)
	if err := k.Judge(ids[0]); err != nil {
		t.Fatal(err)
	}
	if !becomes(t, func() bool { return k.Status().Refused == 2 }) {
		t.Fatalf("%+v", k.Status())
	}
	list(Filter{Statuses: []Status{Pinned}}, 2, "b1", "b0")
	list(Filter{Statuses: []Status{Failed}}, 5, "a1", "foreign", "blocked", "absent", "a0")
	open(5)
}
