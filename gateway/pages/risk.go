package pages

import (
	"fmt"
	"net/http"
	"strings"
)

type riskView struct {
	*BlobRisks
	Bars    []riskBar
	Most    int // in one bar
	Label   string
	Table   table
	Endured int // blobs with a margin of 0 or less
}

// riskBar is a bar of the histogram.
type riskBar struct {
	X, Y, Height int
	Class        string
}

// Size of the histogram, in its own units. Its first bar is of the lost blobs; those of the eleven others follow.
const (
	riskHeight = 200
	riskWidth  = 80 // of a bar
)

// risk is the page of the blobs at risk.
func (m monitoring) risk(r *http.Request) (string, view, error) {
	b, err := m.Risk(r.Context())
	if err != nil {
		return "", view{}, err
	}
	v := riskView{BlobRisks: b, Table: table{Name: "Blobs that can lose the fewest rows", ID: "risk-table",
		Cols: cols("Blob", "May lose#", "Rows that answered#", "Needed#", "Size#", "Sampled")}}
	all := append([]int{b.Lost}, b.Histogram...)
	for _, n := range all {
		v.Most = max(v.Most, n)
	}
	var words []string
	for i, n := range all {
		if n == 0 {
			continue
		}
		height := max(2, riskHeight*n/v.Most)
		bar := riskBar{X: i * riskWidth, Y: riskHeight - height, Height: height, Class: "good"}
		switch {
		case i <= 1:
			bar.Class = "bad"
		case i <= 4:
			bar.Class = "warn"
		}
		v.Bars = append(v.Bars, bar)
		words = append(words, plural(n, "blob")+" with "+shareText(i))
	}
	v.Label = "Sampled blobs by the rows that answered rightly: " + strings.Join(words, ", ")
	for i := range b.Nearest {
		n := &b.Nearest[i]
		margin := cell{Text: numberText(n.Margin), State: "good"}
		switch {
		case n.Margin <= 0:
			margin.State = "bad"
			v.Endured++
		case 4*n.Margin < n.Shards-n.Least:
			margin.State = "warn"
		}
		v.Table.Rows = append(v.Table.Rows, []cell{
			ident(n.Blob, "blobs"), margin, text(fmt.Sprintf("%d of %d", n.Rows, n.Shards)), number(n.Least), text(bytesText(n.Size)), when(n.At),
		})
	}
	return "risk", view{Title: "Blobs at risk", Tab: "risk", JSON: "/v1/monitor/risk", Data: v}, nil
}

// shareText says what a bar of the histogram counts.
func shareText(i int) string {
	switch i {
	case 0:
		return "fewer rows than needed"
	case 11:
		return "all rows"
	}
	return fmt.Sprintf("%d to %d %% of the rows beyond the needed ones", 10*(i-1), 10*i)
}
