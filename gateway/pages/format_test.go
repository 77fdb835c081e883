package pages

import (
	"testing"
	"time"
)

func TestFormat(t *testing.T) {
	for _, tt := range []struct{ got, want string }{
		{bytesText(0), "0 bytes"}, {bytesText(1), "1 byte"}, {bytesText(1023), "1\u202f023 bytes"}, {bytesText(1024), "1.00 KiB"},
		{bytesText(1<<20 - 1), "1.00 MiB"}, {bytesText(1500000), "1.43 MiB"}, {bytesText(123 << 30), "123 GiB"}, {bytesText(1<<64 - 1), "16.0 EiB"},
		{sinceText(0), "0 s"}, {sinceText(-time.Hour), "0 s"}, {sinceText(59 * time.Second), "59 s"}, {sinceText(61 * time.Second), "1 min 1 s"},
		{sinceText(24 * time.Hour), "1 d"}, {sinceText(50*time.Hour + time.Minute), "2 d 2 h"},
		{rangesText(nil), ""}, {rangesText([]int{4}), "4"}, {rangesText([]int{0, 1, 2, 5, 7, 8}), "0–2, 5, 7–8"},
		{percentText(1, 0), "0 %"}, {percentText(1, 1<<40), "< 0.01 %"}, {percentText(1, 3), "33.33 %"},
		{numberText(uint64(1234567)), "1\u202f234\u202f567"}, {plural(1, "node"), "1 node"}, {plural(0, "node"), "0 nodes"},
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

func TestChart(t *testing.T) {
	if c := drawChart(make([]Sample, 1)); c.Stored != "" || c.Rows != nil {
		t.Errorf("a chart of one sample: %+v", c)
	}
	c := drawChart([]Sample{{Stored: 0, Read: 4096}, {Stored: 2048}, {Stored: 4096}})
	if c.Stored != "0.0,200.0 480.0,100.0 960.0,0.0" || c.Read != "0.0,0.0 480.0,200.0 960.0,200.0" || c.Top != 4096 {
		t.Errorf("%+v", c)
	}
	if len(c.Rows) != 3 || c.Rows[0].Stored != 4096 {
		t.Errorf("rows %+v, want the newest first", c.Rows)
	}
}
