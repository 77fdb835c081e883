package hostile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"walrus/client"
	"walrus/clientnode"
	"walrus/config"
	"walrus/internal/pause"
	"walrus/ledger/wallet"
	"walrus/shards"
)

// deposit is a stored blob whose content anybody can make from its seed.
type deposit struct {
	Seed uint64
	Size int
	ID   shards.BlobID
}

func (d deposit) content() []byte {
	b := make([]byte, d.Size)
	_, _ = rand.NewChaCha8([32]byte(fmt.Appendf(nil, "%032d", d.Seed))).Read(b) // never fails
	return b
}

const (
	smallBlob  = 1 << 10
	smallBlobs = 16
	// operation bounds one operation of the honest client; users have left by then.
	operation = 30 * time.Second
	// readPause and storePause leave room between the honest client's operations.
	readPause, storePause = 25 * time.Millisecond, 100 * time.Millisecond
)

// honest is a client with a wallet that stores and reads small blobs all the time.
type honest struct {
	*clientnode.Node
	seed  uint64 // of the next blob; owned by the caller of put
	blobs []deposit

	mu      sync.Mutex
	samples []sample // guarded by mu
}

// sample is one operation of the honest client.
type sample struct {
	store bool
	took  time.Duration
	err   error
}

// join opens a client of the network as the commands do, with a fresh identity and without an address book. Without a
// wallet, nil, it cannot pay.
func (f *fleet) join(ctx context.Context, name string, w *wallet.Wallet) (*clientnode.Node, error) {
	conf, err := config.LoadClient(f.net.Client)
	if err != nil {
		return nil, err
	}
	conf.AddressBook = ""
	log, err := os.OpenFile(filepath.Join(f.dir, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	logger := slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelWarn}))
	cfg, open, err := conf.Compose("honest", w, logger)
	if err != nil {
		return nil, err
	}
	return clientnode.Open(ctx, cfg, open)
}

// newHonest joins and stores the blobs that it will read.
func newHonest(t *testing.T, f *fleet) *honest {
	t.Helper()
	conf, err := config.LoadClient(f.net.Client)
	if err != nil {
		t.Fatal(err)
	}
	w, err := conf.LoadWallet()
	if err != nil {
		t.Fatal(err)
	}
	n, err := f.join(t.Context(), "honest", w)
	if err != nil {
		t.Fatal(err)
	}
	h := &honest{Node: n, seed: 1}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Errorf("the honest client leaves: %v", err)
		}
	})
	for range smallBlobs {
		h.blobs = append(h.blobs, h.mustPut(t, smallBlob, client.StoreOptions{}))
	}
	return h
}

func (h *honest) mustPut(t *testing.T, size int, opt client.StoreOptions) deposit {
	t.Helper()
	d, _, err := h.put(t.Context(), size, opt)
	if err != nil {
		t.Fatalf("store %d bytes: %v", size, err)
	}
	return d
}

// put stores a new blob.
func (h *honest) put(ctx context.Context, size int, opt client.StoreOptions) (deposit, *client.StoreResult, error) {
	h.seed++
	d := deposit{Seed: h.seed, Size: size}
	r, err := h.upload(ctx, d, opt)
	if r != nil {
		d.ID = r.BlobID
	}
	return d, r, err
}

// upload stores a blob, with the record that it has, if any.
func (h *honest) upload(ctx context.Context, d deposit, opt client.StoreOptions) (*client.StoreResult, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*operation)
	defer cancel()
	return h.Client().Store(ctx, bytes.NewReader(d.content()), uint64(d.Size), opt)
}

// get reads a blob and compares it.
func (h *honest) get(ctx context.Context, d deposit) error {
	var got bytes.Buffer
	if _, err := h.Client().Read(ctx, d.ID, &got, client.ReadOptions{}); err != nil {
		return err
	}
	if !bytes.Equal(got.Bytes(), d.content()) {
		return errors.New("the blob came back with other bytes")
	}
	return nil
}

// run stores and reads until ctx ends.
func (h *honest) run(ctx context.Context) {
	var work sync.WaitGroup
	work.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			h.time(ctx, false, func(ctx context.Context) error { return h.get(ctx, h.blobs[i%len(h.blobs)]) })
			pause.For(ctx, readPause)
		}
	})
	work.Go(func() {
		for seed := uint64(1 << 32); ctx.Err() == nil; seed++ { // apart from those of put
			content := deposit{Seed: seed, Size: smallBlob}.content()
			h.time(ctx, true, func(ctx context.Context) error {
				_, err := h.Client().Store(ctx, bytes.NewReader(content), smallBlob, client.StoreOptions{})
				return err
			})
			pause.For(ctx, storePause)
		}
	})
	work.Wait()
}

func (h *honest) time(ctx context.Context, store bool, fn func(context.Context) error) {
	short, cancel := context.WithTimeout(ctx, operation)
	defer cancel()
	begin := time.Now()
	err := fn(short)
	if ctx.Err() != nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.samples = append(h.samples, sample{store, time.Since(begin), err})
}

// mark returns a place in the list of samples, for since.
func (h *honest) mark() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.samples)
}

// since returns the samples that ended after a mark.
func (h *honest) since(mark int) []sample {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.samples[mark:])
}

// p99 returns the 99th percentile of one kind of operation, and the operations that failed.
func p99(samples []sample, store bool) (worst time.Duration, count int, failed []string) {
	var took []time.Duration
	for _, s := range samples {
		if s.store != store {
			continue
		}
		took = append(took, s.took)
		if s.err != nil {
			text, _, _ := strings.Cut(s.err.Error(), "\n")
			failed = append(failed, text[:min(len(text), 200)])
		}
	}
	if len(took) == 0 {
		return 0, 0, failed
	}
	slices.Sort(took)
	return took[(len(took)*99+99)/100-1], len(took), failed
}
