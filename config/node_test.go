package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func someNode() Node {
	n := DefaultNode()
	n.Name = `odd "name"`
	n.Listen = []string{"/ip4/0.0.0.0/tcp/4001", "/ip4/0.0.0.0/udp/4001/quic-v1"}
	n.Announce = []string{"/dns4/example.org/tcp/4001"}
	n.Bootstrap = []string{somePeer}
	n.Allow = []string{"12D3KooWGC6TvWhfapngX6wvJHMYvKpDMXPb3ZnCZ6dMoaMtimQ5"}
	n.Alerts = Alerts{Webhook: "https://example.org/hook", Command: []string{"notify", "a: b"},
		Mail: AlertMail{To: []string{"ops@example.org"}, From: "walrus@example.org", Server: "localhost:2525"}}
	return n
}

func TestCreateAndLoadNode(t *testing.T) {
	home := filepath.Join(t.TempDir(), "a", "home")
	n := someNode()
	keys, err := CreateNode(home, n)
	if err != nil {
		t.Fatal(err)
	}
	got, err := LoadNode(home)
	if err != nil {
		t.Fatal(err)
	}
	n.Home = home
	n.Ledger = filepath.Join(home, n.Ledger)
	n.Genesis, n.Store.Path, n.AddressBook = filepath.Join(home, n.Genesis), filepath.Join(home,
		n.Store.Path), filepath.Join(home, n.AddressBook)
	if !reflect.DeepEqual(*got, n) {
		t.Errorf("got %+v\nwant %+v", *got, n)
	}
	id, err := keys.PeerID()
	if err != nil {
		t.Fatal(err)
	}
	if addr, err := got.LocalAddr(); err != nil || addr != "/ip4/127.0.0.1/tcp/4001/p2p/"+id.String() {
		t.Errorf("got %q, %v", addr, err)
	}
	if _, err := CreateNode(home, someNode()); !errors.Is(err, fs.ErrExist) {
		t.Errorf("second time: got %v, want fs.ErrExist", err)
	}
	again, err := LoadKeys(home)
	if err != nil || !again.P2P.Equal(keys.P2P) || again.BLS.Public() != keys.BLS.Public() {
		t.Errorf("keys did not come back: %v", err)
	}
}

// TestTemplates fails if a key of a file has no comment or is not written.
func TestTemplates(t *testing.T) {
	for name, tt := range map[string]struct {
		text string
		of   reflect.Type
	}{"node": {nodeTemplate, reflect.TypeFor[Node]()}, "client": {clientTemplate, reflect.TypeFor[Client]()}} {
		for _, field := range reflect.VisibleFields(tt.of) {
			key := field.Tag.Get("yaml")
			if key == "-" || field.Anonymous {
				continue
			}
			before, _, ok := strings.Cut(tt.text, "\n"+key+":")
			if !ok {
				t.Errorf("%s: key %s is not written", name, key)
				continue
			}
			line := before[strings.LastIndex(before, "\n")+1:]
			if key != "log" && !strings.HasPrefix(line, "# ") {
				t.Errorf("%s: key %s has no comment", name, key)
			}
		}
	}
}

// TestKeepsKeys repeats a node init that was interrupted while it wrote the keys.
func TestKeepsKeys(t *testing.T) {
	home := t.TempDir()
	keys, err := NewKeys()
	if err != nil {
		t.Fatal(err)
	}
	if err := keys.write(home); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(home, keysDir, consensusKeyFile)); err != nil {
		t.Fatal(err)
	}
	got, err := CreateNode(home, someNode())
	if err != nil || !got.P2P.Equal(keys.P2P) || got.BLS.Public() != keys.BLS.Public() {
		t.Errorf("keys were replaced: %v", err)
	}
	if again, err := LoadKeys(home); err != nil || !again.Consensus.Equal(got.Consensus) ||
		again.Consensus.Equal(keys.Consensus) {
		t.Errorf("consensus key was not made: %v", err)
	}
}

func TestKeyFiles(t *testing.T) {
	for _, tt := range []struct {
		name   string
		damage func(t *testing.T, p2p, bls string)
		want   string
	}{
		{"readable by the group", func(t *testing.T, p2p, _ string) { chmod(t, p2p, 0o640) }, "run chmod 600 "},
		{"readable by all", func(t *testing.T, _, bls string) { chmod(t, bls, 0o604) }, "run chmod 600 "},
		{"missing", func(t *testing.T, p2p, _ string) { remove(t, p2p) }, "no key at "},
		{"swapped", func(t *testing.T, p2p, bls string) {
			copyFile(t, p2p, bls)
		}, "is not a key of kind " + blsKeyKind},
		{"cut", func(t *testing.T, p2p, _ string) { truncate(t, p2p, 40) }, "restore it from a backup"},
		{"empty", func(t *testing.T, _, bls string) { truncate(t, bls, 0) }, "restore it from a backup"},
		{"marked by an editor", func(t *testing.T, p2p, _ string) { overwrite(t, p2p, "\ufeff"+p2pKeyKind+" 00\n") },
			"byte order mark"},
		{"not hexadecimal", func(t *testing.T, p2p, _ string) { overwrite(t, p2p, p2pKeyKind+" secret\n") }, "is damaged"},
		{"zero", func(t *testing.T, _, bls string) {
			overwrite(t, bls, blsKeyKind+" "+strings.Repeat("00", 32)+"\n")
		}, "restore it from a backup"},
		{"huge", func(t *testing.T, p2p, _ string) { overwrite(t, p2p, strings.Repeat("x", maxKeyFile+1)) }, "larger than"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			home := t.TempDir()
			if _, err := CreateNode(home, someNode()); err != nil {
				t.Fatal(err)
			}
			dir := filepath.Join(home, keysDir)
			tt.damage(t, filepath.Join(dir, p2pKeyFile), filepath.Join(dir, blsKeyFile))
			_, err := LoadKeys(home)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), "secret\n") {
				t.Error("the error shows the content of a key file")
			}
		})
	}
}

func chmod(t *testing.T, path string, mode fs.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

func truncate(t *testing.T, path string, size int64) {
	t.Helper()
	if err := os.Truncate(path, size); err != nil {
		t.Fatal(err)
	}
}

func overwrite(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	raw, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	overwrite(t, to, string(raw))
}

func TestNodeErrors(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*Node)
		want   string
	}{
		{"no listen", func(n *Node) { n.Listen = nil }, `key "listen" is empty`},
		{"bad listen", func(n *Node) { n.Listen = []string{"0.0.0.0:80"} }, `key "listen": "0.0.0.0:80" is not a multiaddr`},
		{"bad announce", func(n *Node) { n.Announce = []string{"/ip4/999.0.0.1"} }, `key "announce"`},
		{"bad bootstrap", func(n *Node) { n.Bootstrap = []string{"/p2p/x"} }, `key "bootstrap"`},
		{"many", func(n *Node) { n.Bootstrap = make([]string, maxAddrs+1) }, "65 addresses: at most 64"},
		{"no store", func(n *Node) { n.Store.Path = "" }, `key "store.path" is empty`},
		{"bad body", func(n *Node) { n.Gateway = Gateway{Bind: "127.0.0.1:1", MaxBody: "much"} },
			`key "gateway.maxBody": "much" is not a size`},
		{"body too great", func(n *Node) { n.Gateway = Gateway{Bind: "127.0.0.1:1", MaxBody: "8PiB"} },
			`key "gateway.maxBody": "8PiB" exceeds`},
		{"bad metrics", func(n *Node) { n.Gateway = Gateway{Bind: "127.0.0.1:1", Metrics: "off"} },
			`key "gateway.metrics" is "off"`},
		{"webhook", func(n *Node) { n.Alerts.Webhook = "https://" }, `key "alerts.webhook"`},
		{"alert command", func(n *Node) { n.Alerts.Command = []string{""} }, `key "alerts.command"`},
		{"alert mail", func(n *Node) { n.Alerts.Mail.To = []string{"ops"} }, `key "alerts.mail"`},
		{"far mail server", func(n *Node) { n.Alerts.Mail.Server = "mail.example.org:25" }, `key "alerts.mail"`},
		{"endless pins", func(n *Node) { n.Pins.Enabled = true }, `key "pins.limit" is empty`},
		{"bad address of the API", func(n *Node) { n.Pins = Pins{Limit: "1GiB", PinningAPI: "5050"} }, `key "pins.pinningApi"`},
		{"bad rate", func(n *Node) { n.Pins = Pins{Limit: "1GiB", Rate: "fast"} }, `key "pins.rate": "fast" is not a size`},
		{"bad metrics", func(n *Node) { n.Metrics = "9184" }, `key "metrics" is "9184": want an address and a port`},
		{"bad limit", func(n *Node) { n.Store.Limit = "a lot" }, `key "store.limit": "a lot" is not a size`},
		{"bad scrub", func(n *Node) { n.Store.Scrub = "two weeks" }, `key "store.scrub": "two weeks" is not a period`},
		{"scrub without a rest", func(n *Node) { n.Store.Scrub = "1ms" }, `key "store.scrub"`},
		{"bad rate", func(n *Node) { n.RepairRate = "fast" }, `key "repairRate": "fast" is not a size`},
		{"bad cache", func(n *Node) { n.StateCache = "much" }, `key "stateCache": "much" is not a size`},
		{"small cache", func(n *Node) { n.StateCache = "5KiB" }, `key "stateCache" is 5KiB: must be 1MiB to 64GiB`},
		{"no rate", func(n *Node) { n.RepairRate = "0" }, `key "repairRate": "0" is not a size`},
		{"limit too great", func(n *Node) { n.Store.Limit = "10000PiB" }, `key "store.limit"`},
		{"no genesis", func(n *Node) { n.Genesis = "" }, `key "genesis" is empty`},
		{"bad log", func(n *Node) { n.Log.Level = "x" }, "log level"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := someNode()
			tt.change(&n)
			if _, err := CreateNode(t.TempDir(), n); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
	if _, err := LoadNode(t.TempDir()); err == nil || !strings.Contains(err.Error(), "walrus node init --home") {
		t.Errorf("no node: got %v", err)
	}
}

// TestStoreForms: store is a path alone, as in files from before the limit, or a path with a limit.
func TestStoreForms(t *testing.T) {
	for text, want := range map[string]struct {
		path  string
		limit int64
	}{
		"store: data":                               {"data", 0},
		"store: {path: data, limit: 500GiB}":        {"data", 500 << 30},
		"store: {limit: 2 TB}":                      {"store", 2e12},
		"store: {path: /srv/data, limit: 12345678}": {"/srv/data", 12345678},
		"store: {limit: \"\"}":                      {"store", 0},
	} {
		home := t.TempDir()
		overwrite(t, filepath.Join(home, NodeFile), "listen: [/ip4/127.0.0.1/tcp/4001]\n"+text+"\n")
		n, err := LoadNode(home)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		limit, err := n.Store.LimitBytes()
		if path := resolve(home, want.path); err != nil || n.Store.Path != path || limit != want.limit {
			t.Errorf("%s: %q, %d, %v", text, n.Store.Path, limit, err)
		}
	}
}

// TestNodeMetrics: metrics are at the original's address unless it is taken, at a given address, or off.
func TestNodeMetrics(t *testing.T) {
	for text, want := range map[string]struct {
		addr   string
		ifFree bool
	}{"": {"127.0.0.1:9184", true}, "none": {"", false}, "[::1]:1": {"[::1]:1", false}} {
		n := Node{Metrics: text}
		if addr, ifFree := n.MetricsAddr(); addr != want.addr || ifFree != want.ifFree {
			t.Errorf("%q: %q, %v", text, addr, ifFree)
		}
	}
}
