package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"walrus/config"
	"walrus/internal/pause"
)

// web is a running gateway.
type web struct {
	*proc
	url string
}

// daemon starts a gateway of the cluster's network.
func (c *cluster) daemon(name string, args ...string) *web {
	c.t.Helper()
	var env []string
	if c.temp != "" {
		env = []string{"TMPDIR=" + c.temp}
	}
	p, err := startProcWith(context.WithoutCancel(c.t.Context()), env, filepath.Join(c.dir, name+".log"),
		append([]string{"--config", c.net.Client, "daemon", "--bind", anyPort}, args...)...)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = p.kill() })
	line, err := p.ready()
	if err != nil {
		c.t.Fatal(err)
	}
	_, url, _ := strings.Cut(line, "ready ")
	return &web{p, url}
}

// answer is a response with its body.
type answer struct {
	code int
	head http.Header
	body []byte
	err  error
}

// ask sends a request and reads the response.
func (w *web) ask(ctx context.Context, method, path string, body io.Reader, header ...string) answer {
	req, err := http.NewRequestWithContext(ctx, method, w.url+path, body)
	if err != nil {
		return answer{err: err}
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return answer{err: err}
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, b, err}
}

// put stores a blob and returns its ID. It tries again later if the gateway is busy.
func (w *web) put(ctx context.Context, content []byte) (id string, busy int, err error) {
	for {
		a := w.ask(ctx, http.MethodPut, "/v1/blobs?epochs=2", bytes.NewReader(content))
		switch {
		case a.err != nil:
			return "", busy, a.err
		case a.code == http.StatusTooManyRequests:
			busy++
			if !pause.For(ctx, time.Duration(50+rand.IntN(100))*time.Millisecond) {
				return "", busy, ctx.Err()
			}
			continue
		case a.code != http.StatusOK:
			return "", busy, fmt.Errorf("status %d: %s", a.code, a.body)
		}
		var r struct {
			NewlyCreated struct {
				BlobObject struct {
					BlobID string `json:"blobId"`
				} `json:"blobObject"`
			} `json:"newlyCreated"`
		}
		if err := json.Unmarshal(a.body, &r); err != nil || r.NewlyCreated.BlobObject.BlobID == "" {
			return "", busy, fmt.Errorf("stored as %s: %w", a.body,
				errors.Join(err, errors.New("want newlyCreated.blobObject.blobId")))
		}
		return r.NewlyCreated.BlobObject.BlobID, busy, nil
	}
}

// TestGateways runs two gateways over one network: both serve a blob that one stored, and a download cut off when one
// is killed continues at the other.
func TestGateways(t *testing.T) {
	if testing.Short() {
		t.Skip("starts six processes")
	}
	t.Parallel() // mostly waits for processes
	c := newCluster(t, config.DevnetOptions{Nodes: 4, Shards: 10})
	c.awaitHealth()
	one, other := c.daemon("one", "--max-body-size", "32768"), c.daemon("other")
	content := make([]byte, 24<<20) // more than the connection can buffer
	_, _ = rand.NewChaCha8([32]byte{1}).Read(content)
	id, _, err := one.put(t.Context(), content)
	if err != nil {
		t.Fatal(err)
	}
	path := "/v1/blobs/" + id
	if a := other.ask(t.Context(), http.MethodGet, path, nil); a.code != http.StatusOK || !bytes.Equal(a.body, content) {
		t.Fatalf("the other gateway answers %d with %d bytes: %v", a.code, len(a.body), a.err)
	}
	resumed := resume(t, one, other, path, len(content)/2)
	if !bytes.Equal(resumed, content) {
		t.Errorf("the download that was resumed differs")
	}
	if err := other.stop(); err != nil {
		t.Errorf("the other gateway ended with %v", err)
	}
}

// resume reads until some bytes have come, kills the gateway, and gets the rest from the other.
func resume(t *testing.T, one, other *web, path string, some int) []byte {
	t.Helper()
	resp, err := http.Get(one.url + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	part := make([]byte, some)
	if _, err := io.ReadFull(resp.Body, part); err != nil {
		t.Fatal(err)
	}
	if err := one.kill(); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(resp.Body) // the bytes in flight, then the end of the connection
	t.Logf("%d bytes came after %d, then: %v", len(rest), some, err)
	part = append(part, rest...)
	a := other.ask(t.Context(), http.MethodGet, path, nil, "Range", fmt.Sprintf("bytes=%d-", len(part)), "If-Range",
		resp.Header.Get("Etag"))
	if a.err != nil || a.code != http.StatusPartialContent {
		t.Fatalf("the other gateway answers %d: %v", a.code, a.err)
	}
	return append(part, a.body...)
}

// TestGatewayLoad runs many uploads of 1 MiB and many readers of ranges at once. Only 429 may refuse, and memory must
// stay bounded. WALRUS_LOAD=1 means 64 uploads and 256 readers.
func TestGatewayLoad(t *testing.T) {
	if testing.Short() {
		t.Skip("starts five processes")
	}
	uploads, readers, rounds := 12, 32, 2
	if os.Getenv("WALRUS_LOAD") != "" {
		uploads, readers, rounds = 64, 256, 8
	} else {
		t.Parallel() // runs with the others that mostly wait
	}
	c := newCluster(t, config.DevnetOptions{Nodes: 4, Shards: 10})
	c.awaitHealth()
	w := c.daemon("daemon")
	idle := w.resident(t)

	ids, took, busy := make([]string, uploads), make([]time.Duration, uploads), make([]int, uploads)
	contents := make([][]byte, uploads)
	crowd(t, uploads, func(i int) error {
		contents[i] = make([]byte, 1<<20)
		_, _ = rand.NewChaCha8([32]byte{byte(i), byte(i >> 8), 7}).Read(contents[i])
		begin := time.Now()
		var err error
		ids[i], busy[i], err = w.put(t.Context(), contents[i])
		took[i] = time.Since(begin)
		return err
	})
	refused := 0
	for _, n := range busy {
		refused += n
	}
	t.Logf("%d uploads at once: %s, refused for now %d times; memory %d MiB, %d MiB idle", uploads, spread(took), refused,
		w.resident(t)>>20, idle>>20)

	reads := make([]time.Duration, readers*rounds)
	crowd(t, readers, func(i int) error {
		rnd := rand.New(rand.NewPCG(uint64(i), 9))
		for k := range rounds {
			begin := time.Now()
			if err := w.readRange(t.Context(), rnd, ids[rnd.IntN(uploads)], contents, ids); err != nil {
				return err
			}
			reads[i*rounds+k] = time.Since(begin)
		}
		return nil
	})
	peak := w.resident(t)
	t.Logf("%d readers of %d ranges each: %s; memory %d MiB", readers, rounds, spread(reads), peak>>20)
	if limit := int64(1 << 30); peak > limit {
		t.Errorf("the gateway has %d MiB in memory: more than %d", peak>>20, limit>>20)
	}
	if err := w.stop(); err != nil {
		t.Errorf("the gateway ended with %v", err)
	}
}

// readRange reads a random range of a blob and compares it.
func (w *web) readRange(ctx context.Context, rnd *rand.Rand, id string, contents [][]byte, ids []string) error {
	content := contents[slices.Index(ids, id)]
	from := rnd.IntN(len(content))
	to := min(len(content), from+1+rnd.IntN(256<<10))
	for {
		a := w.ask(ctx, http.MethodGet, "/v1/blobs/"+id, nil, "Range", fmt.Sprintf("bytes=%d-%d", from, to-1))
		switch {
		case a.err != nil:
			return a.err
		case a.code == http.StatusTooManyRequests:
			if !pause.For(ctx, 50*time.Millisecond) {
				return ctx.Err()
			}
			continue
		case a.code != http.StatusPartialContent || !bytes.Equal(a.body, content[from:to]):
			return fmt.Errorf("range %d-%d of %s: status %d, %d bytes", from, to-1, id, a.code, len(a.body))
		}
		return nil
	}
}

// crowd runs do for 0…count−1 at once.
func crowd(t *testing.T, count int, do func(i int) error) {
	t.Helper()
	var all sync.WaitGroup
	for i := range count {
		all.Go(func() {
			if err := do(i); err != nil {
				t.Errorf("%d: %v", i, err)
			}
		})
	}
	all.Wait()
	if t.Failed() {
		t.FailNow()
	}
}

// spread formats the median and the maximum of durations.
func spread(took []time.Duration) string {
	slices.Sort(took)
	at := func(share float64) time.Duration {
		return took[int(share*float64(len(took)-1))].Round(time.Millisecond)
	}
	return fmt.Sprintf("p50 %s, p99 %s", at(0.5), at(0.99))
}

// resident returns the memory of the process: its peak, where the system reports it.
func (w *web) resident(t *testing.T) int64 {
	t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", w.cmd.Process.Pid))
	if err != nil {
		return 0 // another system
	}
	for line := range strings.Lines(string(raw)) {
		if kib, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(kib), "kB")), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return n << 10
		}
	}
	return 0
}
