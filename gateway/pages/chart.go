package pages

import (
	"fmt"
	"strings"
)

// Size of the drawn chart, in its own units.
const (
	chartWidth  = 960
	chartHeight = 200
)

// tableRows bounds the table beside the chart: the newest samples.
const tableRows = 12

// chart is throughput as lines, for browsers that draw nothing themselves.
type chart struct {
	Stored, Read string   // points of the lines
	Top          uint64   // bytes per second at the upper edge
	Rows         []Sample // the newest, first
	From, To     Sample
}

// drawChart is the zero chart for less than two samples.
func drawChart(list []Sample) chart {
	if len(list) < 2 {
		return chart{}
	}
	top := 1024.0
	for _, s := range list {
		top = max(top, s.Stored, s.Read)
	}
	c := chart{Top: uint64(top), From: list[0], To: list[len(list)-1]}
	line := func(value func(Sample) float64) string {
		var b strings.Builder
		for i, s := range list {
			fmt.Fprintf(&b, "%.1f,%.1f ", float64(i)*chartWidth/float64(len(list)-1), chartHeight*(1-value(s)/top))
		}
		return strings.TrimSpace(b.String())
	}
	c.Stored = line(func(s Sample) float64 { return s.Stored })
	c.Read = line(func(s Sample) float64 { return s.Read })
	for i := len(list) - 1; i >= 0 && len(c.Rows) < tableRows; i-- {
		c.Rows = append(c.Rows, list[i])
	}
	return c
}
