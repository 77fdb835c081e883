package natbench

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"walrus/internal/pause"
)

// monitorTime bounds the time until a monitor has attested: a blob is asked for a minute after it was seen first.
const monitorTime = 4 * time.Minute

// monitorStatus has the fields of walrus monitor status that are looked at.
type monitorStatus struct {
	Prober struct {
		Rounds   int            `json:"rounds"`
		Void     bool           `json:"void"`
		Outcomes map[string]int `json:"outcomes"`
		Trouble  string         `json:"trouble"`
	} `json:"prober"`
}

// monitors lets monitors at home, behind a cone and behind a symmetric router, probe all storage nodes.
func (b *bench) monitors() [][]string {
	t := b.t
	in := filepath.Join(b.dir, "probed")
	if err := os.WriteFile(in, []byte(strings.Repeat("walrus", 50_000)), 0o644); err != nil {
		t.Fatal(err)
	}
	var stored any
	if code, _, err := b.ask(b.home("prober", cone), transferTime, &stored, "store", in); err != nil || code != 0 {
		t.Errorf("store: exit code %d, %v", code, err)
		return nil
	}
	homes := []*host{b.home("monitor-cone", cone), b.home("monitor-sym", symmetric)}
	var running []*process
	for _, h := range homes {
		running = append(running, h.start(h.name+"-run", b.walrus, "--config", b.clientOf(h), "monitor", "run", "--home", filepath.Join(b.dir, h.name)))
	}
	ctx, cancel := context.WithTimeout(t.Context(), monitorTime)
	defer cancel()
	table := [][]string{{"MONITOR AT HOME", "ATTESTED", "OF ITS NODES"}}
	for i, h := range homes {
		if _, _, err := running[i].await(ctx, 0, func(line string) bool { return strings.HasPrefix(line, "ready") }); err != nil {
			t.Error(err)
			continue
		}
		var s monitorStatus
		for s.Prober.Rounds == 0 {
			code, _, err := b.ask(h, patience, &s, "monitor", "status", "--home", filepath.Join(b.dir, h.name))
			if err != nil || code != 0 || !pause.For(ctx, time.Second) {
				t.Errorf("%s attests nothing: exit code %d, %v, %+v\n%s", h.name, code, err, s, running[i].tail())
				break
			}
		}
		asked := 0
		for _, n := range s.Prober.Outcomes {
			asked += n
		}
		good := s.Prober.Outcomes["ok"] + s.Prober.Outcomes["slow"]
		if s.Prober.Void || good == 0 || good < asked {
			t.Errorf("%s reached %d of %d nodes: %+v", h.name, good, asked, s.Prober)
		}
		table = append(table, []string{h.name, fmt.Sprintf("%d rounds", s.Prober.Rounds), fmt.Sprintf("%d of %d answered rightly", good, asked)})
	}
	return append(table, nil)
}
