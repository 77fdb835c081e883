package wrongtest

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"walrus/shards"
)

var update = flag.Bool("update", false, "write the tables of docs/wrong-encodings.md anew")

const page = "../../docs/wrong-encodings.md"

// TestTables computes the numbers that the page states.
func TestTables(t *testing.T) {
	b, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	for name, table := range map[string]string{
		"sizes": sizes(t), "line": lineOdds(t), "own": ownOdds(t), "adversary": adversaryOdds(t),
	} {
		begin, end := "<!-- table "+name+" -->\n", "<!-- end "+name+" -->"
		head, rest, ok := strings.Cut(text, begin)
		old, tail, ok2 := strings.Cut(rest, end)
		if !ok || !ok2 {
			t.Fatalf("the page has no table %q", name)
		}
		if old != table && !*update {
			t.Errorf("table %s is\n%s\nwant\n%s", name, old, table)
		}
		text = head + begin + table + end + tail
	}
	if *update {
		if err := os.WriteFile(page, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func params(t *testing.T, n int) shards.Params {
	t.Helper()
	p, err := shards.NewParams(n)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// miss returns the probability that k of n cells, all different and chosen at random, contain none of d wrong ones.
func miss(n, d, k int) float64 {
	odds := 1.0
	for i := range k {
		odds *= max(0, float64(n-d-i)) / float64(n-i)
	}
	return odds
}

// rowDistance and columnDistance return the cells in which two different lines differ at least.
func rowDistance(p shards.Params) int    { return p.Faulty() + 1 }
func columnDistance(p shards.Params) int { return 2*p.Faulty() + 1 }

func percent(x float64) string {
	switch {
	case x == 0:
		return "0"
	case x < 0.00001:
		return "< 0.001 %"
	case x < 0.01:
		return fmt.Sprintf("%.3f %%", 100*x)
	}
	return fmt.Sprintf("%.1f %%", 100*x)
}

func sizes(t *testing.T) string {
	var b strings.Builder
	b.WriteString("| shards | cell proof, bytes | paths of a line proof about a row, bytes | about a column |\n|---|---|---|---|\n")
	for _, n := range []int{10, 100, 1000, shards.MaxShards} {
		p := params(t, n)
		fmt.Fprintf(&b, "| %d | %d | %d | %d |\n", n, p.CellProofSize(), p.LineProofSize(shards.Primary),
			p.LineProofSize(shards.Secondary))
	}
	return b.String()
}

func lineOdds(t *testing.T) string {
	var b strings.Builder
	b.WriteString("| shards | line | wrong cells at least | 1 cell | 4 cells | 16 cells |\n|---|---|---|---|---|---|\n")
	for _, n := range []int{10, 100, 1000} {
		p := params(t, n)
		for _, line := range []struct {
			name string
			d    int
		}{{"row", rowDistance(p)}, {"column", columnDistance(p)}} {
			fmt.Fprintf(&b, "| %d | %s | %d |", n, line.name, line.d)
			for _, k := range []int{1, 4, 16} {
				fmt.Fprintf(&b, " %s |", percent(miss(n, line.d, min(k, n))))
			}
			b.WriteString("\n")
		}
	}
	return b.String()
}

func ownOdds(t *testing.T) string {
	var b strings.Builder
	b.WriteString("| shards | nodes | shards of the node | cells it compares | misses a wrong row | misses a wrong column |\n|---|---|---|---|---|---|\n")
	for _, net := range []struct{ n, nodes int }{{100, 7}, {1000, 10}, {1000, 100}, {1000, 1000}} {
		p, w := params(t, net.n), net.n/net.nodes
		fmt.Fprintf(&b, "| %d | %d | %d | %d | %s | %s |\n", net.n, net.nodes, w, w*w,
			percent(miss(net.n, rowDistance(p), w)), percent(miss(net.n, columnDistance(p), w)))
	}
	return b.String()
}

func adversaryOdds(t *testing.T) string {
	var b strings.Builder
	b.WriteString("| shards | found by nodes after the certificate, 16 cells | by a reader of that column, 8 data cells | by a strict reader of it |\n|---|---|---|---|\n")
	const k, read = 16, 8
	for _, n := range []int{100, 1000} {
		p := params(t, n)
		honest := n - p.Faulty()
		each := miss(honest, 1, k)
		fmt.Fprintf(&b, "| %d | %s | %s | %s |\n", n, percent(1-each*each), percent(1-miss(p.Rows(), 1, read)),
			percent(1-miss(p.Rows(), 1, p.Rows())))
	}
	return b.String()
}

// TestDistances: two lines can differ in as few cells as the tables assume, and never in fewer.
func TestDistances(t *testing.T) {
	for _, n := range []int{4, 7, 10, 100} {
		p := params(t, n)
		z := int(p.SymbolSize(1))
		blob := Content(p.Rows()*p.Columns()*z, 1)
		near := bytes.Clone(blob)
		near[0] ^= 1 // cell (0, 0) only
		far := another(blob, 9)
		for _, axis := range []shards.Axis{shards.Primary, shards.Secondary} {
			d := rowDistance(p)
			if axis == shards.Secondary {
				d = columnDistance(p)
			}
			one := func(a shards.Axis, i int) bool { return a == axis && i == 0 }
			if got := differs(Mix(t, "", p, blob, near, one), axis); got != d {
				t.Errorf("n=%d: %s slivers that differ in one source symbol differ in %d symbols, want %d", n, axis, got, d)
			}
			if got := differs(Mix(t, "", p, blob, far, one), axis); got < d {
				t.Errorf("n=%d: %s slivers differ in %d symbols, want %d at least", n, axis, got, d)
			}
		}
	}
}

// differs counts the cells of line 0 that the crossing lines have otherwise.
func differs(e *Encoding, axis shards.Axis) (n int) {
	for i := range e.Params.Shards() {
		if axis == shards.Primary && e.Differs(0, i) || axis == shards.Secondary && e.Differs(i, 0) {
			n++
		}
	}
	return n
}

// TestHonestLinesAgree: if the lines of n−f honest shards agree where they cross, the others are the only wrong ones.
// So whatever is wrong is among cells of honest lines, or held by liars alone.
func TestHonestLinesAgree(t *testing.T) {
	p := params(t, 10)
	liars := []int{2, 5, 8}
	e := AtShards(t, p, Content(3000, 1), liars)
	honest := func(axis shards.Axis, index int) bool {
		shard := p.ShardOfPair(e.ID, p.PairOfSliver(axis, index))
		return shard != 2 && shard != 5 && shard != 8
	}
	right := 0
	for i := range p.Shards() {
		for j := range p.Shards() {
			both := honest(shards.Primary, i) && honest(shards.Secondary, j)
			if both && e.Differs(i, j) {
				t.Fatalf("cell (%d, %d) of honest lines differs", i, j)
			}
			if both {
				right++
			}
		}
	}
	if right != 49 {
		t.Errorf("%d cells of honest lines, want 49", right)
	}
}
