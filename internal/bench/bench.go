// Package bench measures how fast this machine encodes, decodes and repairs, and compares that with a bound: the best
// that the machine could do. It keeps its blob in memory and uses no disk and no network. Start with Run.
//
// The bound is a sum over the parts of a task's shards.Work. Each part counts its units times the time of a unit when
// the kernel runs alone, on data in cache and on as many processors. Kernels are measured between the runs of the
// task.
package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"time"

	"walrus/shards"
)

// Options select the task to measure.
type Options struct {
	Task   string // one of Tasks
	Shards int
	Size   uint64 // of the blob, in bytes, at least 1
	Cores  int    // processors to use
	Runs   int    // number of measurements; the medians are reported
}

const (
	// MaxSize bounds the blob, in bytes, because it is kept in memory, and for some tasks its slivers too.
	MaxSize = 16 << 30
	// MaxRuns bounds Options.Runs.
	MaxRuns = 1000
)

// Result holds the measurements. MB are 10^6 bytes.
type Result struct {
	Task         string  `json:"task"`
	Shards       int     `json:"shards"`
	Size         uint64  `json:"size"`       // of the blob, in bytes
	SymbolSize   int64   `json:"symbolSize"` // in bytes
	Cores        int     `json:"cores"`      // processors used
	Runs         int     `json:"runs"`
	Bytes        int64   `json:"bytes"`                  // counted in MBps: the blob, or the bytes hashed or repaired
	Seconds      float64 `json:"seconds"`                // median of the runs
	MinSeconds   float64 `json:"minSeconds"`             // the fastest run
	MBps         float64 `json:"mbps"`                   // Bytes in Seconds
	BoundMBps    float64 `json:"boundMbps"`              // Bytes in the time of the bound
	Ratio        float64 `json:"ratio"`                  // MBps / BoundMBps
	RatioBytes   float64 `json:"ratioBytes"`             // Ratio with hashing at the speed of long messages, without trees
	PeakBytes    uint64  `json:"peakBytes"`              // growth of memory while measuring, without the task's input
	CryptoMBps   float64 `json:"cryptoMbps,omitempty"`   // task hash: the same by golang.org/x/crypto/blake2b
	CryptoFactor float64 `json:"cryptoFactor,omitempty"` // task hash: MBps / CryptoMBps
	BoundParts   []Bound `json:"bound"`                  // the summands of the bound
}

// Bound is the share of one kernel in the bound.
type Bound struct {
	Part    string  `json:"part"`
	Units   int64   `json:"units"`   // compressions of BLAKE2b, or bytes of symbols extended or recovered side by side
	Seconds float64 `json:"seconds"` // median
}

// ErrOptions reports options that cannot be measured.
var ErrOptions = errors.New("invalid options")

func (o *Options) validate() (shards.Params, error) {
	p, err := shards.NewParams(o.Shards)
	switch {
	case err != nil:
		return p, fmt.Errorf("%w: %w", ErrOptions, err)
	case o.Size < 1 || o.Size > MaxSize:
		return p, fmt.Errorf("%w: size %d: want from 1 byte to 16 GiB, which is kept in memory", ErrOptions, o.Size)
	case o.Cores < 1 || o.Cores > runtime.NumCPU():
		return p, fmt.Errorf("%w: %d cores: want from 1 to the %d there are", ErrOptions, o.Cores, runtime.NumCPU())
	case o.Runs < 1 || o.Runs > MaxRuns:
		return p, fmt.Errorf("%w: %d runs: want from 1 to %d", ErrOptions, o.Runs, MaxRuns)
	}
	return p, nil
}

// task is a measurement, ready to start.
type task struct {
	bytes int64
	work  shards.Work
	run   func(ctx context.Context) error
	other func(ctx context.Context) error // the same by golang.org/x/crypto, if available
}

// blob is the input from which tasks are made.
type blob struct {
	params shards.Params
	data   []byte
	cores  int
}

// tasks lists the tasks with their constructors.
var tasks = []struct {
	name string
	make func(ctx context.Context, b *blob) (*task, error)
}{
	{"metadata", metadataTask},
	{"encode", encodeTask},
	{"decode-worst", worstTask},
	{"decode-systematic", systematicTask},
	{"repair", repairTask},
	{"hash", hashTask},
}

// Tasks returns the names of the tasks.
func Tasks() []string {
	names := make([]string, len(tasks))
	for i := range tasks {
		names[i] = tasks[i].name
	}
	return names
}

// pace is the least time of one measurement: of a task, which is repeated if it is shorter, and of a kernel.
type pace struct{ task, kernel time.Duration }

// Run measures one task. Meanwhile the whole process is limited to o.Cores processors. Invalid options wrap
// ErrOptions.
func Run(ctx context.Context, o Options) (*Result, error) {
	return run(ctx, o, pace{task: 50 * time.Millisecond, kernel: 20 * time.Millisecond})
}

func run(ctx context.Context, o Options, least pace) (*Result, error) {
	p, err := o.validate()
	if err != nil {
		return nil, err
	}
	at := slices.Index(Tasks(), o.Task)
	if at < 0 {
		return nil, fmt.Errorf("%w: task %q: want one of %q", ErrOptions, o.Task, Tasks())
	}
	b := &blob{p, make([]byte, o.Size), o.Cores}
	_, _ = rand.NewChaCha8([32]byte{}).Read(b.data) // never fails
	t, err := tasks[at].make(ctx, b)
	if err != nil {
		return nil, fmt.Errorf("prepare %s: %w", o.Task, err)
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(o.Cores))
	s, err := measure(ctx, t, o, least)
	if err != nil {
		return nil, fmt.Errorf("measure %s: %w", o.Task, err)
	}
	return s.result(t, o, p.SymbolSize(o.Size)), nil
}

// samples holds the times of each run, in seconds.
type samples struct {
	task, other []float64
	limits      [][]float64 // by part of the work: time of one unit
	block       []float64   // time of one compression in long leaves
	peak        uint64
}

func measure(ctx context.Context, t *task, o Options, least pace) (*samples, error) {
	s := &samples{limits: make([][]float64, len(t.work.Parts))}
	// Do not count the first time: it takes its memory from the system, and fills tables and caches.
	stop := watchMemory()
	once, err := timed(ctx, t.run, 1)
	s.peak = stop()
	if err != nil {
		return nil, err
	}
	times := max(1, int(least.task.Seconds()/once))
	for range o.Runs {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		took, err := timed(ctx, t.run, times)
		if err != nil {
			return nil, err
		}
		s.task = append(s.task, took)
		for i, part := range t.work.Parts {
			s.limits[i] = append(s.limits[i], limit(part.New, o.Cores, least.kernel))
		}
		s.block = append(s.block, limit(longLeaf, o.Cores, least.kernel))
		if t.other != nil {
			took, err := timed(ctx, t.other, 1)
			if err != nil {
				return nil, err
			}
			s.other = append(s.other, took)
		}
	}
	return s, nil
}

// timed runs run several times and returns the seconds per run.
func timed(ctx context.Context, run func(context.Context) error, times int) (float64, error) {
	runtime.GC() // frees the memory of earlier runs
	start := time.Now()
	for range times {
		if err := run(ctx); err != nil {
			return 0, err
		}
	}
	return time.Since(start).Seconds() / float64(times), nil
}

func (s *samples) result(t *task, o Options, z int64) *Result {
	r := &Result{
		Task: o.Task, Shards: o.Shards, Size: o.Size, SymbolSize: z, Cores: o.Cores, Runs: o.Runs, Bytes: t.bytes,
		Seconds: median(s.task), MinSeconds: slices.Min(s.task), PeakBytes: s.peak,
	}
	bound, boundBytes := 0.0, float64(t.work.Hashed)/shards.HashBlock*median(s.block)
	for i, part := range t.work.Parts {
		seconds := float64(part.Units) * median(s.limits[i])
		r.BoundParts = append(r.BoundParts, Bound{part.Name, part.Units, seconds})
		bound += seconds
		if !part.Hash {
			boundBytes += seconds
		}
	}
	mb := float64(t.bytes) / 1e6
	r.MBps, r.BoundMBps = mb/r.Seconds, mb/bound
	r.Ratio, r.RatioBytes = bound/r.Seconds, boundBytes/r.Seconds
	if len(s.other) > 0 {
		r.CryptoMBps = mb / median(s.other)
		r.CryptoFactor = r.MBps / r.CryptoMBps
	}
	return r
}

func median(x []float64) float64 {
	x = slices.Sorted(slices.Values(x))
	return (x[(len(x)-1)/2] + x[len(x)/2]) / 2
}
