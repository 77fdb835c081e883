package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"walrus/internal/bench"
)

const benchLong = `Measure how fast this machine encodes, decodes and repairs, and how near that is to what it could do at best.

  walrus bench metadata                          # n=1000, 32 MiB, all cores
  walrus bench encode --cores 1 --size 1GiB
  walrus bench decode --case worst --shards 100
  walrus bench encode --json | jq .ratio

Everything happens in memory, on pseudo-random data that is made before the clock starts. Each measurement is
repeated --runs times, and the medians are shown. Speeds are in MB/s of 10^6 bytes; what they count is the blob, if
nothing else is said. "memory" is what the work takes at most besides its input.

"bound" is the speed at which the same machine would be done if it did nothing but the hashing and the arithmetic of
the code that the task cannot do without, each of them on data that stays in a core's cache. It is measured
between the runs, on as many cores. "ratio" is the speed measured divided by the bound.

The hashing is BLAKE2b in blocks of 128 bytes. A symbol of z bytes takes ⌈(1+z)/128⌉ blocks, and each inner node of a
Merkle tree takes one: with n shards there are n² symbols and about 2·n² inner nodes, whatever the size of the blob.
So the bound counts blocks. "ratio/bytes" leaves out what short symbols and trees add: it divides by a bound that counts
only the bytes of the symbols, 4.5 for each byte of a large blob.

If other processes use the cores, nothing that is measured means much.`

// benchNotes describes what each subcommand measures: in one line, and in full.
var benchNotes = []struct{ name, short, long string }{
	{"metadata", "the blob ID and all Merkle roots: pass one", `Compute the metadata of a blob: all n² symbols of the expanded matrix, their hashes, and the roots of the n rows and n
columns. It is what walrus blob-id does, and the first pass of walrus store.`},
	{"encode", "metadata and all slivers: both passes", `Compute the metadata of a blob, and then, in a second pass over it, all 2·n slivers, a strip at a time. It is what
walrus store does besides sending them. Slivers are not kept, so memory does not grow with the blob; the price is
that the second pass does a part of the arithmetic again, and the bound counts it twice too.`},
	{"decode", "a blob from its slivers, everything verified", `Decode a blob from primary slivers. The bound counts the verification of everything that is read.

worst       none of the slivers is a part of the blob: each is verified, the blob's rows are decoded from them, and
            each row is verified against the metadata
systematic  all of the blob's rows are there: each is verified, and its bytes are put in order`},
	{"repair", "a sliver pair from symbols of others, proofs verified", `Make a primary and a secondary sliver anew from the symbols that other slivers have in common with them, as a node does
that lost its disk: the proof of each symbol is verified, the sliver computed, and its root compared. Speeds count the
bytes of the two slivers.`},
	{"hash", "the hashing of symbols alone", `Hash symbols as long as those of the blob, always the same ones in cache, many at a time in the lanes of the processor's
vector registers, and compare that with golang.org/x/crypto/blake2b. The bound is the speed of the lanes on long
symbols. Speeds count the bytes of symbols.`},
}

// benchFlags are the flags of all bench subcommands.
type benchFlags struct {
	shards      shardCount
	size        byteCount
	cores, runs int
	decodeCase  string
}

func benchCommand(a *app) *cobra.Command {
	c := group(&cobra.Command{Use: "bench", Short: "measure how fast this machine encodes and decodes", Long: benchLong})
	for _, note := range benchNotes {
		c.AddCommand(benchSubcommand(a, note.name, note.short, note.long))
	}
	return c
}

func benchSubcommand(a *app, name, short, long string) *cobra.Command {
	f := benchFlags{shards: publicShards, size: 32 << 20}
	c := &cobra.Command{
		Use:   name,
		Short: short,
		Long: long + `

  walrus bench ` + name + `
  walrus bench ` + name + ` --shards 100 --size 1GiB --cores 1 --json

--json prints {"task","shards","size","symbolSize","cores","runs","bytes","seconds","minSeconds","mbps","boundMbps","ratio",
"ratioBytes","peakBytes","bound":[{"part","units","seconds"}]}. See walrus bench --help for what they mean.`,
		Args: args(cobra.NoArgs, "no arguments"),
		RunE: func(c *cobra.Command, _ []string) error {
			tasks, err := benchTasks(name, f.decodeCase)
			if err != nil {
				return err
			}
			ctx, cancel := a.withTimeout(c.Context(), 0)
			defer cancel()
			return a.bench(ctx, tasks, f)
		},
	}
	c.Flags().Var(&f.shards, "shards", "`N`umber of shards")
	c.Flags().Var(&f.size, "size", "`SIZE` of the blob, such as 1KiB, 32MiB or 1GiB")
	c.Flags().IntVar(&f.cores, "cores", runtime.GOMAXPROCS(0), "`K` processors to use")
	c.Flags().IntVar(&f.runs, "runs", 5, "measure `R` times")
	if name == "decode" {
		c.Flags().StringVar(&f.decodeCase, "case", "both", "worst, systematic or both")
	}
	return c
}

func benchTasks(name, decodeCase string) ([]string, error) {
	if name != "decode" {
		return []string{name}, nil
	}
	switch decodeCase {
	case "worst", "systematic":
		return []string{"decode-" + decodeCase}, nil
	case "both":
		return []string{"decode-worst", "decode-systematic"}, nil
	}
	return nil, usagef("--case %q: use worst, systematic or both", decodeCase)
}

func (a *app) bench(ctx context.Context, tasks []string, f benchFlags) error {
	var results []*bench.Result
	for _, task := range tasks {
		o := bench.Options{Task: task, Shards: int(f.shards), Size: uint64(f.size), Cores: f.cores, Runs: f.runs}
		r, err := bench.Run(ctx, o)
		if errors.Is(err, bench.ErrOptions) {
			return &usageError{err}
		}
		if err != nil {
			return err
		}
		results = append(results, r)
	}
	if !a.global.json {
		return a.printBench(results)
	}
	report := benchReport{Result: results[0]}
	if len(results) > 1 {
		report.Cases = results
	}
	return a.printJSON(report)
}

// benchReport is the JSON output of bench.
type benchReport struct {
	*bench.Result
	Cases []*bench.Result `json:"cases,omitempty"` // all results if there are several; the first is repeated above
}

func (a *terminal) printBench(results []*bench.Result) error {
	r := results[0]
	err := table(a.stdout, "", [][]string{
		{"shards", fmt.Sprint(r.Shards)},
		{"blob", fmt.Sprintf("%s, symbols of %d bytes", byteSize(r.Size), r.SymbolSize)},
		{"cores", fmt.Sprint(r.Cores)},
		{"runs", fmt.Sprint(r.Runs)},
	})
	if err != nil {
		return err
	}
	rows := [][]string{{"", "time", "MB/s", "bound MB/s", "ratio", "ratio/bytes", "memory"}}
	for _, r := range results {
		rows = append(rows, []string{
			r.Task, shortTime(r.Seconds), figure(r.MBps), figure(r.BoundMBps),
			fmt.Sprintf("%.0f%%", 100*r.Ratio), fmt.Sprintf("%.0f%%", 100*r.RatioBytes), byteSize(r.PeakBytes),
		})
	}
	if err := table(a.stdout, "", rows); err != nil {
		return err
	}
	rows = [][]string{{"of the bound", "units", "time"}}
	for _, r := range results {
		for _, b := range r.BoundParts {
			part := b.Part
			if len(results) > 1 {
				part = r.Task + ": " + part
			}
			rows = append(rows, []string{part, fmt.Sprint(b.Units), shortTime(b.Seconds)})
		}
	}
	if err := table(a.stdout, "", rows); err != nil {
		return err
	}
	for _, r := range results {
		if r.CryptoMBps > 0 {
			_, err := fmt.Fprintf(a.stdout, "golang.org/x/crypto: %s MB/s, so the lanes are %.2f times as fast\n",
				figure(r.CryptoMBps), r.CryptoFactor)
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// shortTime formats seconds for people.
func shortTime(s float64) string {
	switch {
	case s < 1e-3:
		return fmt.Sprintf("%.1f µs", s*1e6)
	case s < 1:
		return fmt.Sprintf("%.2f ms", s*1e3)
	}
	return fmt.Sprintf("%.2f s", s)
}

// figure formats x with about three digits.
func figure(x float64) string {
	if x >= 100 {
		return fmt.Sprintf("%.0f", x)
	}
	return strconv.FormatFloat(x, 'g', 3, 64)
}

// byteCount is a flag with a size in bytes.
type byteCount uint64

// byteUnits lists the units of a size. The first unit that fits is used for printing.
var byteUnits = []struct {
	name string
	size uint64
}{
	{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}, {"B", 1}, {"", 1},
}

func (b *byteCount) Set(text string) error {
	for _, unit := range byteUnits {
		number, ok := strings.CutSuffix(text, unit.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(strings.TrimSpace(number), 10, 64)
		if err != nil || n < 1 || n > bench.MaxSize/unit.size {
			break
		}
		*b = byteCount(n * unit.size)
		return nil
	}
	return fmt.Errorf("want a whole number from 1 to 16GiB, such as 1000, 1KiB or 32MiB")
}

func (b *byteCount) String() string {
	for _, unit := range byteUnits {
		if n := uint64(*b); n >= unit.size && n%unit.size == 0 {
			return fmt.Sprint(n/unit.size) + unit.name
		}
	}
	return "0"
}

func (b *byteCount) Type() string { return "SIZE" }
