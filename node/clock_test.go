package node

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// TestTellClock: a wrong clock is logged with its offset, a right one again, too; the status has the offset.
func TestTellClock(t *testing.T) {
	var log bytes.Buffer
	n := &Node{log: slog.New(slog.NewTextHandler(&log, nil))}
	n.tellClock(-time.Minute, true)
	if got := time.Duration(n.clockAhead.Load()); got != -time.Minute {
		t.Errorf("ahead by %v", got)
	}
	n.tellClock(time.Second, false)
	for _, want := range []string{"level=WARN msg=\"this computer's clock is 60 s behind the network's: set it\"",
		"right again"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("log %q lacks %q", log.String(), want)
		}
	}
}
