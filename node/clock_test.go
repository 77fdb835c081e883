package node

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// A clock that is wrong is logged with the offset, and one that is right again, too; the status has it.
func TestTellClock(t *testing.T) {
	var log bytes.Buffer
	n := &Node{log: slog.New(slog.NewTextHandler(&log, nil))}
	n.tellClock(-time.Minute, true)
	if got := time.Duration(n.clockAhead.Load()); got != -time.Minute {
		t.Errorf("ahead by %v", got)
	}
	n.tellClock(time.Second, false)
	for _, want := range []string{"level=WARN msg=\"this computer's clock is 60 s behind the network's: set it\"", "right again"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("log %q lacks %q", log.String(), want)
		}
	}
}
