package main

import (
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	remote "github.com/ipfs/boxo/pinning/remote/client"

	"walrus/config"
	"walrus/pin"
	"walrus/pinapi"
)

// TestNodePins: a storage node keeps pins beside its slivers, under its own peer ID and after a restart. While all
// others are down, it gives the whole blob.
func TestNodePins(t *testing.T) {
	if testing.Short() {
		t.Skip("starts four processes")
	}
	t.Parallel() // mostly waits for processes
	seed, rnd := seeded(t)
	t.Logf("seed %d", seed)
	c := newCluster(t, config.DevnetOptions{Nodes: 4, Shards: 10})
	c.awaitHealth()
	b, _ := c.newBlob(rnd, 300_000, exitDone)
	api, metrics := freeAddr(t), freeAddr(t)
	file := filepath.Join(c.net.Homes[0], config.NodeFile)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text = regexp.MustCompile(`(?m)^metrics: .*$`).ReplaceAll(text, []byte("metrics: "+metrics))
	before, section, found := strings.Cut(string(text), "\npins:\n")
	if !found {
		t.Fatalf("%s has no pins", file)
	}
	section = strings.Replace(section, "enabled: false", "enabled: true", 1)
	section = strings.Replace(section, `limit: ""`, "limit: 64MiB", 1)
	section = strings.Replace(section, `pinningApi: ""`, "pinningApi: "+api, 1)
	if err := os.WriteFile(file, []byte(before+"\npins:\n"+section), 0o600); err != nil {
		t.Fatal(err)
	}
	c.stop(0)
	c.start(0)
	p := &pinner{c: c, home: c.net.Homes[0]}
	var list []pinapi.Pin
	if p.run(exitDone, &list, "add", b.id, "--wait"); len(list) != 1 || list[0].Status != pin.Pinned {
		t.Fatalf("added: %+v", list)
	}
	poll := time.NewTicker(100 * time.Millisecond)
	defer poll.Stop()
	for start := time.Now(); ; <-poll.C {
		var page pinapi.List
		if p.run(exitDone, &page, "ls"); page.Total == 1 && !page.Pins[0].Announced.IsZero() {
			break
		}
		if time.Since(start) > time.Minute {
			t.Fatalf("not announced: %+v", page)
		}
	}
	var token struct{ Token string }
	p.run(exitDone, &token, "token", "add", "test")
	pins, err := remote.NewClient("http://"+api, token.Token).LsSync(t.Context())
	if err != nil || len(pins) != 1 || pins[0].GetInfo()["blob_id"] != b.id {
		t.Errorf("the pinning API beside the node: %v, %v", pins, err)
	}
	if text := get(t, "http://"+metrics+"/metrics"); !strings.Contains(text, `walrus_pin_blobs{status="pinned"} 1`) || !strings.Contains(text, "go_goroutines") {
		t.Errorf("the metrics of the node: %.2000s", text)
	}
	for i := 1; i < 4; i++ {
		c.kill(i)
	}
	var read struct{ Pinned int64 }
	if c.parse(c.read(b), &read); read.Pinned < 300_000/4 { // the node itself may have some of the four rows
		t.Errorf("one node of four is up, and its pin gave %d bytes of the blob", read.Pinned)
	}
	c.stop(0)
	c.start(0)
	conf, err := config.LoadNode(p.home)
	if err != nil {
		t.Fatal(err)
	}
	id, err := conf.PeerID()
	if err != nil {
		t.Fatal(err)
	}
	var s pinapi.Status
	if p.run(exitDone, &s, "status"); !s.Running || s.Pinned != 1 || s.Limit != 64<<20 || s.PeerID != id.String() {
		t.Errorf("after a restart: %+v, want the peer %s", s, id)
	}
	c.stop(0)
}

// freeAddr returns an address of this machine that was free just now.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return l.Addr().String()
}

// get returns the body of a page.
func get(t *testing.T, url string) string {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := res.Body.Close(); err != nil {
		t.Fatal(err)
	}
	return string(b)
}
