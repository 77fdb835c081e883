package pages

import (
	"fmt"
	"strings"
	"time"
)

// Size of the drawn chart, in its own units.
const (
	chartWidth  = 960
	chartHeight = 200
)

// tableRows bounds the table beside a chart: the newest samples.
const tableRows = 12

// chart is up to two lines over time with round numbers at both axes, drawn here: so it needs no script.
type chart struct {
	Label string // for those who do not see it
	Lines []chartLine
	Y     []string // at even distances, from the top
	X     []string // at even distances, from the left; UTC
}

// chartLine is one line, and its entry in the legend.
type chartLine struct {
	Name   string
	Class  string // stored or read: color and dashes
	Points string
}

// series is what a line is drawn from; values below zero are gaps.
type series struct {
	Name   string
	Values []float64
}

// chartSteps are the round distances of times on the axis.
var chartSteps = []time.Duration{
	time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 4 * time.Hour, 6 * time.Hour,
	12 * time.Hour, 24 * time.Hour, 48 * time.Hour, 120 * time.Hour, 168 * time.Hour,
}

// chartParts is how many steps the time axis has at most, and the other has.
const (
	chartTimes  = 6
	chartLevels = 4
)

// drawChart draws series that share their times, ascending; unit follows the numbers of bytes. It is the zero chart for
// less than two times.
func drawChart(label, unit string, times []time.Time, list ...series) chart {
	if len(times) < 2 {
		return chart{}
	}
	first, last := times[0], times[len(times)-1]
	step := chartSteps[len(chartSteps)-1]
	for _, s := range chartSteps {
		if n := last.Sub(first.Truncate(s)); n <= chartTimes*s {
			step = s
			break
		}
	}
	for last.Sub(first.Truncate(step)) > chartTimes*step { // more than chartSteps are for, such as what a node makes up
		step *= 2
	}
	from := first.Truncate(step)
	to := from.Add(step)
	c := chart{Label: label, X: []string{axisTime(from, step)}}
	for ; ; to = to.Add(step) {
		if c.X = append(c.X, axisTime(to, step)); !to.Before(last) {
			break
		}
	}
	top := 0.0
	for _, s := range list {
		for _, v := range s.Values {
			top = max(top, v)
		}
	}
	level := roundBytes(top / chartLevels)
	for i := range chartLevels + 1 {
		c.Y = append(c.Y, axisBytes(level*float64(chartLevels-i))+unit)
	}
	for i, s := range list {
		var b strings.Builder
		for j, v := range s.Values {
			if v < 0 {
				continue
			}
			x := float64(times[j].Sub(from)) / float64(to.Sub(from))
			fmt.Fprintf(&b, "%.1f,%.1f ", chartWidth*x, chartHeight*(1-v/(level*chartLevels)))
		}
		c.Lines = append(c.Lines, chartLine{s.Name, []string{"stored", "read"}[i%2], strings.TrimSpace(b.String())})
	}
	return c
}

// axisTime is short: the day for long steps, else the hour and minute.
func axisTime(t time.Time, step time.Duration) string {
	if step >= 24*time.Hour {
		return t.UTC().Format("2 Jan")
	}
	return t.UTC().Format("15:04")
}

// roundBytes is the least power of two not below v, at least 256: four steps of it have no more than two digits and a half in
// any unit of bytes.
func roundBytes(v float64) float64 {
	n := 256.0
	for n < v {
		n *= 2
	}
	return n
}

// axisBytes has no more digits than round numbers need.
func axisBytes(v float64) string {
	unit := -1
	for v >= 1024 && unit < 5 {
		v, unit = v/1024, unit+1
	}
	name := "B"
	if unit >= 0 {
		name = "KMGTPE"[unit:unit+1] + "iB"
	}
	return fmt.Sprintf("%.3g %s", v, name)
}

// throughput is the chart of what went through this gateway.
func throughput(list []Sample) chart {
	times := make([]time.Time, len(list))
	stored, read := series{Name: "stored"}, series{Name: "read"}
	for i, s := range list {
		times[i] = s.Time
		stored.Values, read.Values = append(stored.Values, s.Stored), append(read.Values, s.Read)
	}
	return drawChart("Bytes stored and read per second by this gateway; the table below has the numbers", "/s", times, stored, read)
}

// samplesTable has the newest samples, the newest first.
func samplesTable(list []Sample) table {
	t := table{Name: "Throughput, newest first", Cols: cols("Time", "Stored per second#", "Read per second#", "Blobs#", "Ledger height#")}
	for i := len(list) - 1; i >= 0 && len(t.Rows) < tableRows; i-- {
		s := list[i]
		t.Rows = append(t.Rows, []cell{when(s.Time), text(bytesText(s.StoredWhole())), text(bytesText(s.ReadWhole())), number(s.Blobs), number(s.Height)})
	}
	return t
}
