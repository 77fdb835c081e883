package natbench

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"walrus/internal/pause"
)

// monitorTime bounds the wait until a monitor has attested a round: a blob is probed from a minute after its certificate
// on, and a round of seven members lasts 42 s.
const monitorTime = 5 * time.Minute

// monitor lets a home behind a cone store a blob and another one monitor the nodes: its round reaches all of them.
func (b *bench) monitor() [][]string {
	t := b.t
	in, home := filepath.Join(b.dir, "probed"), filepath.Join(b.dir, "monitor")
	if err := os.WriteFile(in, make([]byte, 1_000_000), 0o644); err != nil {
		t.Fatal(err)
	}
	var raw any
	if code, _, err := b.ask(b.home("owner", cone), transferTime, &raw, "store", in); err != nil || code != 0 {
		t.Errorf("store what is probed: exit code %d, %v", code, err)
		return nil
	}
	h := b.home("monitor", cone)
	begin := time.Now()
	p := h.start("monitor-run", b.walrus, "--config", b.clientOf(h), "--json", "monitor", "run", "--home", home)
	ctx, cancel := context.WithTimeout(t.Context(), monitorTime)
	defer cancel()
	var ready struct {
		PeerID string `json:"peerId"`
	}
	if _, _, err := p.await(ctx, 0, func(line string) bool { return json.Unmarshal([]byte(line), &ready) == nil && ready.PeerID != "" }); err != nil {
		t.Error(err)
		return nil
	}
	for {
		var s struct {
			Prober struct {
				Rounds    int            `json:"rounds"`
				Questions int            `json:"questions"`
				Void      bool           `json:"void"`
				Outcomes  map[string]int `json:"outcomes"`
			} `json:"prober"`
		}
		if _, _, err := b.ask(h, patience, &s, "monitor", "status", "--home", home); err != nil {
			t.Error(err)
			return nil
		}
		if well := s.Prober.Outcomes["ok"] + s.Prober.Outcomes["slow"]; s.Prober.Rounds > 0 && !s.Prober.Void && well == nodes {
			return [][]string{
				{"MONITOR", "TOOK"},
				{fmt.Sprintf("a home attests that %d nodes answer %d questions", well, s.Prober.Questions), fmt.Sprintf("%.0f s", time.Since(begin).Seconds())}, nil,
			}
		}
		if !pause.For(ctx, time.Second) {
			t.Errorf("after %s the monitor's rounds are %+v: want one in which %d nodes answered\n%s", monitorTime, s.Prober, nodes, p.tail())
			return nil
		}
	}
}
