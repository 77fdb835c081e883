package client

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/p2p"
	"walrus/shards"
)

// fakePins is a pinner with whole copies of some blobs.
type fakePins struct {
	*fakeSwarm
	meta   map[shards.BlobID]*shards.Metadata
	pairs  map[shards.BlobID][]shards.Pair
	asked  atomic.Int64 // searches
	broken bool         // serves no rows
}

const thePinner = peer.ID("the pinner")

func (f *fakePins) add(t *testing.T, content []byte) shards.BlobID {
	t.Helper()
	meta, pairs, err := shards.Encode(f.com.Params(), content)
	if err != nil {
		t.Fatal(err)
	}
	f.meta[meta.ID()], f.pairs[meta.ID()] = meta, pairs
	return meta.ID()
}

func (f *fakePins) Connect(ctx context.Context, node peer.ID) error {
	if node == thePinner {
		return nil
	}
	return f.fakeSwarm.Connect(ctx, node)
}

func (f *fakePins) Holders(_ context.Context, key [32]byte, _ int) ([]peer.AddrInfo, error) {
	f.asked.Add(1)
	if f.meta[key] == nil {
		return nil, nil
	}
	return []peer.AddrInfo{{ID: thePinner}}, nil
}

// pinned asks the fake as a pinner.
type pinnedBy struct{ *fakePins }

func (f pinnedBy) Metadata(_ context.Context, _ peer.ID, id shards.BlobID, _ int) ([]byte, error) {
	return f.meta[id].Marshal(), nil
}

func (f pinnedBy) FetchSliver(_ context.Context, _ peer.ID, id shards.BlobID, axis shards.Axis, index int, _, _ int64) (io.ReadCloser, error) {
	if f.broken {
		return nil, p2p.ErrUnavailable
	}
	return io.NopCloser(bytes.NewReader(f.pairs[id][index].Primary)), nil
}

func newPinned(t *testing.T, nodes, n int) (*fakePins, *Client) {
	t.Helper()
	f, c := newFake(t, nodes, n)
	p := &fakePins{fakeSwarm: f, meta: map[shards.BlobID]*shards.Metadata{}, pairs: map[shards.BlobID][]shards.Pair{}}
	reader := New(c.cfg, Swarm{p, f, f, f, pinnedBy{p}, nil}, f.chain, f.chain.Payer(f.wallet), slog.New(slog.DiscardHandler))
	return p, reader
}

// TestReadPins: pinners are asked for what the committee does not have, does not give, or is slow to give, and only
// then.
func TestReadPins(t *testing.T) {
	content := bytes.Repeat([]byte("something to keep "), 5000)
	for _, tt := range []struct {
		name   string
		stored bool
		moods  []mood // of the first nodes, once it is stored
		broken bool
		pins   bool  // the rows come from the pinner
		want   error // of the read
	}{
		{"the committee has it", true, nil, false, false, nil},
		{"its storage has ended, or never was", false, nil, false, true, nil},
		{"too few nodes are up", true, []mood{down, down, down, down, down, down}, false, true, nil},
		{"no node sends a row", true, []mood{lacking, lacking, lacking, lacking, lacking, lacking, lacking}, false, true, nil},
		{"all nodes send too slowly", true, []mood{slow, slow, slow, slow, slow, slow, slow}, false, true, nil},
		{"the pinner fails too", false, nil, true, false, ErrNotFound},
		{"nodes say that it is invalid", true,
			[]mood{refuting, refuting, refuting, refuting, refuting, refuting, refuting}, false, false, ErrInvalidBlob},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, c := newPinned(t, 7, 7)
				id := f.add(t, content)
				f.broken = tt.broken
				if tt.stored {
					if _, err := store(t, c, content, StoreOptions{}); err != nil {
						t.Fatal(err)
					}
				}
				copy(f.moods, tt.moods)
				var out bytes.Buffer
				start := time.Now()
				res, err := c.Read(t.Context(), id, &out, ReadOptions{})
				if !errors.Is(err, tt.want) || tt.want == nil && !bytes.Equal(out.Bytes(), content) {
					t.Fatalf("read %d bytes: %v, want %v", out.Len(), err, tt.want)
				}
				if err != nil {
					return
				}
				if got := slices.Equal(res.Pinners, []peer.ID{thePinner}) && res.WhyPinned != nil && res.Pinned > 0; got != tt.pins {
					t.Errorf("from pinners %v: %d bytes, because %v", res.Pinners, res.Pinned, res.WhyPinned)
				}
				if asked := f.asked.Load(); !tt.pins && asked > 0 || asked > 1 {
					t.Errorf("%d searches for pinners", asked)
				}
				t.Logf("took %v", time.Since(start))
			})
		})
	}
}

// TestNobodyPins: a blob that does not exist is looked for once in a while, not with every read.
func TestNobodyPins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c := newPinned(t, 4, 7)
		for range 10 {
			if _, err := c.Read(t.Context(), shards.BlobID{1}, io.Discard, ReadOptions{}); !errors.Is(err, ErrNotFound) {
				t.Fatal(err)
			}
		}
		if asked := f.asked.Load(); asked < 1 || asked > 4 {
			t.Errorf("%d searches for ten reads", asked)
		}
	})
}

// TestQuiltPins: the files of a quilt are read from its pinner, when the committee does not have it and when the nodes
// stop to deliver after it was opened.
func TestQuiltPins(t *testing.T) {
	for _, ended := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			f, c := newPinned(t, 5, 31)
			files, want := quiltFiles(12, 5000)
			stored, err := c.StoreQuilt(t.Context(), files, StoreOptions{})
			if err != nil {
				t.Fatal(err)
			}
			var content bytes.Buffer
			if _, err := c.Read(t.Context(), stored.BlobID, &content, ReadOptions{}); err != nil {
				t.Fatal(err)
			}
			if id := f.add(t, content.Bytes()); id != stored.BlobID {
				t.Fatalf("read %s", id)
			}
			if ended {
				if err := f.chain.Advance(3); err != nil {
					t.Fatal(err)
				}
			}
			q, err := c.OpenQuilt(t.Context(), stored.BlobID)
			if err != nil {
				t.Fatal(err)
			}
			if (q.pinned != nil) != ended {
				t.Errorf("ended: %v, opened from pinners: %v", ended, q.pinned != nil)
			}
			for i := range f.moods {
				f.moods[i] = down
			}
			readAll(t, q, q.Index().Patches, want)
		})
	}
}
