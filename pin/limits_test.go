package pin

import (
	"context"
	"errors"
	"io"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"walrus/internal/badgerdisk"
	"walrus/p2p"
	"walrus/shards"
)

// TestDiskLimit: pins fill the limit of disk space and do not exceed it; the others say why they fail, and have room
// once a pin is removed.
func TestDiskLimit(t *testing.T) {
	src := newSource(t, 7)
	const limit, size = 48 << 20, 1 << 20
	dir := t.TempDir()
	k, _ := running(t, Config{Dir: dir, Params: src.params, Source: src, Limit: limit, Schedule: Schedule{FirstRetry: 50 * time.Millisecond, LastRetry: 100 * time.Millisecond}})
	var all []Request
	for i := range limit/size + 10 {
		id := src.add(t, randomBytes(uint64(1000+i), size-i*512))
		r, err := k.Add(t.Context(), Request{Blob: id})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	settled := func() (done, failed []Request) {
		t.Helper()
		for range 4000 {
			done, failed = nil, nil
			for _, r := range all {
				r, err := k.Request(r.ID)
				if errors.Is(err, ErrNotFound) {
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				switch r.Status {
				case Pinned:
					done = append(done, r)
				case Failed:
					failed = append(failed, r)
				}
			}
			if len(done)+len(failed) >= len(all)-1 && len(failed) > 0 {
				return done, failed
			}
			sleep(t.Context(), 5*time.Millisecond)
		}
		t.Fatalf("%d pinned, %d failed of %d", len(done), len(failed), len(all))
		return nil, nil
	}
	done, failed := settled()
	for _, r := range failed {
		if !strings.Contains(r.Reason, ErrFull.Error()) {
			t.Errorf("a pin fails with %q", r.Reason)
		}
	}
	used, err := badgerdisk.Used(dir)
	if err != nil {
		t.Fatal(err)
	}
	if used > limit*101/100 || used < limit*95/100 {
		t.Errorf("%d pins use %d of %d bytes: want all of it, and 1 %% more at most", len(done), used, limit)
	}
	t.Logf("%d pins use %.2f %% of the limit", len(done), float64(used)/limit*100)
	if err := k.Remove(t.Context(), done[0].ID); err != nil {
		t.Fatal(err)
	}
	for range 4000 {
		if again, _ := settled(); len(again) >= len(done) {
			return
		}
		sleep(t.Context(), 5*time.Millisecond)
	}
	t.Error("the room of a removed pin is not used")
}

// TestDamage: a damaged copy is found by a check, not served, and fetched again; of its rows only the damaged ones.
func TestDamage(t *testing.T) {
	src := newSource(t, 31)
	id := src.add(t, randomBytes(5, 500_000))
	dir := t.TempDir()
	k, _ := running(t, Config{Dir: dir, Params: src.params, Source: src, Schedule: Schedule{Check: 200 * time.Millisecond}})
	r, err := k.Add(t.Context(), Request{Blob: id})
	if err != nil {
		t.Fatal(err)
	}
	first := awaitStatus(t, k, r.ID, Pinned)
	before := src.sent.Load()
	f, err := os.OpenFile(k.path(id), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("damage"), int64(src.params.MetadataSize())+250_000); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	row := rowSize(src.params, 500_000)
	for range 4000 {
		r, err = k.Request(r.ID)
		if err != nil {
			t.Fatal(err)
		}
		if r.Status == Pinned && src.sent.Load() > before && r.LastVerified.After(first.LastVerified) {
			break
		}
		sleep(t.Context(), 5*time.Millisecond)
	}
	if got := src.sent.Load() - before; got != row {
		t.Errorf("%d bytes were fetched again: want one row of %d", got, row)
	}
	if err := k.Verify(t.Context(), id); err != nil && !strings.Contains(err.Error(), "being worked on") {
		t.Errorf("after the repair: %v", err)
	}
	if err := os.Remove(k.path(id)); err != nil {
		t.Fatal(err)
	}
	k.files.forget(id)
	if _, err := k.OpenSliver(t.Context(), id, shards.Primary, 0); !errors.Is(err, p2p.ErrCorrupt) && !errors.Is(err, p2p.ErrNotFound) {
		t.Errorf("a lost copy is opened: %v", err)
	}
	before = src.sent.Load()
	for range 4000 {
		if src.sent.Load() > before {
			break
		}
		sleep(t.Context(), 5*time.Millisecond)
	}
	awaitStatus(t, k, r.ID, Pinned)
	if got := src.sent.Load() - before; got != 500_000 {
		t.Errorf("%d bytes were fetched for a lost copy", got)
	}
}

// TestRefused: a blob that the ledger marks as invalid is not kept any more, and its request says why; one whose rows
// and columns do not fit is refused when it is pinned.
func TestRefused(t *testing.T) {
	src := newSource(t, 7)
	id := src.add(t, randomBytes(6, 10_000))
	var invalid bool
	told := &fakeAnnouncer{keys: map[[32]byte]int{}}
	judge := make(chan struct{}, 1)
	k, _ := running(t, Config{
		Dir: t.TempDir(), Params: src.params, Source: src, Announcer: told, Schedule: Schedule{Announce: 20 * time.Millisecond},
		Judge: func(_ context.Context, _ shards.BlobID) error {
			select {
			case <-judge:
				invalid = true
			default:
			}
			if invalid {
				return ErrRefused
			}
			return nil
		},
	})
	r, err := k.Add(t.Context(), Request{Blob: id})
	if err != nil {
		t.Fatal(err)
	}
	awaitStatus(t, k, r.ID, Pinned)
	judge <- struct{}{}
	r = awaitStatus(t, k, r.ID, Failed)
	if !r.NextTry.IsZero() || r.Reason == "" {
		t.Errorf("a refused blob: %+v", r)
	}
	for range 1000 {
		if _, err = os.Stat(k.path(id)); errors.Is(err, os.ErrNotExist) {
			break
		}
		sleep(t.Context(), 5*time.Millisecond)
	}
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the copy of a refused blob: %v", err)
	}
	if _, err := k.Metadata(t.Context(), id); !errors.Is(err, p2p.ErrNotFound) {
		t.Errorf("a refused blob is served: %v", err)
	}
	if s := k.Status(); s.Refused != 1 || s.Pinned != 0 || s.Bytes != k.used {
		t.Errorf("counts: %+v", s)
	}
}

// TestBudget: what is served is counted, and ends with the share of the day.
func TestBudget(t *testing.T) {
	src := newSource(t, 7)
	id := src.add(t, randomBytes(7, 300_000))
	row := rowSize(src.params, 300_000)
	k, _ := running(t, Config{Dir: t.TempDir(), Params: src.params, Source: src, Daily: 2 * row, Rate: 4 << 20})
	r, err := k.Add(t.Context(), Request{Blob: id})
	if err != nil {
		t.Fatal(err)
	}
	awaitStatus(t, k, r.ID, Pinned)
	read := func(i int) error {
		s, err := k.OpenSliver(t.Context(), id, shards.Primary, i)
		if err != nil {
			return err
		}
		defer func() { _ = s.Close() }()
		_, err = io.Copy(io.Discard, io.NewSectionReader(s, 0, s.Size()))
		return err
	}
	for i := range 2 {
		if err := read(i); err != nil {
			t.Fatal(err)
		}
	}
	if err := read(2); !errors.Is(err, p2p.ErrBusy) {
		t.Errorf("beyond the share of the day: %v", err)
	}
	if r, _ = k.Request(r.ID); r.Served != uint64(2*row) {
		t.Errorf("served %d bytes, counted %d", 2*row, r.Served)
	}
	if s := k.Status(); s.Today != 2*row || s.Served != uint64(2*row) {
		t.Errorf("counts: %+v", s)
	}
}

// TestProbe: announcements are looked for from outside; those not found are made again, and counted.
func TestProbe(t *testing.T) {
	src := newSource(t, 4)
	id := src.add(t, []byte("hello"))
	told := &fakeAnnouncer{keys: map[[32]byte]int{}, blind: true}
	k, _ := running(t, Config{
		Dir: t.TempDir(), Params: src.params, Source: src, Announcer: told, Schedule: Schedule{Probe: 1, ProbeAfter: 20 * time.Millisecond},
	})
	if _, err := k.Add(t.Context(), Request{Blob: id}); err != nil {
		t.Fatal(err)
	}
	for range 2000 {
		if told.count(id) > 2 {
			break
		}
		sleep(t.Context(), 5*time.Millisecond)
	}
	if s := k.Status(); told.count(id) < 3 || s.Missing < 2 || s.Looked < s.Missing {
		t.Errorf("announced %d times: %+v", told.count(id), s)
	}
}

// TestManyPins: a pinner with ten thousand pins serves at once after a restart.
func TestManyPins(t *testing.T) {
	if testing.Short() {
		t.Skip("pins ten thousand blobs")
	}
	const many = 10_000
	src := newSource(t, 7)
	dir := t.TempDir()
	cfg := Config{Dir: dir, Params: src.params, Source: src, Announcer: &fakeAnnouncer{keys: map[[32]byte]int{}}}
	k, stop := running(t, cfg)
	var last shards.BlobID
	for i := range many {
		last = src.add(t, randomBytes(uint64(i), 64+i%1000))
		r := Request{Blob: last, Created: time.Now()}
		r.ID, r.CID = newID(r.Created), CID(last)
		if err := k.update(func(t *tx, c *counts) error { return k.insert(t, c, &r) }); err != nil { // Add would sync each
			t.Fatal(err)
		}
	}
	k.wake()
	for start := time.Now(); k.Status().Pinned < many; {
		if !sleep(t.Context(), 100*time.Millisecond) || time.Since(start) > 10*time.Minute {
			t.Fatalf("after %v: %+v", time.Since(start), k.Status())
		}
	}
	stop()
	src.mu.Lock()
	src.blobs = nil
	src.mu.Unlock()
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	k, _ = running(t, cfg)
	s, err := k.OpenSliver(t.Context(), last, shards.Primary, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.ReadAt(make([]byte, 1), 0); err != nil {
		t.Fatal(err)
	}
	took := time.Since(start)
	_ = s.Close()
	runtime.GC()
	runtime.ReadMemStats(&after)
	page, total, err := k.List(Filter{Limit: 100})
	if err != nil || total != many || len(page) != 100 {
		t.Errorf("list: %d of %d, %v", len(page), total, err)
	}
	used, err := badgerdisk.Used(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d pins: served %v after the start; heap %+d KiB; %d MiB of disk, of which the status knows %d",
		many, took, (int64(after.HeapInuse)-int64(before.HeapInuse))>>10, used>>20, k.Status().Bytes>>20)
	if took > 2*time.Second {
		t.Errorf("served %v after the start", took)
	}
}

// TestBlocked: a blob that the operator blocks is refused at once, or given up, and not served even while its copy is
// open; it is not imported; once it is blocked no more it is fetched again.
func TestBlocked(t *testing.T) {
	src := newSource(t, 7)
	first, second := src.add(t, randomBytes(8, 10_000)), src.add(t, randomBytes(9, 10_000))
	var list sync.Map // blob ID → true
	list.Store(second, true)
	k, _ := running(t, Config{Dir: t.TempDir(), Params: src.params, Source: src, Blocked: func(id shards.BlobID) bool {
		_, on := list.Load(id)
		return on
	}})
	add := func(id shards.BlobID) string {
		r, err := k.Add(t.Context(), Request{Blob: id})
		if err != nil {
			t.Fatal(err)
		}
		return r.ID
	}
	kept, never := add(first), add(second)
	awaitStatus(t, k, kept, Pinned)
	if r := awaitStatus(t, k, never, Failed); !r.NextTry.IsZero() || !strings.Contains(r.Reason, "blocklist") {
		t.Errorf("a blocked blob: %+v", r)
	}
	dir := t.TempDir()
	if err := k.Export(t.Context(), first, dir); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Metadata(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	list.Store(first, true)
	if _, err := k.Metadata(t.Context(), first); !errors.Is(err, p2p.ErrNotFound) {
		t.Errorf("a blocked blob is served: %v", err)
	}
	judge := func(id shards.BlobID) {
		if err := k.Judge(id); err != nil {
			t.Fatal(err)
		}
	}
	judge(first)
	judge(shards.BlobID{1}) // nobody asked for it
	if r := awaitStatus(t, k, kept, Failed); !strings.Contains(r.Reason, "blocklist") {
		t.Errorf("a blob that came to the list: %+v", r)
	}
	var err error
	for range 1000 {
		if _, err = os.Stat(k.path(first)); errors.Is(err, os.ErrNotExist) {
			break
		}
		sleep(t.Context(), 5*time.Millisecond)
	}
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the copy of a blocked blob: %v", err)
	}
	if _, err := k.Import(t.Context(), dir); !errors.Is(err, ErrRefused) {
		t.Errorf("a blocked blob is imported: %v", err)
	}
	list.Clear()
	judge(first)
	judge(second)
	awaitStatus(t, k, kept, Pinned)
	awaitStatus(t, k, never, Pinned)
	if _, err := k.Metadata(t.Context(), second); err != nil {
		t.Errorf("a blob that left the list: %v", err)
	}
}
