package pin

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"walrus/p2p"
	"walrus/shards"
)

// fakeSource serves blobs from memory.
type fakeSource struct {
	params shards.Params
	mu     sync.Mutex
	blobs  map[shards.BlobID]*fakeBlob
	fail   error         // returned by Open
	chunk  int           // bytes of a Write; 0: all at once
	pause  time.Duration // before each chunk
	sent   atomic.Int64
}

type fakeBlob struct {
	from    *fakeSource
	content []byte
	meta    *shards.Metadata
}

func newSource(t *testing.T, n int) *fakeSource {
	t.Helper()
	p, err := shards.NewParams(n)
	if err != nil {
		t.Fatal(err)
	}
	return &fakeSource{params: p, blobs: map[shards.BlobID]*fakeBlob{}}
}

func (f *fakeSource) add(t *testing.T, content []byte) shards.BlobID {
	t.Helper()
	enc, err := shards.NewEncoder(f.params, shards.Bytes(content), uint64(len(content)))
	if err != nil {
		t.Fatal(err)
	}
	meta, err := enc.Metadata(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.blobs[meta.ID()] = &fakeBlob{f, content, meta}
	return meta.ID()
}

func (f *fakeSource) Open(_ context.Context, id shards.BlobID, _ []string) (Remote, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail != nil {
		return nil, f.fail
	}
	if b := f.blobs[id]; b != nil {
		return b, nil
	}
	return nil, errors.New("no such blob")
}

func (b *fakeBlob) Metadata() *shards.Metadata { return b.meta }

func (b *fakeBlob) Copy(ctx context.Context, w io.Writer, off, n int64) error {
	for part := b.content[off : off+n]; len(part) > 0; {
		size := len(part)
		if b.from.chunk > 0 {
			size = min(size, b.from.chunk)
		}
		if b.from.pause > 0 && !sleep(ctx, b.from.pause) {
			return ctx.Err()
		}
		if _, err := w.Write(part[:size]); err != nil {
			return err
		}
		b.from.sent.Add(int64(size))
		part = part[size:]
	}
	return nil
}

// fakeAnnouncer remembers announcements.
type fakeAnnouncer struct {
	mu    sync.Mutex
	keys  map[[32]byte]int
	blind bool // announcements are not found
	addrs []string
	all   [][]int // places of each AnnounceAll
	block chan struct{}
}

func (f *fakeAnnouncer) Announce(_ context.Context, key [32]byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.keys[key]++
	return nil
}

func (f *fakeAnnouncer) Findable(_ context.Context, keys [][32]byte) ([]bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	found := make([]bool, len(keys))
	for i, k := range keys {
		found[i] = f.keys[k] > 0 && !f.blind
	}
	return found, nil
}

func (f *fakeAnnouncer) AnnounceAll(ctx context.Context, keys [][32]byte) ([]int, error) {
	f.mu.Lock()
	block := f.block
	f.mu.Unlock()
	if block != nil {
		select {
		case <-block:
		case <-ctx.Done():
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	told, places := make([]int, len(keys)), make([]int, len(keys))
	for i, key := range keys {
		f.keys[key]++
		place, _ := f.Place(key)
		told[i], places[i] = 20, int(place)
	}
	f.all = append(f.all, places)
	return told, nil
}

func (f *fakeAnnouncer) Place(key [32]byte) (uint16, error) {
	return uint16(key[0])<<8 | uint16(key[1]), nil
}

func (f *fakeAnnouncer) Addrs() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.addrs
}

func (f *fakeAnnouncer) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

func (f *fakeAnnouncer) count(key [32]byte) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.keys[key]
}

// running runs a keeper until the test, or stop, ends it.
func running(t *testing.T, cfg Config) (k *Keeper, stop func()) {
	t.Helper()
	k, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return k, runs(t, k)
}

// runs does so with a keeper that is open.
func runs(t *testing.T, k *Keeper) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- k.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
		if err := k.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// await waits until a request has a status.
func awaitStatus(t *testing.T, k *Keeper, id string, want Status) Request {
	t.Helper()
	var r Request
	var err error
	for range 2000 {
		if r, err = k.Request(id); err != nil {
			t.Fatal(err)
		}
		if r.Status == want {
			return r
		}
		sleep(t.Context(), 5*time.Millisecond)
	}
	t.Fatalf("request %s is %q (%s), want %q", id, r.Status, r.Reason, want)
	return r
}

func randomBytes(seed uint64, n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16)})
	_, _ = r.Read(b)
	return b
}

// TestPinned: a blob is fetched, announced and served, every sliver of it, and its files go with its last request.
func TestPinned(t *testing.T) {
	for _, tt := range []struct{ n, size int }{{4, 0}, {4, 1}, {7, 100_000}, {10, 3_000_001}, {31, 70_000}, {100, 5_000_000}} {
		src := newSource(t, tt.n)
		content := randomBytes(uint64(tt.n), tt.size)
		id := src.add(t, content)
		told := &fakeAnnouncer{keys: map[[32]byte]int{}}
		k, _ := running(t, Config{Dir: t.TempDir(), Params: src.params, Source: src, Announcer: told})
		r, err := k.Add(t.Context(), Request{Blob: id, Name: "x"})
		if err != nil {
			t.Fatal(err)
		}
		r = awaitStatus(t, k, r.ID, Pinned)
		if r.Have != src.params.Rows() || r.Rows != r.Have || r.Size != uint64(tt.size) || r.LastVerified.IsZero() {
			t.Errorf("n = %d: %+v", tt.n, r)
		}
		for range 400 {
			if told.count(id) > 0 {
				break
			}
			sleep(t.Context(), 5*time.Millisecond)
		}
		if told.count(id) != 1 {
			t.Errorf("announced %d times", told.count(id))
		}
		checkServed(t, k, src, id, content)
		if err := k.Remove(t.Context(), r.ID); err != nil {
			t.Fatal(err)
		}
		for range 400 {
			if _, err := k.openCopy(id); errors.Is(err, ErrDamaged) {
				break
			}
			sleep(t.Context(), 5*time.Millisecond)
		}
		if _, err := k.openCopy(id); !errors.Is(err, ErrDamaged) {
			t.Errorf("the file of a removed pin is still there: %v", err)
		}
		if s := k.Status(); s.Pinned != 0 || s.Requests != 0 || s.Bytes-k.used != 0 {
			t.Errorf("after its removal: %+v", s)
		}
		if _, err := k.OpenSliver(t.Context(), id, shards.Primary, 0); !errors.Is(err, p2p.ErrNotFound) {
			t.Errorf("a removed pin is served: %v", err)
		}
	}
}

// checkServed compares slivers and symbols with those of an encoder.
func checkServed(t *testing.T, k *Keeper, src *fakeSource, id shards.BlobID, content []byte) {
	t.Helper()
	meta, pairs, err := shards.Encode(src.params, content)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := k.Metadata(t.Context(), id)
	if err != nil || !bytes.Equal(raw, meta.Marshal()) {
		t.Fatalf("metadata: %v", err)
	}
	n := src.params.Shards()
	for i := 0; i < n; i += 1 + n/16 {
		for axis, want := range map[shards.Axis][]byte{shards.Primary: pairs[i].Primary, shards.Secondary: pairs[i].Secondary} {
			index := src.params.SliverOfPair(axis, i)
			s, err := k.OpenSliver(t.Context(), id, axis, index)
			if err != nil {
				t.Fatalf("%s sliver %d: %v", axis, index, err)
			}
			got, err := io.ReadAll(io.NewSectionReader(s, 0, s.Size()))
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("n = %d, %d bytes: %s sliver %d has %d bytes, or others than encoded: %v", n, len(content), axis, index, len(got), err)
			}
			_ = s.Close()
			targets := []int{0, n / 2, n - 1}
			var out bytes.Buffer
			q := p2p.SymbolQuery{Blob: id, Axis: axis, Slivers: []int{index}, Targets: targets,
				SymbolSize: meta.Layout(axis).SymbolSize, Length: meta.Layout(axis).SymbolSize, ProofLen: src.params.ProofSize()}
			if err := k.Symbols(t.Context(), p2p.SymbolRequest{SymbolQuery: q}, &out); err != nil {
				t.Fatalf("symbols of %s sliver %d: %v", axis, index, err)
			}
			for _, target := range targets {
				sym := shards.Symbol{Data: out.Next(int(q.Length)), Proof: make([]shards.Hash, q.ProofLen)}
				for h := range sym.Proof {
					copy(sym.Proof[h][:], out.Next(shards.HashSize))
				}
				if err := meta.VerifySymbol(axis, index, target, sym); err != nil {
					t.Errorf("symbol %d of %s sliver %d: %v", target, axis, index, err)
				}
			}
		}
	}
}

// TestFresh: a pin that nobody has is retried later, says why, and is pinned once somebody has it.
func TestFresh(t *testing.T) {
	src := newSource(t, 4)
	content := randomBytes(1, 10_000)
	id := src.add(t, content)
	blob := src.blobs[id]
	delete(src.blobs, id)
	k, _ := running(t, Config{Dir: t.TempDir(), Params: src.params, Source: src, Schedule: Schedule{FirstRetry: 20 * time.Millisecond}})
	r, err := k.Add(t.Context(), Request{CID: CID(id)})
	if err != nil {
		t.Fatal(err)
	}
	r = awaitStatus(t, k, r.ID, Failed)
	if r.Reason == "" || r.NextTry.IsZero() {
		t.Errorf("failed without a reason or another try: %+v", r)
	}
	src.mu.Lock()
	src.blobs[id] = blob
	src.mu.Unlock()
	awaitStatus(t, k, r.ID, Pinned)

	foreign, err := k.Add(t.Context(), Request{CID: "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi"})
	if err != nil || foreign.Status != Failed || foreign.Reason == "" {
		t.Errorf("a foreign CID: %+v, %v", foreign, err)
	}
	page, total, err := k.List(Filter{Statuses: []Status{Failed}})
	if err != nil || total != 1 || len(page) != 1 || page[0].ID != foreign.ID {
		t.Errorf("failed requests: %+v, %d, %v", page, total, err)
	}
	if page, total, err = k.List(Filter{}); err != nil || total != 2 || page[0].ID != foreign.ID {
		t.Errorf("all requests: %+v, %d, %v", page, total, err)
	}
}

// TestCarry: an exported blob is imported elsewhere without a network; altered bytes are not.
func TestCarry(t *testing.T) {
	src := newSource(t, 7)
	id := src.add(t, randomBytes(3, 50_000))
	k, _ := running(t, Config{Dir: t.TempDir(), Params: src.params, Source: src})
	r, err := k.Add(t.Context(), Request{Blob: id})
	if err != nil {
		t.Fatal(err)
	}
	awaitStatus(t, k, r.ID, Pinned)
	dir := t.TempDir()
	if err := k.Export(t.Context(), id, dir); err != nil {
		t.Fatal(err)
	}
	other, _ := running(t, Config{Dir: t.TempDir(), Params: src.params, Source: newSource(t, 7)})
	got, err := other.Import(t.Context(), dir)
	if err != nil || len(got) != 1 || got[0].Status != Pinned {
		t.Fatalf("import: %+v, %v", got, err)
	}
	if err := other.Verify(t.Context(), id); err != nil {
		t.Error(err)
	}
	name := filepath.Join(dir, id.String()+ContentExt)
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	content[100] ^= 1
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
	third, _ := running(t, Config{Dir: t.TempDir(), Params: src.params, Source: newSource(t, 7)})
	if got, err := third.Import(t.Context(), dir); !errors.Is(err, ErrDamaged) || len(got) > 0 {
		t.Errorf("altered bytes are imported: %+v, %v", got, err)
	}
	if s := third.Status(); s.Requests != 0 || s.Pinned != 0 {
		t.Errorf("after a failed import: %+v", s)
	}
}
