package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"walrus/internal/pause"
)

// TestGatewayMonitors: two gateways, one beside a node and one that listens to monitors by itself, show what the
// monitors of a devnet see: first no data, then that all is well; and no data again once all monitors have stopped.
func TestGatewayMonitors(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some rounds of five seconds")
	}
	t.Parallel()
	dir := t.TempDir()
	start := func(name string, args ...string) (*proc, string) {
		t.Helper()
		p, err := startProc(t.Context(), filepath.Join(dir, name+".log"), append(args, "--json")...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = p.kill() })
		line, err := p.ready()
		if err != nil {
			t.Fatal(err)
		}
		var ready struct{ Gateway, URL string }
		if err := json.Unmarshal([]byte(line), &ready); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		return p, ready.Gateway + ready.URL
	}
	net, beside := start("net", "devnet", "up", "--dir", filepath.Join(dir, "net"), "--nodes", "4", "--shards", "10", "--epoch", "12m",
		"--gateway", "127.0.0.1:0", "--metrics-address", "")
	config := filepath.Join(dir, "net", "client.yaml")
	_, alone := start("alone", "aggregator", "--config", config, "--bind", "127.0.0.1:0", "--metrics-address", "", "--monitors", filepath.Join(dir, "seen"))
	for _, url := range []string{beside, alone} {
		if page := fetch(t, url+"/explorer/monitors"); !strings.Contains(page, "No data.") {
			t.Errorf("%s does not say that there is no data:\n%s", url, page)
		}
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, make([]byte, 200_000), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "walrus", "store", file, "--config", config).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	await := func(url, level string) {
		t.Helper()
		for {
			var o struct{ Nodes []struct{ Level string } }
			if err := json.Unmarshal([]byte(fetch(t, url+"/v1/monitor")), &o); err != nil {
				t.Fatal(err)
			}
			reached := 0
			for i := range o.Nodes {
				if o.Nodes[i].Level == level {
					reached++
				}
			}
			if reached == 4 {
				return
			}
			if !pause.For(ctx, time.Second) {
				t.Fatalf("%s: %d of 4 nodes are %s: %+v", url, reached, level, o)
			}
		}
	}
	for _, url := range []string{beside, alone} {
		await(url, "good")
		for path, want := range map[string]string{
			"/explorer/monitors": "All is well.", "/explorer/monitors/node-1": "Good.", "/explorer/seen": "Each bar is one of 4 nodes",
			"/v1/monitor/badge/node-2.svg": "node-2: good 100.0", "/v1/monitor/matrix": `"seen":["`,
		} {
			if page := fetch(t, url+path); !strings.Contains(page, want) {
				t.Errorf("%s%s lacks %q:\n%s", url, path, want, page)
			}
		}
	}
	if page := fetch(t, alone+"/explorer/risk"); !strings.Contains(page, "takes no samples") {
		t.Errorf("a gateway alone claims to take samples:\n%s", page)
	}
	if err := net.stop(); err != nil {
		t.Fatal(err)
	}
	await(alone, "no data")
	if page := fetch(t, alone+"/explorer/monitors"); !strings.Contains(page, "No data.") || strings.Contains(page, "notice good") {
		t.Errorf("after all monitors have stopped:\n%s", page)
	}
}

// fetch gets a page that must be there.
func fetch(t *testing.T, url string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v: %s", url, res.Status, err, body)
	}
	return string(body)
}
