package pages

import (
	"fmt"
	"strings"
	"time"
)

// Size of the chart, in its own units.
const (
	chartWidth  = 960
	chartHeight = 200
)

// tableRows bounds the table beside a chart, which has the newest samples.
const tableRows = 12

// chart shows lines over time, with round numbers on both axes. It is drawn on the server, so it needs no script.
type chart struct {
	Label string // for readers who cannot see it
	Lines []chartLine
	Y     []string // labels at equal distances, from the top
	X     []string // labels at equal distances, from the left; UTC
}

// chartLine is one line, and its entry in the legend.
type chartLine struct {
	Name  string
	Class string // stored, read or third: selects color and dashes
	Path  string // an SVG path, with a gap where nothing is known
}

// series holds the values of a line; values below zero are gaps.
type series struct {
	Name   string
	Values []float64
}

// chartSteps lists the round steps of the time axis.
var chartSteps = []time.Duration{
	time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour,
	4 * time.Hour, 6 * time.Hour,
	12 * time.Hour, 24 * time.Hour, 48 * time.Hour, 120 * time.Hour, 168 * time.Hour,
}

// chartParts: the most steps of the time axis, and the number of steps of the other.
const (
	chartTimes  = 6
	chartLevels = 4
)

// drawChart draws series of bytes that share ascending times. unit is appended to the numbers of bytes. For fewer than
// two times it returns the zero chart.
func drawChart(label, unit string, times []time.Time, list ...series) chart {
	level := roundBytes(greatest(list) / chartLevels)
	return drawLines(label, times, level, func(v float64) string { return axisBytes(v) + unit }, list...)
}

// greatest returns the greatest value of all series, at least 0.
func greatest(list []series) (top float64) {
	for _, s := range list {
		for _, v := range s.Values {
			top = max(top, v)
		}
	}
	return top
}

// drawLines draws series that share ascending times. level is the distance of two of the chartLevels lines of the grid,
// of which axis makes a label. For fewer than two times it returns the zero chart.
func drawLines(label string, times []time.Time, level float64, axis func(float64) string, list ...series) chart {
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
	for last.Sub(first.Truncate(step)) > chartTimes*step { // longer than chartSteps covers: a node may make up times
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
	for i := range chartLevels + 1 {
		c.Y = append(c.Y, axis(level*float64(chartLevels-i)))
	}
	for i, s := range list {
		var b strings.Builder
		sign := byte('M')
		for j, v := range s.Values {
			if v < 0 {
				sign = 'M'
				continue
			}
			x := float64(times[j].Sub(from)) / float64(to.Sub(from))
			fmt.Fprintf(&b, "%c%.1f %.1f", sign, chartWidth*x, chartHeight*(1-v/(level*chartLevels)))
			if sign = 'L'; len(s.Values) > j+1 && s.Values[j+1] < 0 {
				b.WriteString("h.1") // a point alone is visible, too
			}
		}
		c.Lines = append(c.Lines, chartLine{s.Name, []string{"stored", "read", "third"}[i%3], b.String()})
	}
	return c
}

// axisTime formats a time for the axis: the day for long steps, else hour and minute.
func axisTime(t time.Time, step time.Duration) string {
	if step >= 24*time.Hour {
		return t.UTC().Format("2 Jan")
	}
	return t.UTC().Format("15:04")
}

// roundBytes returns the least power of two that is at least v and 256: multiples of a quarter of it need at most three
// digits in any unit of bytes.
func roundBytes(v float64) float64 {
	n := 256.0
	for n < v {
		n *= 2
	}
	return n
}

// axisBytes formats a round number of bytes without needless digits.
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

// throughput charts the traffic of this gateway.
func throughput(list []Sample) chart {
	times := make([]time.Time, len(list))
	stored, read := series{Name: "stored"}, series{Name: "read"}
	for i, s := range list {
		times[i] = s.Time
		stored.Values, read.Values = append(stored.Values, s.Stored), append(read.Values, s.Read)
	}
	return drawChart("Bytes stored and read per second by this gateway; the table below has the figures", "/s",
		times, stored, read)
}

// samplesTable lists the newest samples, the newest first.
func samplesTable(list []Sample) table {
	t := table{Name: "Throughput, newest first", Cols: cols("Time", "Stored per second#", "Read per second#",
		"Blobs#", "Ledger height#")}
	for i := len(list) - 1; i >= 0 && len(t.Rows) < tableRows; i-- {
		s := list[i]
		t.Rows = append(t.Rows, []cell{when(s.Time), text(bytesText(s.StoredWhole())), text(bytesText(s.ReadWhole())),
			number(s.Blobs), number(s.Height)})
	}
	return t
}
