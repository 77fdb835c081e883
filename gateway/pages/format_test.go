package pages

import (
	"strings"
	"testing"
	"time"
)

func TestFormat(t *testing.T) {
	for _, tt := range []struct{ got, want string }{
		{bytesText(0), "0 bytes"}, {bytesText(1), "1 byte"}, {bytesText(1023), "1\u202f023 bytes"},
		{bytesText(1024), "1.00 KiB"},
		{bytesText(1<<20 - 1), "1.00 MiB"}, {bytesText(1500000), "1.43 MiB"}, {bytesText(123 << 30), "123 GiB"},
		{bytesText(1<<64 - 1), "16.0 EiB"},
		{sinceText(0), "0 s"}, {sinceText(-time.Hour), "0 s"}, {sinceText(59 * time.Second), "59 s"},
		{sinceText(61 * time.Second), "1 min 1 s"},
		{sinceText(24 * time.Hour), "1 d"}, {sinceText(50*time.Hour + time.Minute), "2 d 2 h"},
		{rangesText(nil), ""}, {rangesText([]int{4}), "4"}, {rangesText([]int{0, 1, 2, 5, 7, 8}), "0–2, 5, 7–8"},
		{percentText(1, 0), "0 %"}, {percentText(1, 1<<40), "< 0.01 %"}, {percentText(1, 3), "33.33 %"},
		{numberText(uint64(1234567)), "1\u202f234\u202f567"}, {plural(1, "node"), "1 node"}, {plural(0, "node"), "0 nodes"},
		{noun(uint64(1), "block"), "block"}, {noun(2, "block"), "blocks"},
		{shortText("12D3KooWabcdefghijklmnopqrstuvwxyz"), "12D3KooW…stuvwxyz"}, {shortText("node"), "node"},
	} {
		if tt.got != tt.want {
			t.Errorf("%q, want %q", tt.got, tt.want)
		}
	}
	e := Epoch{Number: 12, End: start, Duration: time.Hour}
	if got := e.At(13); !got.Equal(start) {
		t.Errorf("epoch 13 begins %v", got)
	}
	if got := e.At(11); !got.Equal(start.Add(-2 * time.Hour)) {
		t.Errorf("epoch 11 began %v", got)
	}
}

// TestChart checks that both axes have round numbers for all data.
func TestChart(t *testing.T) {
	if c := throughput(make([]Sample, 1)); c.X != nil || c.Lines != nil {
		t.Errorf("a chart of one sample: %+v", c)
	}
	at := time.Date(2026, 3, 14, 15, 0, 0, 0, time.UTC)
	c := throughput([]Sample{{Time: at, Read: 4096}, {Time: at.Add(90 * time.Second), Stored: 2048},
		{Time: at.Add(3 * time.Minute), Stored: 4096}})
	if c.Lines[0].Path != "M0.0 200.0L480.0 100.0L960.0 0.0" || c.Lines[1].Path != "M0.0 0.0L480.0 200.0L960.0 200.0" {
		t.Errorf("lines %+v", c.Lines)
	}
	if x, y := strings.Join(c.X, " "), strings.Join(c.Y, ", "); x != "15:00 15:01 15:02 15:03" ||
		y != "4 KiB/s, 3 KiB/s, 2 KiB/s, 1 KiB/s, 0 B/s" {
		t.Errorf("axes %s and %s", x, y)
	}
	for span, want := range map[time.Duration]string{
		5 * time.Second:            "14:00 14:01",
		time.Hour:                  "14:00 14:10 14:20 14:30 14:40 14:50 15:00",
		24 * time.Hour:             "12:00 18:00 00:00 06:00 12:00 18:00",
		100 * 365 * 24 * time.Hour: "30 May 13 Jan 29 Aug 14 Apr 29 Nov 15 Jul 29 Feb",
		30 * 24 * time.Hour:        "9 Mar 16 Mar 23 Mar 30 Mar 6 Apr 13 Apr 20 Apr",
	} {
		from := at.Add(-time.Hour)
		if got := strings.Join(drawChart("", "", []time.Time{from, from.Add(span)},
			series{Name: "x", Values: []float64{1, 2}}).X, " "); got != want {
			t.Errorf("%v: %s, want %s", span, got, want)
		}
	}
	for v, want := range map[float64]string{0: "256 B", 300: "512 B", 1025: "2 KiB", 3e6: "4 MiB", 700 << 20: "1 GiB",
		1 << 62: "4 EiB"} {
		if got := axisBytes(roundBytes(v)); got != want {
			t.Errorf("%.0f bytes are rounded to %s, want %s", v, got, want)
		}
	}
	if rows := samplesTable([]Sample{{Stored: 1}, {Stored: 2}}).Rows; len(rows) != 2 || rows[0][1].Text != "2 bytes" {
		t.Errorf("rows %+v, want the newest first", rows)
	}
}
