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

// riskBar is a bar of the histogram, of which each has a width of 48 units.
type riskBar struct {
	X, Y, Height int
	Class        string
}

// Size of the histogram, in its own units.
const (
	riskHeight = 200
	riskWidth  = 48
)

// risk is the page of the blobs at risk.
func (s *site) risk(r *http.Request) (string, view, error) {
	b, err := s.cfg.Monitor.Risk(r.Context())
	if err != nil {
		return "", view{}, err
	}
	v := riskView{BlobRisks: b, Table: table{Name: "Blobs that can lose the fewest rows", ID: "risk-table",
		Cols: cols("Blob", "May lose#", "Rows that answered#", "Needed#", "Size#", "Sampled")}}
	for _, n := range b.Histogram {
		v.Most = max(v.Most, n)
	}
	var words []string
	for i, n := range b.Histogram {
		if n == 0 {
			continue
		}
		height := max(2, riskHeight*n/v.Most)
		bar := riskBar{X: i * riskWidth, Y: riskHeight - height, Height: height, Class: "good"}
		// A third of the rows rebuilds a blob.
		if i < 7 {
			bar.Class = "bad"
		} else if i < 14 {
			bar.Class = "warn"
		}
		v.Bars = append(v.Bars, bar)
		words = append(words, fmt.Sprintf("%s with %s of the rows", plural(n, "blob"), shareText(i)))
	}
	v.Label = "Sampled blobs by the share of rows that answered rightly: " + strings.Join(words, ", ")
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
	return "risk", view{Title: "Blobs at risk", JSON: "/v1/monitor/risk", Data: v}, nil
}

// shareText says what a step of the histogram counts.
func shareText(i int) string {
	if i >= 20 {
		return "all"
	}
	return fmt.Sprintf("%d to %d %%", 5*i, 5*i+5)
}
