package bench

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"runtime"
	"testing"
	"time"

	"walrus/shards"
)

// short is a pace too fast for meaningful figures.
var short = pace{time.Millisecond, time.Millisecond}

// few returns options that take little time.
func few(task string, n int, size uint64) Options {
	return Options{Task: task, Shards: n, Size: size, Cores: 1, Runs: 2}
}

func TestRun(t *testing.T) {
	for _, name := range Tasks() {
		t.Run(name, func(t *testing.T) {
			before := runtime.GOMAXPROCS(0)
			r, err := run(t.Context(), few(name, 13, 100_000), short)
			if err != nil {
				t.Fatal(err)
			}
			if now := runtime.GOMAXPROCS(0); now != before {
				t.Errorf("GOMAXPROCS is %d afterwards: want %d", now, before)
			}
			if r.Task != name || r.Shards != 13 || r.Size != 100_000 || r.Cores != 1 || r.Runs != 2 || r.SymbolSize != 2224 {
				t.Errorf("not what was asked for: %+v", r)
			}
			bound := 0.0
			for _, part := range r.BoundParts {
				if part.Units <= 0 || part.Seconds <= 0 || part.Part == "" {
					t.Errorf("part %+v", part)
				}
				bound += part.Seconds
			}
			near := func(what string, got, want float64) {
				if math.Abs(got-want) > 1e-9*math.Abs(want) || !(got > 0) {
					t.Errorf("%s %v: want %v", what, got, want)
				}
			}
			near("mbps", r.MBps, float64(r.Bytes)/1e6/r.Seconds)
			near("boundMbps", r.BoundMBps, float64(r.Bytes)/1e6/bound)
			near("ratio", r.Ratio, r.MBps/r.BoundMBps)
			if !(r.RatioBytes > 0) {
				t.Errorf("ratioBytes %v", r.RatioBytes)
			}
			if r.MinSeconds > r.Seconds {
				t.Errorf("fastest %v s, median %v s", r.MinSeconds, r.Seconds)
			}
			if hash := name == "hash"; hash != (r.CryptoMBps > 0) || hash != (r.CryptoFactor > 0) {
				t.Errorf("compared with x/crypto: %v and %v", r.CryptoMBps, r.CryptoFactor)
			}
			if _, err := json.Marshal(r); err != nil {
				t.Errorf("as JSON: %v", err)
			}
		})
	}
}

// TestSmallestNetworks runs with few rows, columns and symbols, and with slivers that are partly source.
func TestSmallestNetworks(t *testing.T) {
	for _, n := range []int{4, 5, 6, 7} {
		for _, name := range Tasks() {
			if _, err := run(t.Context(), few(name, n, 1), short); err != nil {
				t.Errorf("n=%d: %v", n, err)
			}
		}
	}
}

func TestPeakMemory(t *testing.T) {
	const size = 8 << 20
	r, err := run(t.Context(), few("encode", 100, size), short)
	if err != nil {
		t.Fatal(err)
	}
	// The second pass holds a strip of this size.
	p, err := shards.NewParams(100)
	if err != nil {
		t.Fatal(err)
	}
	strip := uint64(p.Shards()*(p.Rows()+p.Columns())) * uint64(p.Layout(shards.Primary, size).StripWidth(0))
	if r.PeakBytes < strip || r.PeakBytes > 20*strip {
		t.Errorf("%d bytes at most: one strip alone has %d", r.PeakBytes, strip)
	}
}

func TestBadOptions(t *testing.T) {
	for name, change := range map[string]func(*Options){
		"unknown task":    func(o *Options) { o.Task = "decode" },
		"few shards":      func(o *Options) { o.Shards = 3 },
		"many shards":     func(o *Options) { o.Shards = shards.MaxShards + 1 },
		"no size":         func(o *Options) { o.Size = 0 },
		"large size":      func(o *Options) { o.Size = MaxSize + 1 },
		"no cores":        func(o *Options) { o.Cores = 0 },
		"too many cores":  func(o *Options) { o.Cores = runtime.NumCPU() + 1 },
		"no runs":         func(o *Options) { o.Runs = 0 },
		"a million runs":  func(o *Options) { o.Runs = 1e6 },
		"negative shards": func(o *Options) { o.Shards = -1 },
	} {
		o := few("hash", 10, 1000)
		change(&o)
		if _, err := Run(t.Context(), o); !errors.Is(err, ErrOptions) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, name := range Tasks() {
		if _, err := run(ctx, few(name, 10, 1000), short); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestDecodesTheBlob checks that the tasks' output is the blob.
func TestDecodesTheBlob(t *testing.T) {
	p, err := shards.NewParams(10)
	if err != nil {
		t.Fatal(err)
	}
	b := &blob{params: p, data: make([]byte, 700_000), cores: 1}
	for i := range b.data {
		b.data[i] = byte(i * i >> 7)
	}
	first := p.Shards() - p.Rows()
	m, slivers, err := b.slivers(t.Context(), shards.Primary, first, p.Shards())
	if err != nil {
		t.Fatal(err)
	}
	indices := make([]int, p.Rows())
	for k := range indices {
		indices[k] = first + k
	}
	d, err := shards.NewDecoder(p, shards.Primary, indices)
	if err != nil {
		t.Fatal(err)
	}
	out := make([]byte, int64(b.rows())*m.Layout(shards.Primary).Size())
	if err := decodeRows(t.Context(), d, m, slivers, out); err != nil {
		t.Fatal(err)
	}
	if string(out[:len(b.data)]) != string(b.data) {
		t.Error("another blob")
	}
	slivers[0][0]++
	if err := decodeRows(t.Context(), d, m, slivers, out); !errors.Is(err, shards.ErrSliver) {
		t.Errorf("from a damaged sliver: %v", err)
	}
}
