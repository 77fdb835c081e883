//go:build unix

package shards

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/blake2b"
)

// BenchmarkRepair measures the processor time of rebuilding one sliver at n = 1000 in three ways: each symbol's proof
// is verified alone, all are verified in lanes, and no proofs are there, so only the root of the rebuilt sliver is
// compared. The ways take turns, so "alone/lanes" holds on a busy machine, too.
func BenchmarkRepair(b *testing.B) {
	p := mustParams(b, 1000)
	for _, mib := range []int{1, 32} {
		blob := make([]byte, mib<<20)
		rand.NewChaCha8([32]byte{}).Read(blob)
		for _, axis := range []Axis{Primary, Secondary} {
			b.Run(fmt.Sprintf("%s/size=%dMiB", axis, mib), func(b *testing.B) { benchRepair(b, p, blob, axis) })
		}
	}
}

func benchRepair(b *testing.B, p Params, blob []byte, axis Axis) {
	const target = 7
	across, first := axis.Other(), p.n-p.SourceSymbols(axis)
	m, crossing := benchSlivers(b, p, blob, across, first, p.n)
	claims, symbols := make([]Claim, len(crossing)), map[int][]byte{}
	for k := range crossing {
		got, err := m.ExtractSymbols(across, first+k, bytes.NewReader(crossing[k]), []int{target})
		if err != nil {
			b.Fatal(err)
		}
		claims[k] = Claim{first + k, target, got[0]}
		symbols[first+k] = got[0].Data
	}
	ways := []struct {
		name   string
		verify func() error
	}{
		{"alone", func() error { return verifyAlone(m, across, claims) }},
		{"lanes", func() error { return m.VerifySymbols(across, claims) }},
		{"root", func() error { return nil }},
	}
	spent := make([]time.Duration, len(ways))
	for b.Loop() {
		for i := range ways {
			start := processorTime(b)
			if err := ways[i].verify(); err != nil {
				b.Fatal(err)
			}
			if _, err := m.Rebuild(axis, target, symbols); err != nil {
				b.Fatal(err)
			}
			spent[i] += processorTime(b) - start
		}
	}
	for i := range ways {
		b.ReportMetric(float64(spent[i].Microseconds())/float64(b.N), "µs-"+ways[i].name)
	}
	b.ReportMetric(float64(spent[0])/float64(spent[1]), "alone/lanes")
	b.ReportMetric(0, "ns/op") // of all ways together
}

// verifyAlone checks claims one by one with a hash of one message at a time.
func verifyAlone(m *Metadata, axis Axis, claims []Claim) error {
	leaf := make([]byte, 1+len(claims[0].Data))
	for i := range claims {
		c := &claims[i]
		copy(leaf[1:], c.Data)
		if climb(blake2b.Sum256(leaf), c.Target, c.Proof) != m.Root(axis, c.Index) {
			return fmt.Errorf("symbol of sliver %d: %w", c.Index, ErrSymbol)
		}
	}
	return nil
}

// processorTime returns what this process has spent on all processors.
func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
