package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"

	"github.com/spf13/cobra"

	"walrus/config"
	"walrus/internal/bench"
)

const benchLong = `Measure how fast this machine encodes, decodes and repairs, and how close that comes to its limit.

  walrus bench metadata                          # n=1000, 32 MiB, all cores
  walrus bench encode --cores 1 --size 1GiB
  walrus bench decode --case worst --shards 100
  walrus bench encode --json | jq .ratio

Everything happens in memory, on pseudo-random data made before the clock starts. Each measurement is repeated --runs
times; the medians are shown. Speeds count the bytes of the blob, unless stated otherwise, in MB/s of 10^6 bytes.
"memory" is the peak use besides the input.

"bound" is the speed this machine would reach if it did only the hashing and coding arithmetic that the task needs,
on data that stays in a core's cache. It is measured between the runs, on as many cores. "ratio" is the measured
speed divided by the bound.

The hashing is BLAKE2b in blocks of 128 bytes. A symbol of z bytes takes ⌈(1+z)/128⌉ blocks, an inner node of a Merkle
tree takes one. With n shards there are n² symbols and about 2·n² inner nodes, whatever the size of the blob. So the
bound counts blocks. "ratio/bytes" leaves out the cost of short symbols and of trees: its bound counts only the bytes
of the symbols, 4.5 for each byte of a large blob.

The figures mean little while other processes use the cores.`

// benchNotes describes what each subcommand measures: in one line, and in full.
var benchNotes = []struct{ name, short, long string }{
	{"metadata", "the blob ID and all Merkle roots: the first pass", `Compute the metadata of a blob: all n² symbols of the expanded matrix, their hashes, and the roots of the n rows and n
columns. walrus blob-id does the same, and so does the first pass of walrus store.`},
	{"encode", "metadata and all slivers: both passes", `Compute the metadata of a blob and then, in a second pass, all 2·n slivers, one strip at a time. walrus store does the
same, and sends the slivers. They are not kept here, so memory does not grow with the blob. In return the second pass
repeats part of the arithmetic, and the bound counts it twice, too.`},
	{"decode", "a blob from its slivers, everything verified", `Decode a blob from primary slivers. The bound counts the verification of everything that is read.

worst       none of the slivers is a part of the blob: each is verified, the blob's rows are decoded from them, and
            each row is verified against the metadata
systematic  all of the blob's rows are available: each is verified, and its bytes are put in order`},
	{"repair", "a sliver pair from symbols of others, proofs verified", `Rebuild a primary and a secondary sliver from the symbols that they share with other slivers, as a node does after
losing its disk. The proof of each symbol is verified, the sliver is computed, and its root is compared. Speeds count
the bytes of the two slivers.`},
	{"hash", "the hashing of symbols alone", `Hash symbols as long as the blob's, always the same ones from cache, many at a time in the lanes of the processor's
vector registers. The result is compared with golang.org/x/crypto/blake2b. The bound is the speed of the lanes on long
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
	c.Flags().IntVar(&f.cores, "cores", runtime.GOMAXPROCS(0), "use `K` processors")
	c.Flags().IntVar(&f.runs, "runs", 5, "repeat each measurement `R` times")
	if name == "decode" {
		c.Flags().StringVar(&f.decodeCase, "case", "both", "`CASE`: worst, systematic or both")
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
	rows = [][]string{{"part of the bound", "units", "time"}}
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
			_, err := fmt.Fprintf(a.stdout, "golang.org/x/crypto: %s MB/s; the lanes are %.2f times as fast\n",
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

// byteUnits lists the units in which a size is printed: in the first that fits.
var byteUnits = []struct {
	name string
	size uint64
}{
	{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}, {"B", 1},
}

func (b *byteCount) Set(text string) error {
	n, err := config.ParseSize(text)
	if err != nil || n > bench.MaxSize {
		return errors.New("want a whole number from 1 to 16GiB, such as 1000, 1KiB or 32MiB")
	}
	*b = byteCount(n)
	return nil
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
