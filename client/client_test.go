package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"walrus/certs"
	"walrus/ledger"
	"walrus/shards"
)

// noise returns size bytes derived from seed.
func noise(seed uint64, size int) []byte {
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	b := make([]byte, size)
	_, _ = r.Read(b)
	return b
}

func store(t testing.TB, c *Client, data []byte, opt StoreOptions) (*StoreResult, error) {
	t.Helper()
	return c.Store(t.Context(), bytes.NewReader(data), uint64(len(data)), opt)
}

func TestStoreAndRead(t *testing.T) {
	for _, n := range []int{4, 7, 10, 100} {
		for _, size := range []int{0, 1, 2, 1000, 100_003, 2_000_000} {
			t.Run(fmt.Sprintf("n=%d/size=%d", n, size), func(t *testing.T) {
				f, c := newFake(t, 4, n)
				data := noise(1, size)
				var encoded, sent, read int64
				progress := func(s Stage, done, total int64) {
					last := map[Stage]*int64{Encoding: &encoded, Uploading: &sent, Reading: &read}[s]
					if done < *last || done > total {
						t.Errorf("%s: %d of %d after %d", s, done, total, *last)
					}
					*last = done
				}
				res, err := store(t, c, data, StoreOptions{Progress: progress})
				if err != nil {
					t.Fatal(err)
				}
				want, _, err := shards.Encode(f.com.Params(), data)
				if err != nil {
					t.Fatal(err)
				}
				if res.BlobID != want.ID() || res.Confirmed < res.Needed || f.com.Verify(res.Certificate) != nil ||
					res.Operation != RegisterFromScratch {
					t.Errorf("result %+v", res)
				}
				var out bytes.Buffer
				got, err := c.Read(t.Context(), res.BlobID, &out, ReadOptions{Progress: progress})
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(out.Bytes(), data) || got.Size != uint64(size) || got.Decoded != 0 || len(got.Bad) != 0 {
					t.Errorf("read %d bytes, %+v", out.Len(), got)
				}
				if sent == 0 || read != int64(size) {
					t.Errorf("progress ended at %d sent, %d read", sent, read)
				}
				again, err := store(t, c, data, StoreOptions{})
				if err != nil || !again.AlreadyCertified {
					t.Errorf("stored again: %+v, %v", again, err)
				}
			})
		}
	}
}

// TestReadThrough reads while nodes misbehave, with rows in memory, mixed, and on disk: the bytes are always right, and
// the result names the misbehaving nodes.
func TestReadThrough(t *testing.T) {
	for _, m := range []mood{down, silent, lying, cutting, lacking, busyOnce, slow} {
		for _, memory := range []int64{1, 300_000, 64 << 20} {
			for _, strict := range []bool{false, true} {
				t.Run(fmt.Sprintf("mood=%d/memory=%d/strict=%v", m, memory, strict), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						f, c := newFake(t, 7, 28)
						c.cfg.ReadMemory = memory
						data := noise(2, 1_234_567)
						res, err := store(t, c, data, StoreOptions{})
						if err != nil {
							t.Fatal(err)
						}
						f.moods[1], f.moods[5] = m, m
						for range 2 { // the second time the silent nodes are known
							var out bytes.Buffer
							got, err := c.Read(t.Context(), res.BlobID, &out, ReadOptions{Strict: strict})
							if err != nil {
								t.Fatal(err)
							}
							if !bytes.Equal(out.Bytes(), data) {
								t.Fatal("read other bytes than were stored")
							}
							checkNamed(t, got, m)
						}
					})
				})
			}
		}
	}
}

func checkNamed(t *testing.T, got *ReadResult, m mood) {
	t.Helper()
	if m == busyOnce {
		if len(got.Bad) != 0 {
			t.Errorf("busy nodes are called bad: %v", got.Bad)
		}
		return
	}
	if got.Decoded == 0 {
		t.Error("nothing was decoded")
	}
	named := map[string]bool{}
	for _, b := range got.Bad {
		named[b.Name] = true
		if b.Lied != (m == lying) {
			t.Errorf("%s: lied %v", b, b.Lied)
		}
		if b.Name != "node-1" && b.Name != "node-5" {
			t.Errorf("named %s, who did nothing wrong", b)
		}
	}
	if len(named) == 0 || (m != silent && m != slow && len(named) != 2) {
		t.Errorf("named %v", got.Bad)
	}
}

// TestAnyThirdReads reads from every set of just enough nodes.
func TestAnyThirdReads(t *testing.T) {
	f, c := newFake(t, 7, 7)
	data := noise(3, 10_000)
	res, err := store(t, c, data, StoreOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for alive := range 1 << 7 {
		count := 0
		for i := range f.moods {
			f.moods[i] = down
			if alive&(1<<i) != 0 {
				f.moods[i] = well
				count++
			}
		}
		var out bytes.Buffer
		_, err := c.Read(t.Context(), res.BlobID, &out, ReadOptions{})
		var few *NotEnoughError
		switch {
		case count >= f.com.Params().Rows() && (err != nil || !bytes.Equal(out.Bytes(), data)):
			t.Errorf("nodes %07b: %v", alive, err)
		case count < f.com.Params().Rows() && !errors.As(err, &few):
			t.Errorf("nodes %07b are too few, yet: %v", alive, err)
		case !bytes.HasPrefix(data, out.Bytes()):
			t.Errorf("nodes %07b: wrong bytes were written before the error", alive)
		}
	}
}

func TestStoreThrough(t *testing.T) {
	for _, m := range []mood{down, silent, refusing, forging, busyOnce, slow, served} {
		t.Run(fmt.Sprintf("mood=%d", m), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, c := newFake(t, 7, 28)
				c.cfg.UploadMemory = 1 // one strip
				data := noise(4, 3_000_000)
				f.moods[0], f.moods[4] = m, m
				start := time.Now()
				res, err := store(t, c, data, StoreOptions{})
				if err != nil {
					t.Fatal(err)
				}
				if took := time.Since(start); took > 2*time.Minute {
					t.Errorf("two bad nodes held up the upload for %v", took)
				}
				for i, n := range res.Nodes {
					bad := m != busyOnce && m != served && (i == 0 || i == 4)
					if n.Confirmed == bad || (n.Err != nil) != bad {
						t.Errorf("%s: confirmed %v, %v", n.Name, n.Confirmed, n.Err)
					}
				}
				var out bytes.Buffer
				if _, err := c.Read(t.Context(), res.BlobID, &out, ReadOptions{}); err != nil || !bytes.Equal(out.Bytes(), data) {
					t.Errorf("read back: %v", err)
				}
			})
		})
	}
}

// TestStoreNotEnough fails and says what is missing, keeps what was sent, and the next attempt sends only the rest.
func TestStoreNotEnough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c := newFake(t, 7, 28)
		data := noise(5, 50_000)
		f.moods[0], f.moods[1], f.moods[2] = down, silent, refusing
		_, err := store(t, c, data, StoreOptions{})
		var few *NotEnoughError
		if !errors.As(err, &few) || few.Have != 16 || few.Needed != 19 || few.Shards != 28 || len(few.Nodes) != 3 {
			t.Fatalf("store with three of seven nodes bad: %v", err)
		}
		before := make([]int64, 7)
		for i := range f.nodes {
			before[i] = f.nodes[i].received
			f.moods[i] = well
		}
		res, err := store(t, c, data, StoreOptions{})
		if err != nil || res.Confirmed < res.Needed {
			t.Fatalf("store again: %v", err)
		}
		for i := range f.nodes {
			if again := f.nodes[i].received - before[i]; (again == 0) != (i >= 3) {
				t.Errorf("node %d was sent %d bytes again", i, again)
			}
		}
	})
}

func TestNotFound(t *testing.T) {
	f, c := newFake(t, 7, 28)
	var id shards.BlobID
	_, err := c.Read(t.Context(), id, &bytes.Buffer{}, ReadOptions{})
	if !errors.Is(err, ErrNotFound) {
		t.Errorf("read of an unknown blob: %v", err)
	}
	if _, err = c.BlobStatus(t.Context(), id); !errors.Is(err, ErrNotFound) {
		t.Errorf("status of an unknown blob: %v", err)
	}
	f.moods[0], f.moods[1], f.moods[2] = down, down, down
	f.chain.Halt(fmt.Errorf("%w: three of seven nodes are down", ErrStalled))
	var few *NotEnoughError
	if _, err = c.Read(t.Context(), id, &bytes.Buffer{}, ReadOptions{}); !errors.As(err, &few) {
		t.Errorf("read of an unknown blob while a quorum is down: %v", err)
	}
	if _, err = c.BlobStatus(t.Context(), id); !errors.As(err, &few) {
		t.Errorf("status of an unknown blob while a quorum is down: %v", err)
	}
}

// TestInconsistent reads a blob whose writer committed to a wrong row: no way of reading returns content.
func TestInconsistent(t *testing.T) {
	f, c := newFake(t, 7, 28)
	data := noise(6, 50_000)
	p := f.com.Params()
	meta, pairs, err := shards.Encode(p, data)
	if err != nil {
		t.Fatal(err)
	}
	// row 0 comes from other data, root included: decoding it from the other rows gives something else
	other, otherPairs, err := shards.Encode(p, noise(7, 50_000))
	if err != nil {
		t.Fatal(err)
	}
	meta.Pairs[0].Primary = other.Pairs[0].Primary
	pairs[0].Primary = otherPairs[0].Primary
	id := meta.ID()
	f.record(meta)
	for i := range p.Shards() {
		owner, _ := f.com.Member(f.com.Owner(p.ShardOfPair(id, i)).Node)
		f.nodes[owner].metadata[id] = meta.Marshal()
		f.nodes[owner].slivers[sliverKey{id, shards.Primary, i}] = pairs[i].Primary
	}
	_, err = c.Read(t.Context(), id, &bytes.Buffer{}, ReadOptions{Strict: true})
	if !errors.Is(err, ErrInvalidBlob) {
		t.Errorf("strict read: %v", err)
	}
	owner, _ := f.com.Member(f.com.Owner(p.ShardOfPair(id, 0)).Node)
	f.lose(owner)
	_, err = c.Read(t.Context(), id, &bytes.Buffer{}, ReadOptions{})
	if !errors.Is(err, ErrInvalidBlob) {
		t.Errorf("read that has to decode: %v", err)
	}
}

func TestReadStops(t *testing.T) {
	f, c := newFake(t, 7, 28)
	data := noise(8, 500_000)
	res, err := store(t, c, data, StoreOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(t.Context(), res.BlobID, &limitedWriter{100_000}, ReadOptions{}); !errors.Is(err, errWriter) {
		t.Errorf("read into a full writer: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	f.moods[0] = silent
	cancel()
	if _, err := c.Read(ctx, res.BlobID, &bytes.Buffer{}, ReadOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled read: %v", err)
	}
}

func TestHealth(t *testing.T) {
	f, c := newFake(t, 7, 28)
	if _, err := store(t, c, []byte("a blob"), StoreOptions{}); err != nil {
		t.Fatal(err)
	}
	h, err := c.Health(t.Context())
	if err != nil || !h.OK {
		t.Fatalf("a healthy network: %+v, %v", h, err)
	}
	f.nodes[3].certs = map[shards.BlobID][]byte{} // behind, although it reports nothing missing
	f.moods[4] = down
	if h, err = c.Health(t.Context()); err != nil || h.OK || h.Nodes[3].OK || h.Nodes[4].OK || !h.Nodes[0].OK {
		t.Errorf("a node behind and one down: %+v, %v", h, err)
	}
	f.clocks = map[int]time.Duration{0: 4 * time.Second, 1: time.Minute, 2: -600 * time.Second}
	h, err = c.Health(t.Context())
	if err != nil || h.Nodes[0].Why != "" || h.Nodes[1].Why != "has a clock that is 60 s ahead of the others'" ||
		h.Nodes[2].Why != "has a clock that is 600 s behind the others'" {
		t.Errorf("clocks: %q, %q, %q, %v", h.Nodes[0].Why, h.Nodes[1].Why, h.Nodes[2].Why, err)
	}
}

// record registers a blob and certifies it with the keys of all nodes, whatever they hold.
func (f *fakeSwarm) record(meta *shards.Metadata) {
	f.t.Helper()
	id := meta.ID()
	payer := f.chain.Payer(f.wallet)
	object, err := payer.Register(f.t.Context(), meta, 1, false)
	if err != nil {
		f.t.Fatal(err)
	}
	com := f.committee(f.chain.Epoch())
	var confs []certs.Confirmation
	for i, m := range com.Members() {
		confs = append(confs, com.Sign(f.keys[i], m.Node, id, certs.Persistence{}))
	}
	cert, _, err := com.Aggregate(id, certs.Persistence{}, confs)
	if err != nil {
		f.t.Fatal(err)
	}
	if err := payer.Run(f.t.Context(), ledger.CertifyBlob{Object: object, Certificate: cert.Marshal()}); err != nil {
		f.t.Fatal(err)
	}
}
