package keeper

import (
	"bytes"
	"context"
	"encoding/binary"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/sync/errgroup"

	"walrus/ledger"
	"walrus/p2p"
	"walrus/shards"
	"walrus/store"
)

// past is a ledger with a state and the events that led to it. It counts the reads of the state.
type past struct {
	*state
	reads  atomic.Int64
	cut    atomic.Pointer[func(int64)] // hears of each read
	blocks [][]ledger.Event            // from height 1 on
	pruned uint64                      // the first height that is kept
}

func (p *past) State() (ledger.Reader, uint64) { return p, uint64(len(p.blocks)) }

func (p *past) Get(key []byte) ([]byte, error) {
	n := p.reads.Add(1)
	if cut := p.cut.Load(); cut != nil {
		(*cut)(n)
	}
	return p.state.Get(key)
}

func (p *past) Follow(ctx context.Context, from uint64, fn func(uint64, []ledger.Event) error) (bool, error) {
	if from < p.pruned {
		return false, nil
	}
	for ; from <= uint64(len(p.blocks)); from++ {
		if err := fn(from, p.blocks[from-1]); err != nil {
			return true, err
		}
	}
	<-ctx.Done()
	return true, ctx.Err()
}

// quietMember knows as many blobs as we do, and counts the pages of certificates that it is asked for.
type quietMember struct {
	Peers
	Checks
	Network
	shelf *shelf
	pages atomic.Int64
}

func (*quietMember) SetProtected(string, []peer.ID)         {}
func (*quietMember) Joined(context.Context) error           { return nil }
func (*quietMember) Elsewhere() string                      { return "" }
func (*quietMember) Connect(context.Context, peer.ID) error { return nil }

func (m *quietMember) NodeStatus(context.Context, peer.ID) (p2p.NodeStatus, error) {
	st, err := m.shelf.Stats()
	return p2p.NodeStatus{Blobs: uint64(st.Certificates), Height: 1}, err
}

func (m *quietMember) Certificates(context.Context, peer.ID, shards.BlobID, int) ([][]byte, bool, error) {
	m.pages.Add(1)
	return nil, false, nil
}

// home is a node's data and its ledger.
type home struct {
	dir    string
	ledger *past
}

// newHome makes the data of a node that has slivers of some blobs, as a process without notes would leave it.
func newHome(t *testing.T, blobs int) *home {
	h := &home{dir: t.TempDir(), ledger: &past{state: &state{ready: make(chan struct{}), values: map[string][]byte{
		string(ledger.KeyEpoch()): ledger.EpochInfo{Epoch: 1}.Marshal(),
	}}, blocks: make([][]ledger.Event, 3)}}
	close(h.ledger.ready)
	st := h.open(t)
	for i := range blobs {
		id := homeBlob(i)
		h.certify(id)
		must(t, st.PutBlob(id, []byte("m"), 9))
		putPair(t, st, id, 8)
		must(t, st.PutCertificate(id, 1, []byte("c")))
	}
	must(t, st.Close())
	return h
}

func (h *home) open(t *testing.T) *store.Store {
	cfg := store.Default(h.dir)
	cfg.Logger, cfg.MemTable, cfg.ValueLog = slog.New(slog.DiscardHandler), 1<<20, 16<<20
	st, err := store.Open(cfg)
	must(t, err)
	return st
}

func homeBlob(i int) (id shards.BlobID) {
	binary.BigEndian.PutUint32(id[:], uint32(i)*2654435761)
	id[31] = 1
	return id
}

func (h *home) certify(id shards.BlobID) {
	h.ledger.values[string(ledger.KeyBlobInfo(id))] = ledger.BlobInfo{InitialCertified: 1, PermanentEnd: 9,
		PermanentCertifiedEnd: 9}.Marshal()
}

// putPair stores both slivers of shard 0.
func putPair(t *testing.T, st *store.Store, id shards.BlobID, size int) {
	for _, axis := range axes {
		w, err := st.Create(store.Ref{Blob: id, Axis: axis}, int64(size))
		must(t, err)
		_, err = w.Write(bytes.Repeat(id[:1], size))
		must(t, err)
		must(t, w.Commit())
	}
}

// process is one process in a home.
type process struct {
	*Keeper
	t      *testing.T
	store  *store.Store
	member *quietMember
	stop   context.CancelFunc
	done   context.Context // ends with stop
	tasks  *errgroup.Group
}

// start runs the tasks of a keeper that do not repair.
func (h *home) start(t *testing.T) *process {
	t.Helper()
	params, err := shards.NewParams(4)
	must(t, err)
	st := h.open(t)
	h.ledger.reads.Store(0)
	p := &process{Keeper: testKeeper(t, st, h.ledger, params), t: t, store: st}
	p.member = &quietMember{shelf: p.shelf}
	p.syncer.swarm = swarm{p.member, p.member, p.member}
	ctx, stop := context.WithCancel(t.Context())
	p.stop, p.done, p.tasks = stop, ctx, new(errgroup.Group)
	all := p.Tasks(silent{})
	for _, name := range []string{"news", "follow", "serving", "sync", "keep", "inventory", "scrub"} {
		p.tasks.Go(func() error { return all[name](ctx) })
	}
	return p
}

// end stops the process in order.
func (p *process) end() {
	p.t.Helper()
	p.stop()
	must(p.t, p.tasks.Wait())
	must(p.t, p.store.Close())
}

// kill ends the process; its home is then what the disk had at this moment.
func (p *process) kill(h *home) {
	p.t.Helper()
	p.killed(h, h.copy(p.t))
}

// killed ends the process; its home is then a copy that was made earlier.
func (p *process) killed(h *home, dir string) {
	p.t.Helper()
	p.end()
	h.dir = dir
}

// copy returns a copy of the home as it is on the disk.
func (h *home) copy(t *testing.T) string {
	t.Helper()
	to := t.TempDir()
	must(t, filepath.WalkDir(h.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(h.dir, path)
		if err != nil || d.IsDir() {
			return err
		}
		dst := filepath.Join(to, rel)
		if err := os.MkdirAll(filepath.Dir(dst), 0o755); err != nil {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := os.WriteFile(dst, bytes.TrimRight(b, "\x00"), 0o600); err != nil {
			return err
		}
		return os.Truncate(dst, int64(len(b)))
	}))
	return to
}

// TestStartWalksNothing: a home without notes is looked at once, in the background. From then on a start serves at once
// and looks at no blob, after a clean stop and after a kill, however much lies there.
func TestStartWalksNothing(t *testing.T) {
	for _, blobs := range []int{50, 500} {
		for _, killed := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				h := newHome(t, blobs)
				p := h.start(t)
				began := time.Now()
				<-p.Serving()
				if took := time.Since(began); took > startPatience {
					t.Errorf("serves after %v", took)
				}
				time.Sleep(time.Minute)
				if reads := h.ledger.reads.Load(); reads < int64(blobs) {
					t.Errorf("a home without notes: %d reads of the ledger for %d blobs: nobody looked at them", reads, blobs)
				}
				for range 2 {
					if killed {
						p.kill(h)
					} else {
						p.end()
					}
					p = h.start(t)
					began := time.Now()
					<-p.Serving()
					if took := time.Since(began); took > time.Second {
						t.Errorf("killed %t: serves after %v", killed, took)
					}
					time.Sleep(time.Minute)
					if reads, pages := h.ledger.reads.Load(), p.member.pages.Load(); reads > 60 || pages > 0 {
						t.Errorf("killed %t, %d blobs: %d reads of the ledger and %d pages of certificates", killed, blobs, reads, pages)
					}
				}
				p.end()
			})
		}
	}
}

// TestKillKeepsDebts: what was not durable when a node was killed is owed when it starts again; what was is not.
func TestKillKeepsDebts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHome(t, 3)
		id := homeBlob(0)
		p := h.start(t)
		time.Sleep(time.Minute)
		for _, axis := range axes {
			must(t, p.store.DeleteSliver(store.Ref{Blob: id, Axis: axis}))
		}
		p.book.owe(id)
		p.kill(h)
		p = h.start(t)
		if n := p.Owed(); n != 2 || !p.notary.young.has(id) {
			t.Errorf("owed before the kill, now %d slivers are owed, want 2; young: %t", n, p.notary.young.has(id))
		}
		time.Sleep(time.Minute)
		putPair(t, p.store, id, 8) // not durable
		p.book.owe(id)
		if n := p.Owed(); n != 0 {
			t.Errorf("%d slivers are owed that are here", n)
		}
		p.kill(h)
		p = h.start(t)
		if n := p.Owed(); n != 2 {
			t.Errorf("lost by the kill, now %d slivers are owed, want 2", n)
		}
		time.Sleep(time.Minute)
		putPair(t, p.store, id, 8)
		p.book.owe(id)
		time.Sleep(2 * settleEvery)
		p.kill(h)
		p = h.start(t)
		if n := p.Owed(); n != 0 {
			t.Errorf("durable before the kill, now %d slivers are owed", n)
		}
		time.Sleep(time.Minute)
		if found, err := p.book.lacks(id); found != 0 || err != nil {
			t.Errorf("the kill lost %d slivers that were durable: %v", found, err)
		}
		p.end()
	})
}

// TestKillAmidDamage: a damaged sliver is owed after a kill that comes when it is removed, and not yet counted.
func TestKillAmidDamage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHome(t, 3)
		p := h.start(t)
		time.Sleep(time.Minute)
		ref := store.Ref{Blob: homeBlob(1)}
		var then string
		var once sync.Once    // other tasks of the keeper read the ledger, too
		kill := func(int64) { // counting asks the ledger first
			if _, err := p.store.OpenSliver(ref); err != nil { // the sliver is gone
				once.Do(func() { then = h.copy(t) })
			}
		}
		h.ledger.cut.Store(&kill)
		p.damage.note(ref, store.ErrCorrupt)
		h.ledger.cut.Store(nil)
		once.Do(func() {}) // waits for a copy under way
		if then == "" {
			t.Fatal("the ledger was not asked after the sliver was removed: nothing was killed")
		}
		p.killed(h, then)
		p = h.start(t)
		if n := p.Owed(); n != 1 {
			t.Errorf("%d slivers are owed, want the damaged one", n)
		}
		p.end()
	})
}

// TestLostSegments: segments that vanish while the node is down are noticed by the numbers that it kept. Damage of one
// sliver survives a kill as well.
func TestLostSegments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHome(t, 300)
		p := h.start(t)
		time.Sleep(time.Minute)
		p.damage.note(store.Ref{Blob: homeBlob(7)}, store.ErrCorrupt)
		p.kill(h)
		p = h.start(t)
		if n := p.Owed(); n != 1 {
			t.Errorf("of a damaged blob %d slivers are owed", n)
		}
		time.Sleep(time.Minute)
		p.end()
		must(t, os.RemoveAll(filepath.Join(h.dir, "segments")))
		p = h.start(t)
		<-p.Serving()
		if n := p.Owed(); n != 600 {
			t.Errorf("%d slivers are owed, want 600", n)
		}
		time.Sleep(time.Minute)
		if p.member.pages.Load() == 0 {
			t.Error("certificates were not compared with the other member")
		}
		p.end()
	})
}

// TestInventoryResumes: a pass in doubt that is cut off in the middle goes on after a restart, and is not begun again.
func TestInventoryResumes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHome(t, 4*inventoryPage)
		p := h.start(t)
		time.Sleep(time.Minute)
		whole := h.ledger.reads.Load()
		p.end()
		p = h.start(t)
		time.Sleep(time.Minute)
		h.ledger.reads.Store(0)
		stop := func(n int64) {
			if n == whole/2 {
				p.stop()
			}
		}
		h.ledger.cut.Store(&stop)
		p.follower.inventory.suspect("a test")
		<-p.done.Done()
		p.end()
		h.ledger.cut.Store(nil)
		p = h.start(t)
		time.Sleep(time.Minute)
		if rest := h.ledger.reads.Load(); rest < whole/4 || rest > whole*3/4 || p.follower.inventory.inDoubt() {
			t.Errorf("%d reads for a whole pass, %d after a restart in the middle; in doubt: %t", whole, rest,
				p.follower.inventory.inDoubt())
		}
		p.end()
	})
}

// TestPrunedEvents: if events were pruned while the node was away, all blobs are compared with the ledger.
func TestPrunedEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHome(t, 10)
		p := h.start(t)
		time.Sleep(time.Minute)
		p.end()
		delete(h.ledger.values, string(ledger.KeyBlobInfo(homeBlob(3))))
		h.ledger.blocks = make([][]ledger.Event, 20)
		h.ledger.pruned = 10
		p = h.start(t)
		<-p.Serving()
		if _, err := p.store.Blob(homeBlob(3)); err == nil {
			t.Error("a blob that was deleted on the ledger meanwhile is here")
		}
		time.Sleep(time.Minute)
		if st, err := p.store.Stats(); err != nil || st.Blobs != 9 || p.member.pages.Load() == 0 {
			t.Errorf("%+v, %v; %d pages of certificates were asked for", st, err, p.member.pages.Load())
		}
		p.end()
	})
}
