package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/alert"
	"walrus/certs"
	"walrus/config"
	"walrus/p2p"
	"walrus/probe"
	"walrus/shards"
	"walrus/store"
)

// alertLimit bounds the wait for an alert. A minute is promised, and it takes seconds; a test machine may be very busy.
const alertLimit = 4 * time.Minute

// hookSecret stands in the address of the webhook, and must be nowhere else.
const hookSecret = "t0k3n-in-the-address"

// TestAlerts damages the stores of two of seven processes behind their backs: the files of one are overwritten while it
// runs, and of the other slivers are deleted while it does not. Both tell their operators within a minute, by webhook,
// command and log; the first with the evidence of a monitor, which a stranger can verify. What an alert names is true.
// Both repair themselves and say so. No log and no alert shows the address of the webhook, or a path.
func TestAlerts(t *testing.T) {
	if testing.Short() {
		t.Skip("starts seven processes")
	}
	t.Parallel() // mostly waits for processes
	seed, rnd := seeded(t)
	t.Logf("seed %d", seed)
	c := newCluster(t, config.DevnetOptions{Nodes: 7, Shards: 28, Epoch: 12 * time.Minute}) // rounds of 5 s
	c.awaitHealth()
	hook := newHook(t)
	for i := range c.node {
		c.stop(i)
		c.editNode(i, "monitor:\n  enabled: false", "monitor:\n  enabled: true")
	}
	const lossy, torn = 2, 5
	told := map[int]string{}
	for _, i := range []int{lossy, torn} {
		told[i] = filepath.Join(c.dir, "told-"+c.name(i))
		c.editNode(i, `webhook: ""`, `webhook: "`+hook.URL+"/"+hookSecret+"/"+c.name(i)+`"`)
		c.editNode(i, "  command: []", "  command: [tee, -a, "+told[i]+"]")
	}
	c.start(0, 1, 2, 3, 4, 5, 6)
	c.awaitHealth()
	b, _ := c.newBlob(rnd, 3_000_000, exitDone)
	c.awaitHealth()
	id, err := shards.ParseBlobID(b.id)
	if err != nil {
		t.Fatal(err)
	}

	c.awaitProbes(0)
	start := time.Now()
	tear(t, filepath.Join(c.net.Homes[torn], "store"))
	c.wantAlert(hook, torn, id, nil, start)
	c.stop(lossy)
	lost := c.deleteSlivers(lossy, id)
	c.start(lossy)
	c.wantAlert(hook, lossy, id, lost, time.Now())
	for _, i := range []int{lossy, torn} {
		raw, err := os.ReadFile(told[i])
		var first alert.Alert
		if err != nil || json.NewDecoder(strings.NewReader(string(raw))).Decode(&first) != nil || first.State != alert.Firing {
			t.Errorf("the command of node %d got %q, %v", i, raw, err)
		}
	}
	c.awaitHealth()
	c.read(b)
	for _, i := range []int{lossy, torn} {
		if a := hook.next(t, c.name(i), alertLimit); a.State != alert.Recovered || a.Cause != alert.Missing {
			t.Errorf("the end of the trouble of node %d: %+v", i, a)
		}
	}
	for i := range c.node {
		raw, err := os.ReadFile(c.log(i))
		if err != nil || strings.Contains(string(raw), hookSecret) {
			t.Errorf("the log of node %d shows the address of the webhook, or cannot be read: %v", i, err)
		}
	}
	for _, text := range hook.all() {
		if strings.Contains(text, c.dir) || strings.Contains(text, hookSecret) {
			t.Errorf("an alert shows a path or a secret: %s", text)
		}
	}
}

// awaitProbes waits until the monitor beside node i has asked questions: it asks for no blob that is younger than a
// minute.
func (c *cluster) awaitProbes(i int) {
	c.t.Helper()
	poll := time.NewTicker(time.Second)
	defer poll.Stop()
	for start := time.Now(); ; <-poll.C {
		var s struct {
			Prober struct{ Questions, Rounds int }
		}
		c.parse(c.walrus(exitDone, "monitor", "status", "--json", "--home", c.net.Homes[i]), &s)
		if s.Prober.Questions > 0 && s.Prober.Rounds > 0 {
			c.t.Logf("probed %v after the store", time.Since(start).Round(time.Second))
			return
		}
		if time.Since(start) > 5*time.Minute {
			c.t.Fatalf("node %d probes nothing: %+v", i, s)
		}
	}
}

// name of node i.
func (c *cluster) name(i int) string { return filepath.Base(c.net.Homes[i]) }

// editNode replaces a text in the configuration of a node.
func (c *cluster) editNode(i int, from, to string) {
	c.t.Helper()
	file := filepath.Join(c.net.Homes[i], config.NodeFile)
	text, err := os.ReadFile(file)
	if err != nil || strings.Count(string(text), from) < 1 {
		c.t.Fatalf("%s has no %q: %v", file, from, err)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(string(text), from, to, 1)), 0o600); err != nil {
		c.t.Fatal(err)
	}
}

// sliverKey names a sliver as an alert does.
type sliverKey struct {
	axis  string
	index int
}

// tear overwrites a part of each kilobyte of the slivers' bytes in the store of a running node. The metadata, in the
// first kilobytes of a file, stays: a node without it signs nothing, and fetches it first.
func tear(t *testing.T, dir string) {
	t.Helper()
	torn := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || filepath.Ext(path) != ".vlog" {
			return err
		}
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			return err
		}
		info, err := f.Stat()
		content := make([]byte, min(info.Size(), 16<<20))
		if err == nil {
			_, err = io.ReadFull(f, content)
		}
		for at := 4096; err == nil && at+64 <= len(content); at += 1024 {
			if part := content[at:][:64]; !slices.Equal(part, make([]byte, 64)) { // not the empty end
				_, err = f.WriteAt(make([]byte, 64), int64(at))
				torn++
			}
		}
		return errors.Join(err, f.Close())
	})
	if err != nil || torn < 100 {
		t.Fatalf("%d places overwritten: %v", torn, err)
	}
}

// deleteSlivers deletes all slivers of a blob in the store of a stopped node, and makes the store's count of its
// records right again, so that the node believes that it has everything.
func (c *cluster) deleteSlivers(i int, id shards.BlobID) map[sliverKey]bool {
	c.t.Helper()
	s, err := store.Open(store.Default(filepath.Join(c.net.Homes[i], "store")))
	if err != nil {
		c.t.Fatal(err)
	}
	params, err := shards.NewParams(c.net.Shards)
	if err != nil {
		c.t.Fatal(err)
	}
	keys := map[sliverKey]bool{}
	for shard := range c.net.Shards {
		for _, axis := range []shards.Axis{shards.Primary, shards.Secondary} {
			ref := store.Ref{Blob: id, Shard: shard, Axis: axis}
			if ok, err := s.HasSliver(ref); err != nil || !ok {
				continue
			}
			if err := s.DeleteSliver(ref); err != nil {
				c.t.Fatal(err)
			}
			keys[sliverKey{axis.String(), params.SliverOfPair(axis, params.PairOnShard(id, shard))}] = true
		}
	}
	if len(keys) == 0 {
		c.t.Fatalf("node %d has no slivers of %s", i, id)
	}
	st, err := s.Stats()
	if err != nil {
		c.t.Fatal(err)
	}
	var counts []byte
	for _, n := range []int64{st.Blobs, st.Certificates, st.Slivers} {
		counts = binary.BigEndian.AppendUint64(counts, uint64(n))
	}
	if err := errors.Join(s.PutState("counts", counts), s.Sync(), s.Close()); err != nil {
		c.t.Fatal(err)
	}
	return keys
}

// wantAlert waits for the alert of a node and checks that it is true. damaged has the slivers that are; with nil, all
// of the node are, and a monitor's evidence must come with the alert and convict the node.
func (c *cluster) wantAlert(h *hook, i int, id shards.BlobID, damaged map[sliverKey]bool, start time.Time) {
	c.t.Helper()
	a := h.next(c.t, c.name(i), alertLimit)
	c.t.Logf("node %d was told after %v: %s", i, time.Since(start).Round(time.Millisecond), a.Text)
	conf, err := config.LoadNode(c.net.Homes[i])
	if err != nil {
		c.t.Fatal(err)
	}
	self, err := conf.PeerID()
	if err != nil {
		c.t.Fatal(err)
	}
	switch {
	case time.Since(start) > alertLimit:
		c.t.Errorf("it took %v", time.Since(start))
	case a.State != alert.Firing, a.Cause != alert.Missing, a.BlobID != id.String(), a.Node.ID != self.String(), a.Sliver == nil:
		c.t.Errorf("%+v", a)
	case damaged != nil:
		if !damaged[sliverKey{a.Axis, *a.Sliver}] {
			c.t.Errorf("%s sliver %d was not damaged", a.Axis, *a.Sliver)
		}
	case a.Row == nil || a.Column == nil || *a.Sliver != map[string]int{"primary": *a.Row, "secondary": *a.Column}[a.Axis]:
		c.t.Errorf("no cell of the sliver: %+v", a.Place)
	case !slices.ContainsFunc(c.net.Addresses, func(s string) bool { return strings.HasSuffix(s, "/"+a.Monitor) }) || a.Monitor == self.String():
		c.t.Errorf("monitor %q is no other node", a.Monitor)
	case a.Evidence == "":
		c.t.Error("no evidence")
	default:
		r := c.walrus(exitDone, "monitor", "verify", "--json", filepath.Join(c.net.Homes[i], alert.EvidenceFolder, a.Evidence))
		var v verdictReport
		if c.parse(r, &v); !v.Convicts || v.Node != self.String() || *v.Blob != id || *v.Sliver != *a.Sliver || v.Axis != a.Axis {
			c.t.Errorf("the evidence: %+v", v)
		}
	}
	r := c.walrus(exitDone, "node", "alerts", "--json", "--home", c.net.Homes[i])
	var list alertsReport
	if c.parse(r, &list); !slices.ContainsFunc(list.Alerts, func(b alert.Alert) bool { return b.ID == a.ID }) {
		c.t.Errorf("node alerts: %s", r.stdout)
	}
}

// hook is a webhook of several nodes, told apart by the last part of the path.
type hook struct {
	*httptest.Server
	alerts map[string]chan alert.Alert
	texts  chan string
}

func newHook(t *testing.T) *hook {
	h := &hook{alerts: map[string]chan alert.Alert{}, texts: make(chan string, 100)}
	for i := range 8 {
		h.alerts[fmt.Sprint("node-", i)] = make(chan alert.Alert, 100)
	}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var a alert.Alert
		if err = errors.Join(err, json.Unmarshal(body, &a)); err != nil {
			t.Error(err)
		}
		h.texts <- string(body)
		h.alerts[filepath.Base(r.URL.Path)] <- a
	}))
	t.Cleanup(h.Close)
	return h
}

// next returns the next alert of a node.
func (h *hook) next(t *testing.T, name string, limit time.Duration) alert.Alert {
	t.Helper()
	select {
	case a := <-h.alerts[name]:
		return a
	case <-time.After(limit):
		t.Fatalf("no alert of %s within %v", name, limit)
	}
	return alert.Alert{}
}

// all returns the bodies of all alerts up to now.
func (h *hook) all() (list []string) {
	for len(h.texts) > 0 {
		list = append(list, <-h.texts)
	}
	return list
}

// TestTestAlert tries the ways of a node: what works, what fails, and what it does not show.
func TestTestAlert(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	t.Parallel()
	net, err := config.InitDevnet(t.Context(), filepath.Join(t.TempDir(), "net"), config.DevnetOptions{Nodes: 4, Shards: 10})
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{t: t, dir: t.TempDir(), net: net}
	home := net.Homes[0]
	if r := c.walrus(exitDone, "node", "test-alert", "--home", home); !strings.Contains(r.stdout, "no way is configured") {
		t.Errorf("%+v", r)
	}
	hook := newHook(t)
	c.editNode(0, `webhook: ""`, `webhook: "`+hook.URL+"/"+hookSecret+`/node-0"`)
	c.editNode(0, "  command: []", "  command: ["+hookSecret+"]")
	var report testAlertReport
	r := c.walrus(exitFailed, "node", "test-alert", "--json", "--home", home)
	if c.parse(r, &report); report.OK || len(report.Ways) != 2 || !report.Ways[0].OK || report.Ways[1].OK || report.Ways[1].Error == "" {
		t.Errorf("%s", r.stdout)
	}
	if a := hook.next(t, "node-0", time.Second); a.State != alert.Testing || a.Network == "" {
		t.Errorf("%+v", a)
	}
	hook.Close()
	r = c.walrus(exitFailed, "node", "test-alert", "--home", home)
	if !strings.Contains(r.stdout, "refuses connections") || !strings.Contains(r.stderr, "2 of 2 failed") {
		t.Errorf("%+v", r)
	}
	if strings.Contains(r.stdout+r.stderr, hookSecret) {
		t.Errorf("it shows the address: %+v", r)
	}
}

// TestLiarIsConvicted puts a host that answers with wrong bytes into the place of a member, with its key. Real monitors
// ask it and convict it by its own signature, which a stranger can verify. When the node is back, it is told, and tells
// its operator: the bytes were wrong, and those on its disk are right.
func TestLiarIsConvicted(t *testing.T) {
	if testing.Short() {
		t.Skip("starts four processes")
	}
	t.Parallel() // mostly waits for processes
	seed, rnd := seeded(t)
	t.Logf("seed %d", seed)
	c := newCluster(t, config.DevnetOptions{Nodes: 4, Shards: 10, Epoch: 12 * time.Minute})
	c.awaitHealth()
	hook := newHook(t)
	const lying = 3
	for i := range c.node {
		c.stop(i)
		c.editNode(i, "monitor:\n  enabled: false", "monitor:\n  enabled: true")
	}
	c.editNode(lying, `webhook: ""`, `webhook: "`+hook.URL+"/"+c.name(lying)+`"`)
	c.start(0, 1, 2, 3)
	c.awaitHealth()
	b, _ := c.newBlob(rnd, 100_000, exitDone)
	c.awaitProbes(0)
	c.stop(lying)
	evidence := c.lie(lying)
	file := filepath.Join(t.TempDir(), "evidence")
	if err := os.WriteFile(file, evidence, 0o600); err != nil {
		t.Fatal(err)
	}
	var v verdictReport
	if c.parse(c.walrus(exitDone, "monitor", "verify", "--json", file), &v); !v.Convicts || v.Verdict != probe.KindWrong || v.Blob.String() != b.id {
		t.Fatalf("verdict %+v", v)
	}
	c.start(lying)
	c.putFault(lying, evidence)
	a := hook.next(t, c.name(lying), alertLimit)
	t.Log(a.Text)
	if a.Cause != alert.Wrong || a.BlobID != b.id || *a.Sliver != *v.Sliver || a.Axis != v.Axis || a.Evidence == "" ||
		!strings.Contains(a.Text, "what is stored of it now is right") {
		t.Errorf("%+v", a)
	}
	c.walrus(exitDone, "monitor", "verify", filepath.Join(c.net.Homes[lying], alert.EvidenceFolder, a.Evidence))
	evidence[len(evidence)-1] ^= 1 // not what was signed
	if c.tryFault(lying, evidence) == nil {
		t.Error("a node takes evidence that was changed")
	}
}

// hostOf opens a host with a key, the node's address if it is to take its place.
func (c *cluster) hostOf(key ed25519.PrivateKey, listen []string) *p2p.Host {
	c.t.Helper()
	genesis, err := config.LoadGenesis(filepath.Join(c.net.Dir, "genesis.yaml"))
	if err != nil {
		c.t.Fatal(err)
	}
	cfg := p2p.Config{Network: genesis.Network, Key: key, Listen: listen, Logger: slog.New(slog.DiscardHandler)}
	if len(listen) > 0 {
		cfg.Role = p2p.StorageNode
	}
	h, err := p2p.New(cfg)
	if err != nil {
		c.t.Fatal(err)
	}
	return h
}

// lie takes the place of a stopped node until monitors have handed over evidence of wrong bytes, and returns it.
func (c *cluster) lie(i int) []byte {
	c.t.Helper()
	conf, err := config.LoadNode(c.net.Homes[i])
	if err != nil {
		c.t.Fatal(err)
	}
	keys, err := config.LoadKeys(conf.Home)
	if err != nil {
		c.t.Fatal(err)
	}
	h := c.hostOf(keys.P2P, conf.Listen)
	defer func() { _ = h.Close() }()
	faults := make(accused, 16)
	genesis, err := config.LoadGenesis(conf.Genesis)
	if err != nil {
		c.t.Fatal(err)
	}
	var other nodeStatusReport
	c.parse(c.walrus(exitDone, "node", "status", "--json", "--home", c.net.Homes[(i+1)%len(c.node)]), &other)
	liar := lyingNode{network: genesis.NetworkID(), shards: c.net.Shards, height: other.LedgerHeight + probe.Window/2}
	if err := errors.Join(h.Serve(c.t.Context(), liar), p2p.RoundsOf(h).Serve(c.t.Context(), faults)); err != nil {
		c.t.Fatal(err)
	}
	for j, addr := range c.net.Addresses { // they know where this node is, and dial it when they hear of it
		if info, err := peer.AddrInfoFromString(addr); err == nil && j != i {
			_ = h.Connect(c.t.Context(), *info)
		}
	}
	start := time.Now()
	select {
	case e := <-faults:
		c.t.Logf("convicted after %v", time.Since(start).Round(time.Millisecond))
		return e
	case <-time.After(alertLimit):
		c.t.Fatal("no monitor has convicted the liar")
	}
	return nil
}

// lyingNode answers every question for symbols and proofs with ones.
type lyingNode struct {
	p2p.Backend // nil: other requests fail
	network     certs.NetworkID
	shards      int
	height      uint64
}

func (l lyingNode) Stamp() (certs.NetworkID, int, uint64) { return l.network, l.shards, l.height }

func (lyingNode) Symbols(_ context.Context, r p2p.SymbolRequest, w io.Writer) error {
	_, err := w.Write(bytes.Repeat([]byte{1}, len(r.Slivers)*len(r.Targets)*(int(r.Length)+r.ProofLen*32)))
	return err
}

// accused takes evidence against its host.
type accused chan []byte

func (a accused) PutFault(_ context.Context, _ peer.ID, evidence []byte) error {
	select {
	case a <- bytes.Clone(evidence):
	default:
	}
	return nil
}

func (accused) Receipts(context.Context, peer.ID, uint64, peer.ID) ([]byte, error) {
	return nil, p2p.ErrNotFound
}

func (accused) Scores(context.Context) (p2p.Scores, error) { return p2p.Scores{}, p2p.ErrUnavailable }

func (accused) Relay(context.Context, peer.ID, uint64, peer.ID) error { return p2p.ErrNotOwner }

// putFault hands evidence to a node, as a stranger.
func (c *cluster) putFault(i int, evidence []byte) {
	c.t.Helper()
	if err := c.tryFault(i, evidence); err != nil {
		c.t.Fatal(err)
	}
}

func (c *cluster) tryFault(i int, evidence []byte) error {
	c.t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		c.t.Fatal(err)
	}
	h := c.hostOf(key, nil)
	defer func() { _ = h.Close() }()
	info, err := peer.AddrInfoFromString(c.net.Addresses[i])
	if err != nil {
		c.t.Fatal(err)
	}
	if err := h.Connect(c.t.Context(), *info); err != nil {
		c.t.Fatal(err)
	}
	return p2p.RoundsOf(h).PutFault(c.t.Context(), info.ID, evidence)
}
