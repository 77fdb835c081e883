package keeper

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/certs"
	"walrus/ledger"
	"walrus/p2p"
	"walrus/shards"
	"walrus/store"
)

// outpost is a keeper that serves one blob over real sockets, and keys of another member.
type outpost struct {
	*Keeper
	t      *testing.T
	host   *p2p.Host
	ledger *state
	meta   *shards.Metadata
	other  ed25519.PrivateKey
	com    *certs.Committee // of epoch 1
	keys   []member
	peers  *guarded
	metas  map[shards.BlobID][]byte // of the blobs made by encoded
}

func newOutpost(t *testing.T, n int, data []byte) *outpost {
	t.Helper()
	params, err := shards.NewParams(n)
	must(t, err)
	st, err := store.Open(func() store.Config {
		cfg := store.Default(t.TempDir())
		cfg.Logger = slog.New(slog.DiscardHandler)
		return cfg
	}())
	must(t, err)
	t.Cleanup(func() { must(t, st.Close()) })
	us, other := newHost(t), newHost(t)
	o := &outpost{t: t, host: us.Host, other: other.key, peers: &guarded{}, metas: map[shards.BlobID][]byte{}}
	members := []member{{id: us.ID(), key: newMember(t).key}, {id: other.ID(), key: newMember(t).key}}
	rest := make([]int, n-1)
	for i := range rest {
		rest[i] = i + 1
	}
	known := committees{}
	for epoch := range uint32(3) {
		known[epoch] = seated(t, epoch, members, []int{0}, rest)
	}
	o.com, o.keys = known[1], members
	meta, pairs, err := shards.Encode(params, data)
	must(t, err)
	o.meta = meta
	id := meta.ID()
	o.ledger = &state{ready: make(chan struct{}), values: ownedBlob(ownerKey, id, 9)}
	o.ledger.values[string(ledger.KeyEpoch())] = ledger.EpochInfo{Epoch: 1}.Marshal()
	o.ledger.values[string(ledger.KeyParams())] = ledger.Params{WritePrice: 1}.Marshal()
	close(o.ledger.ready)
	cfg := Default()
	cfg.Genesis, cfg.Key, cfg.Logger = &ledger.Genesis{Network: "test", Shards: n}, members[0].key, slog.New(
		slog.DiscardHandler)
	o.Keeper, err = New(cfg, Parts{Self: us.ID(), Committees: known, Store: st, Peers: o.peers, Ledger: o.ledger})
	must(t, err)
	must(t, st.PutBlob(id, meta.Marshal(), 9))
	pair := params.PairOnShard(id, 0)
	for axis, sliver := range map[shards.Axis][]byte{shards.Primary: pairs[pair].Primary,
		shards.Secondary: pairs[pair].Secondary} {
		w, err := st.Create(store.Ref{Blob: id, Axis: axis}, int64(len(sliver)))
		must(t, err)
		_, err = w.Write(sliver)
		must(t, err)
		must(t, w.Commit())
	}
	must(t, us.Serve(t.Context(), struct {
		Backend
		nobody
	}{Backend: o.Backend(silent{})}))
	return o
}

// nobody answers what no test asks.
type nobody struct{}

func (nobody) NodeStatus(context.Context, peer.ID) (p2p.NodeStatus, error) {
	return p2p.NodeStatus{}, nil
}
func (nobody) NodeHistory(context.Context) ([]p2p.HistoryPoint, error) { return nil, nil }

// silent is a topic that nobody hears.
type silent struct{ Topic }

func (silent) Publish(context.Context, []byte) error { return nil }

type keyed struct {
	*p2p.Host
	key ed25519.PrivateKey
}

func newHost(t *testing.T) keyed {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	must(t, err)
	return keyed{hostOf(t, key), key}
}

// hostOf opens a host on loopback.
func hostOf(t *testing.T, key ed25519.PrivateKey) *p2p.Host {
	t.Helper()
	h, err := p2p.New(p2p.Config{
		Network: "test", Key: key, Role: p2p.StorageNode, Limits: p2p.DefaultLimits(), Logger: slog.New(slog.DiscardHandler),
		Listen: []string{"/ip4/127.0.0.1/tcp/0"},
	})
	must(t, err)
	t.Cleanup(func() { must(t, h.Close()) })
	return h
}

// stranger opens a host that is connected to the outpost.
func (o *outpost) stranger() *p2p.Host {
	o.t.Helper()
	return o.connected(newHost(o.t).Host)
}

func (o *outpost) connected(h *p2p.Host) *p2p.Host {
	o.t.Helper()
	must(o.t, h.Connect(o.t.Context(), peer.AddrInfo{ID: o.host.ID(), Addrs: o.host.Addrs()}))
	return h
}

// sliver returns the index of the outpost's sliver along axis.
func (o *outpost) sliver(axis shards.Axis) int {
	p := o.meta.Params()
	return p.SliverOfPair(axis, p.PairOnShard(o.meta.ID(), 0))
}

// ask sends a request for symbols of the outpost's primary sliver as raw bytes, and reads nothing.
func (o *outpost) ask(h *p2p.Host, targets []int, symbolSize, proofLen int) {
	o.t.Helper()
	st, err := h.Libp2p().NewStream(o.t.Context(), o.host.ID(), "/walrus/test/sliver/1.2.0")
	must(o.t, err)
	id := o.meta.ID()
	var list []byte
	for _, i := range targets {
		list = binary.AppendUvarint(list, uint64(i))
	}
	op := binary.AppendUvarint([]byte{2 << 3}, uint64(o.sliver(shards.Primary)))
	op = append(binary.AppendUvarint(append(op, 3<<3|2), uint64(len(list))), list...)
	op = binary.AppendUvarint(append(op, 4<<3), uint64(symbolSize))
	op = binary.AppendUvarint(append(op, 5<<3), uint64(proofLen))
	header := append([]byte{2<<3 | 2, 32}, id[:]...)
	header = append(binary.AppendUvarint(append(header, 8<<3|2), uint64(len(op))), op...)
	_, err = st.Write(append(binary.AppendUvarint(nil, uint64(len(header))), header...))
	must(o.t, err)
}

// peakHeap runs work and returns by how much the heap grew at most.
func peakHeap(work func()) int64 {
	defer debug.SetGCPercent(debug.SetGCPercent(20))
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	before, peak := int64(m.HeapAlloc), int64(0)
	done := make(chan struct{})
	go func() {
		defer close(done)
		work()
	}()
	for {
		runtime.ReadMemStats(&m)
		peak = max(peak, int64(m.HeapAlloc)-before)
		select {
		case <-done:
			return peak
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// TestSymbolMemory: strangers who ask for many large symbols, with claims that are false or true, and read nothing,
// take a bounded part of the memory. Another stranger and a member still get theirs.
func TestSymbolMemory(t *testing.T) {
	data := make([]byte, 48<<20) // symbols of 8 MiB
	for i := range data {
		data[i] = byte(i * 7 >> 3)
	}
	o := newOutpost(t, 4, data)
	var strangers []*p2p.Host
	for range 4 {
		strangers = append(strangers, o.stranger())
	}
	for name, claim := range map[string]int{"false": 10, "true": 8 << 20} {
		peak := peakHeap(func() {
			for range 8 {
				for _, h := range strangers {
					o.ask(h, []int{0, 1, 2, 3}, claim, 2)
				}
			}
			member := o.connected(hostOf(t, o.other))
			got, err := member.Symbols(t.Context(), o.host.ID(), o.meta.ID(), shards.Primary, o.sliver(shards.Primary),
				[]int{3}, 8<<20, 2)
			must(t, err)
			must(t, o.meta.VerifySymbol(shards.Primary, o.sliver(shards.Primary), 3, got[0]))
			<-time.After(time.Second)
		})
		t.Logf("32 requests with %s claims: the heap grew by %d MiB", name, peak>>20)
		if peak > 96<<20 {
			t.Errorf("32 requests with %s claims: the heap grew by %d MiB", name, peak>>20)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestSymbolsOfKeptLine: what was expanded is sent again without CPU, in any order and from any place, for as long as
// the sliver is here.
func TestSymbolsOfKeptLine(t *testing.T) {
	for _, size := range []int{100, 2 << 20, 7 << 20} { // the last is too long to be kept whole
		data := make([]byte, size)
		_, _ = rand.Read(data)
		o := newOutpost(t, 4, data)
		h := o.stranger()
		z := o.meta.Layout(shards.Primary).SymbolSize
		for _, axis := range axes {
			index := o.sliver(axis)
			get := func(targets ...int) error {
				got, err := h.Symbols(t.Context(), o.host.ID(), o.meta.ID(), axis, index, targets, z, 2)
				for i := range got {
					must(t, o.meta.VerifySymbol(axis, index, targets[i], got[i]))
				}
				return err
			}
			must(t, get(3, 0))
			all := visitor{"all of the CPU", true}
			o.expander.cpu.perPeer = o.expander.cpu.all
			must(t, o.expander.cpu.take(t.Context(), all, o.expander.cpu.all))
			if 4*z <= wholeLine {
				must(t, get(0, 2, 1, 3))
			}
			o.expander.cpu.give(all, o.expander.cpu.all)
			must(t, get(1, 2, 0))
			if _, err := h.Symbols(t.Context(), o.host.ID(), o.meta.ID(), axis, index, []int{0}, z+2,
				2); !errors.Is(err, p2p.ErrBadRequest) {
				t.Errorf("other symbols than this blob has: %v", err)
			}
			must(t, o.shelf.DeleteSliver(store.Ref{Blob: o.meta.ID(), Axis: axis}))
			if err := get(3); !errors.Is(err, p2p.ErrNotFound) {
				t.Errorf("a sliver that is no longer here: %v", err)
			}
		}
	}
}

// TestLongSymbols: symbols too long to be held are sent while the sliver is read, and answers too long are sent in
// batches.
func TestLongSymbols(t *testing.T) {
	data := make([]byte, 60<<20) // symbols of 10 MiB
	_, _ = rand.Read(data[:1<<20])
	o := newOutpost(t, 4, data)
	got, err := o.stranger().Symbols(t.Context(), o.host.ID(), o.meta.ID(), shards.Secondary, o.sliver(shards.Secondary),
		[]int{3, 0, 1}, 10<<20, 2)
	must(t, err)
	for i, target := range []int{3, 0, 1} {
		must(t, o.meta.VerifySymbol(shards.Secondary, o.sliver(shards.Secondary), target, got[i]))
	}
	if used := o.expander.memory.used; used != 0 {
		t.Errorf("%d bytes are still held", used)
	}
}

// TestSymbolsUnderSiege: strangers who ask without end, and leave before the answer, do not keep a member from its
// symbols, and nothing goes on once they have left.
func TestSymbolsUnderSiege(t *testing.T) {
	data := make([]byte, 24<<20)
	_, _ = rand.Read(data[:1<<20])
	o := newOutpost(t, 4, data)
	z := int(o.meta.Layout(shards.Primary).SymbolSize)
	member := o.connected(hostOf(t, o.other))
	symbols := func() time.Duration {
		start := time.Now()
		_, err := member.Symbols(t.Context(), o.host.ID(), o.meta.ID(), shards.Primary, o.sliver(shards.Primary),
			[]int{3}, int64(z), 2)
		must(t, err)
		return time.Since(start)
	}
	alone := symbols()
	ctx, leave := context.WithCancel(t.Context())
	var siege sync.WaitGroup
	for range 4 {
		h := o.stranger()
		for range 16 {
			siege.Go(func() {
				for ctx.Err() == nil {
					short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
					_, _ = h.Symbols(short, o.host.ID(), o.meta.ID(), shards.Primary, o.sliver(shards.Primary),
						[]int{0, 1, 2, 3}, int64(z), 2)
					cancel()
				}
			})
		}
	}
	var worst time.Duration
	for range 10 {
		worst = max(worst, symbols())
	}
	leave()
	siege.Wait()
	t.Logf("a member gets a symbol in %v alone, and in %v at worst besides 64 requests of strangers",
		alone.Round(time.Millisecond), worst.Round(time.Millisecond))
	for end := time.Now().Add(time.Minute); ; {
		o.expander.cpu.mu.Lock()
		used, queued := o.expander.cpu.used, len(o.expander.cpu.queue)
		o.expander.cpu.mu.Unlock()
		if used == 0 && queued == 0 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("after all have left, %d expansions go on and %d wait", used, queued)
		}
		<-time.After(10 * time.Millisecond)
	}
}

// certificate makes a certificate of a permanent record, signed by all.
func (o *outpost) certificate(id shards.BlobID) []byte {
	o.t.Helper()
	var all []certs.Confirmation
	for _, m := range o.keys {
		all = append(all, o.com.Sign(m.key, m.id, id, certs.Persistence{}))
	}
	cert, _, err := o.com.Aggregate(id, certs.Persistence{}, all)
	must(o.t, err)
	return cert.Marshal()
}

// TestOldCertificate: a certificate of a blob that was registered anew and never uploaded has no effect, whoever sends
// it and how, until the ledger here has the blob certified. Then it is taken at once.
func TestOldCertificate(t *testing.T) {
	o := newOutpost(t, 4, []byte("a blob that is here"))
	h := o.stranger()
	id := blob(7)
	raw := o.certificate(id)
	info := func(i ledger.BlobInfo) {
		o.ledger.mu.Lock()
		defer o.ledger.mu.Unlock()
		o.ledger.values[string(ledger.KeyBlobInfo(id))] = i.Marshal()
	}
	info(ledger.BlobInfo{PermanentEnd: 9})
	untouched := func(by string) {
		t.Helper()
		if _, err := o.shelf.Certificate(id); err == nil || o.Owed() != 0 {
			t.Errorf("by %s: %d slivers are owed of a blob that is not certified; its certificate: %v", by, o.Owed(), err)
		}
	}
	short, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if err := h.PutCertificate(short, o.host.ID(), raw); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a certificate that is not on the ledger: %v", err)
	}
	untouched("a client")
	v, decoded := o.clerk.validate(t.Context(), h.ID(), raw)
	o.clerk.take(p2p.Message{From: h.ID(), Data: raw, Decoded: decoded})
	if untouched("gossip"); v != p2p.Ignore {
		t.Errorf("gossip: verdict %v", v)
	}
	must(t, o.syncer.takePage([][]byte{raw}))
	untouched("a comparison")
	forged := o.certificate(blob(8))
	copy(forged[5:], id[:])
	if err := h.PutCertificate(t.Context(), o.host.ID(), forged); !errors.Is(err, p2p.ErrBadRequest) {
		t.Errorf("a forged certificate waits: %v", err)
	}

	taken := make(chan error)
	go func() { taken <- h.PutCertificate(t.Context(), o.host.ID(), raw) }()
	<-time.After(100 * time.Millisecond)
	info(ledger.BlobInfo{PermanentEnd: 9, PermanentCertifiedEnd: 9, InitialCertified: 1})
	o.pending.wake()
	must(t, <-taken)
	if _, err := o.shelf.Certificate(id); err != nil || o.Owed() != 2 {
		t.Errorf("certified: %v, %d slivers are owed", err, o.Owed())
	}

	if v, _ := o.clerk.validate(t.Context(), h.ID(), raw); v != p2p.Ignore {
		t.Errorf("gossip that comes late: verdict %v", v)
	}
	o.book.recent.begun = time.Now().Add(-3 * gossipTime)
	if v, _ := o.clerk.validate(t.Context(), h.ID(), raw); v != p2p.Replay {
		t.Errorf("a replay: verdict %v", v)
	}
	if v, _ := o.clerk.validate(t.Context(), h.ID(), o.certificate(blob(9))); v != p2p.Ignore {
		t.Errorf("of a blob that nobody knows: verdict %v", v)
	}
	info(ledger.BlobInfo{PermanentEnd: 12}) // ended, and registered once more
	must(t, o.book.recount(id, 0))
	if o.Owed() != 0 {
		t.Errorf("registered once more: %d slivers are owed", o.Owed())
	}
}

// TestStatusIsCheap: to describe a node takes no look at its disk, however many files it has.
func TestStatusIsCheap(t *testing.T) {
	dir := t.TempDir()
	cfg := store.Default(dir)
	cfg.Logger = slog.New(slog.DiscardHandler)
	st, err := store.Open(cfg)
	must(t, err)
	defer func() { must(t, st.Close()) }()
	params, err := shards.NewParams(4)
	must(t, err)
	l := &state{ready: make(chan struct{}),
		values: map[string][]byte{string(ledger.KeyEpoch()): ledger.EpochInfo{Epoch: 1}.Marshal()}}
	k := testKeeper(t, st, l, params)
	before, err := k.Status()
	must(t, err)
	for i := range 1000 {
		must(t, os.WriteFile(filepath.Join(dir, fmt.Sprint("file-", i)), make([]byte, 5000), 0o600))
	}
	start := time.Now()
	const asked = 100
	for range asked {
		after, err := k.Status()
		must(t, err)
		if after.DiskBytes != before.DiskBytes {
			t.Fatalf("a request for the status measured the disk: %d bytes, before %d", after.DiskBytes, before.DiskBytes)
		}
	}
	t.Logf("a status of a store of 1,000 files takes %v", time.Since(start)/asked)
	must(t, st.PutBlob(shards.BlobID{1}, []byte("metadata"), 9))
	w, err := st.Create(store.Ref{Blob: shards.BlobID{1}}, 1<<20)
	must(t, err)
	_, err = w.Write(make([]byte, 1<<20))
	must(t, err)
	must(t, w.Commit())
	k.gauge.measure()
	after, err := k.Status()
	must(t, err)
	if after.DiskBytes < before.DiskBytes+1<<20 {
		t.Errorf("measured %d bytes, before %d", after.DiskBytes, before.DiskBytes)
	}
}

// encoded returns the outpost's pair of a blob.
func (o *outpost) encoded(data []byte) (id shards.BlobID, pair int, body []byte) {
	o.t.Helper()
	p := o.meta.Params()
	meta, pairs, err := shards.Encode(p, data)
	must(o.t, err)
	id = meta.ID()
	o.metas[id] = meta.Marshal()
	pair = p.PairOnShard(id, 0)
	primary, secondary := meta.Layout(shards.Primary), meta.Layout(shards.Secondary)
	for t := range primary.Strips() {
		at, size := primary.Strip(t)
		body = append(body, pairs[pair].Primary[at:][:size]...)
		at, size = secondary.Strip(t)
		body = append(body, pairs[pair].Secondary[at:][:size]...)
	}
	return id, pair, body
}

// registered puts a blob on the ledger as well, for the account of key.
func (o *outpost) registered(key ed25519.PrivateKey, data []byte) (id shards.BlobID, pair int, body []byte) {
	o.t.Helper()
	id, pair, body = o.encoded(data)
	o.ledger.set(ownedBlob(key, id, 9))
	return id, pair, body
}

// register puts its metadata on the disk, too.
func (o *outpost) register(h *p2p.Host, data []byte) (id shards.BlobID, pair int, body []byte) {
	o.t.Helper()
	id, pair, body = o.registered(ownerKey, data)
	must(o.t, o.offer(h, o.token(ownerKey, h, id), id))
	return id, pair, body
}

// token returns a token of the account of key, for a peer.
func (o *outpost) token(key ed25519.PrivateKey, h *p2p.Host, id shards.BlobID) []byte {
	return tokenOf(key, o.cfg.Genesis, id, h.ID())
}

func (o *outpost) offer(h *p2p.Host, token []byte, id shards.BlobID) error {
	_, err := h.PutMetadata(o.t.Context(), o.host.ID(), id, token, o.metas[id])
	return err
}

// send uploads a pair, and tells how much of its body was asked for.
func (o *outpost) send(h *p2p.Host, token []byte, id shards.BlobID, pair int, body []byte) (sent int, err error) {
	err = h.StorePairs(o.t.Context(), o.host.ID(), id, token, []int{pair}, int64(len(body)), func(w io.Writer) error {
		for part := range slices.Chunk(body, 64<<10) {
			n, err := w.Write(part)
			if sent += n; err != nil {
				return err
			}
		}
		return nil
	})
	return sent, err
}

// TestGarbage: uploads that are refused take a bounded part of the disk. What is here is not taken once more.
func TestGarbage(t *testing.T) {
	o := newOutpost(t, 4, []byte("another blob"))
	h := o.stranger()
	data := make([]byte, 12<<20)
	_, _ = rand.Read(data)
	id, pair, body := o.register(h, data)
	used := func() int64 {
		st, err := o.shelf.Stats()
		must(t, err)
		return st.Bytes >> 20
	}
	wrong := slices.Clone(body)
	wrong[0] ^= 1
	before := used()
	refused := map[error]int{}
	for range 30 {
		_, err := o.send(h, o.token(ownerKey, h, id), id, pair, wrong)
		for _, why := range []error{p2p.ErrMismatch, p2p.ErrSpent} {
			if errors.Is(err, why) {
				refused[why]++
			}
		}
	}
	t.Logf("30 refused uploads of %d MiB: the store grew from %d to %d MiB", len(body)>>20, before, used())
	if grown := used() - before; grown > int64(2*len(body)>>20)+8 {
		t.Errorf("the store grew by %d MiB", grown)
	}
	if refused[p2p.ErrMismatch] == 0 || refused[p2p.ErrMismatch] > 2 || refused[p2p.ErrMismatch]+
		refused[p2p.ErrSpent] != 30 {
		t.Errorf("refused: %v", refused)
	}

	id, pair, body = o.register(h, data[1:]) // another blob is taken, also after one refusal
	wrong = slices.Clone(body)
	wrong[len(wrong)-1] ^= 1
	if _, err := o.send(h, o.token(ownerKey, h, id), id, pair, wrong); !errors.Is(err, p2p.ErrMismatch) {
		t.Errorf("garbage: %v", err)
	}
	if _, err := o.send(h, o.token(ownerKey, h, id), id, pair, body); err != nil {
		t.Errorf("after one refusal: %v", err)
	}
	before = used()
	for range 10 {
		if sent, err := o.send(h, o.token(ownerKey, h, id), id, pair, body); !errors.Is(err, p2p.ErrHave) {
			t.Errorf("what is here already: %v, after %d of %d bytes", err, sent, len(body))
		}
	}
	if grown := used() - before; grown > 1 {
		t.Errorf("what is here already made the store grow by %d MiB", grown)
	}
	held, err := h.PutMetadata(t.Context(), o.host.ID(), o.meta.ID(), o.token(ownerKey, h, o.meta.ID()), o.meta.Marshal())
	must(t, err)
	if !slices.Equal(held, []int{o.meta.Params().PairOnShard(o.meta.ID(), 0)}) {
		t.Errorf("holds %v", held)
	}
}

// TestTwins: of two uploads of one pair at once, what the second brought counts as wasted. Else somebody could send
// each pair as often as all pairs together may be sent.
func TestTwins(t *testing.T) {
	o := newOutpost(t, 4, []byte("another blob"))
	h := o.stranger()
	data := make([]byte, 4<<20)
	_, _ = rand.Read(data)
	id, pair, body := o.register(h, data)
	var both, done sync.WaitGroup
	both.Add(2)
	for range 2 {
		done.Go(func() {
			err := h.StorePairs(t.Context(), o.host.ID(), id, o.token(ownerKey, h, id), []int{pair}, int64(len(body)),
				func(w io.Writer) error {
					both.Done()
					both.Wait()
					_, err := w.Write(body)
					return err
				})
			if err != nil {
				t.Error(err)
			}
		})
	}
	done.Wait()
	u := o.receiver.uploads
	u.mu.Lock()
	defer u.mu.Unlock()
	if w := u.records[owned(id)]; w == nil || w.wasted != int64(len(body)) {
		t.Errorf("two uploads of %d bytes have wasted %+v", len(body), w)
	}
}

// TestUploadShares: one peer, one account, one record does not take all memory of uploads, and dozens do not take the
// last of it.
func TestUploadShares(t *testing.T) {
	for name, who := range map[string]func(group, i byte) uploader{
		"peer": func(g, i byte) uploader { return uploader{peer.ID(g), ledger.Address{i, g}, ledger.ObjectID{i, g}} },
		"account": func(g, i byte) uploader {
			return uploader{peer.ID([]byte{i, g}), ledger.Address{g}, ledger.ObjectID{i, g}}
		},
		"record": func(g, i byte) uploader {
			return uploader{peer.ID([]byte{i, g}), ledger.Address{i, g}, ledger.ObjectID{g}}
		},
	} {
		u := newUploads(1 << 20)
		if release, err := u.admit(who(0, 0), 1<<30); err != nil {
			t.Errorf("one upload alone: %v", err)
		} else {
			release()
		}
		var release []func()
		for g := range byte(6) {
			got := 0
			for i := range byte(200) {
				end, err := u.admit(who(g, i), 8<<10)
				if err != nil {
					break
				}
				got++
				release = append(release, end)
			}
			if got == 0 || got > 1<<20/(8<<10)/3+1 {
				t.Errorf("%s %d got in with %d uploads", name, g, got)
			}
		}
		for _, end := range release {
			end()
		}
		if u.used != 0 || len(u.shares) != 0 {
			t.Errorf("%d bytes are still held by %d", u.used, len(u.shares))
		}
	}
}

// TestRecordSpace: what a record's uploads waste counts for the record, whoever sends it, and for an hour.
func TestRecordSpace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := newUploads(1 << 20)
		record, other := ledger.ObjectID{1}, ledger.ObjectID{2}
		for range 2 {
			end, err := u.write(record, 10, 20)
			must(t, err)
			end(10)
		}
		if _, err := u.write(record, 10, 20); !errors.Is(err, p2p.ErrSpent) {
			t.Errorf("the record may go on: %v", err)
		}
		end, err := u.write(other, 20, 20)
		must(t, err)
		if _, err := u.write(other, 1, 20); !errors.Is(err, p2p.ErrBusy) {
			t.Errorf("beside an upload for all: %v", err)
		}
		end(0)
		time.Sleep(wasteTime + time.Second)
		end, err = u.write(record, 10, 20)
		must(t, err)
		end(0)
		for i := range 2 * maxWasted {
			end, err := u.write(ledger.ObjectID{byte(i), byte(i >> 8)}, 10, 20)
			must(t, err)
			end(int64(i%10 + 1))
		}
		if len(u.records) > maxWasted {
			t.Errorf("remembers %d records", len(u.records))
		}
	})
}

// TestMetadataNeedsToken: metadata is not read from a peer whose token does not stand for a record, or for an account
// that can pay for one, nor if its size is not that of this network's metadata.
func TestMetadataNeedsToken(t *testing.T) {
	o := newOutpost(t, 4, []byte("another blob"))
	h := o.stranger()
	id, _, _ := o.registered(ownerKey, []byte("a blob"))
	early, _, _ := o.encoded([]byte("a blob that nobody has registered"))
	_, poor, err := ed25519.GenerateKey(nil)
	must(t, err)
	size := int64(len(o.metas[id]))
	for _, c := range []struct {
		what  string
		id    shards.BlobID
		token []byte
		size  int64
		want  error
	}{
		{"no token", id, nil, size, p2p.ErrDenied},
		{"a token for another blob", id, o.token(ownerKey, h, early), size, p2p.ErrDenied},
		{"a token of an account without a record", id, o.token(poor, h, id), size, p2p.ErrDenied},
		{"an account that can pay for nothing", early, o.token(poor, h, early), size, p2p.ErrNotRegistered},
		{"too much", id, o.token(ownerKey, h, id), size + 1, p2p.ErrMismatch},
		{"what it should be", id, o.token(ownerKey, h, id), size, nil},
	} {
		read := false
		_, err := o.receiver.PutMetadata(t.Context(), h.ID(), c.id, c.token, c.size, func() ([]byte, error) {
			read = true
			return o.metas[c.id], nil
		})
		if !errors.Is(err, c.want) || read != (c.want == nil) {
			t.Errorf("%s: read %v, %v; want %v", c.what, read, err, c.want)
		}
	}
}
