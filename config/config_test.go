package config

import (
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

const somePeer = "/ip4/127.0.0.1/tcp/4001/p2p/12D3KooWCMuA5jwnUYMjqPA1R6vwTd9kc5YQECQVpaP1asd7ARSC"

func TestClientErrors(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"unknown key", "genesis: g\nbootstraps: []\n", `client.yaml:2: unknown key "bootstraps": did you mean "bootstrap"?`},
		{"unknown nested key", "log:\n  lebel: info\n", `client.yaml:2: unknown key "log.lebel": did you mean "level"?`},
		{"nothing close", "waffle: x\n", `client.yaml:1: unknown key "waffle": known keys are addressBook, allow, bootstrap, epochs, faucet, genesis, identity, log, maxConnections, maxFee, mdns, tempDir, trust, trustFile, wallet`},
		{"other case", "addressbook: x\n", `did you mean "addressBook"?`},
		{"twice", "genesis: a\ngenesis: b\n", `duplicate key "genesis"`},
		{"wrong type", "mdns: maybe\n", `client.yaml:1: key "mdns": want true or false`},
		{"list for text", "genesis: [a]\n", `client.yaml:1: key "genesis": want text`},
		{"text for list", "bootstrap: a\n", `client.yaml:1: key "bootstrap": want a list`},
		{"list in list", "bootstrap: [[a]]\n", `key "bootstrap": want a list`},
		{"mapping for text", "genesis: {a: b}\n", `key "genesis": want text`},
		{"text for mapping", "log: loud\n", `key "log": want lines of key: value`},
		{"no mapping", "- a\n", "want lines of key: value"},
		{"syntax", "genesis: [\n", "client.yaml: line "},
		{"empty", "", "the file is empty"},
		{"two documents", "mdns: true\n---\nmdns: true\n", "more than one document"},
		{"alias", "genesis: &g x\nbootstrap: *g\n", `key "bootstrap": want a list`},
		{"no peer", "bootstrap: [/ip4/127.0.0.1/tcp/1]\n", `key "bootstrap": "/ip4/127.0.0.1/tcp/1" names no peer`},
		{"no multiaddr", "bootstrap: [localhost:80]\n", "is not a multiaddr"},
		{"no way in", "genesis: g\n", `key "bootstrap" is empty`},
		{"bad level", "bootstrap: [" + somePeer + "]\nlog: {level: loud}\n", `log level "loud"`},
		{"bad format", "bootstrap: [" + somePeer + "]\nlog: {format: xml}\n", `log format "xml"`},
		{"no epochs", "epochs: 0\nmdns: true\n", `key "epochs" is 0`},
		{"many epochs", "epochs: 1001\nmdns: true\n", `key "epochs" is 1001`},
		{"no genesis", "genesis: \"\"\nmdns: true\n", `key "genesis" is empty`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := write(t, filepath.Join(t.TempDir(), "client.yaml"), tt.text)
			_, err := LoadClient(path)
			if err == nil {
				t.Fatal("no error")
			}
			if !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %q: want one line with %q", err, tt.want)
			}
			if !strings.HasPrefix(err.Error(), path) {
				t.Errorf("error %q does not begin with the file", err)
			}
		})
	}
}

func TestClientPaths(t *testing.T) {
	dir := t.TempDir()
	path := write(t, filepath.Join(dir, "c.yaml"), "genesis: ../net/g.yaml\naddressBook: /var/book\nmdns: true\ntempDir:\nbootstrap: ~\n")
	c, err := LoadClient(path)
	if err != nil {
		t.Fatal(err)
	}
	want := Client{
		Path: path, Genesis: filepath.Join(filepath.Dir(dir), "net", "g.yaml"), AddressBook: "/var/book", MDNS: new(true), MaxConnections: 150,
		TrustFile: filepath.Join(dir, "client-trust.json"), Wallet: filepath.Join(dir, "wallet.yaml"), MaxFee: 10, Epochs: 1, Log: Log{Format: "text"},
	}
	if !reflect.DeepEqual(*c, want) {
		t.Errorf("got %+v\nwant %+v", *c, want)
	}
}

func TestHugeFile(t *testing.T) {
	path := write(t, filepath.Join(t.TempDir(), "c.yaml"), strings.Repeat("#", maxFileSize+1))
	if _, err := LoadClient(path); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("got %v", err)
	}
	if _, err := LoadClient(t.TempDir()); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("got %v", err)
	}
}

func TestFindClient(t *testing.T) {
	home, xdg, here := t.TempDir(), t.TempDir(), t.TempDir()
	t.Chdir(here)
	vars := map[string]string{"HOME": home}
	env := func(name string) string { return vars[name] }
	find := func(flag, want string) {
		t.Helper()
		got, err := FindClient(flag, env)
		if err != nil || got != want {
			t.Errorf("got %q, %v: want %q", got, err, want)
		}
	}
	if _, err := FindClient("", env); !errors.Is(err, ErrNoConfig) {
		t.Errorf("got %v, want ErrNoConfig", err)
	}
	for _, dir := range []string{filepath.Join(home, ".config", "walrus"), filepath.Join(xdg, "walrus")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, ClientFile), "mdns: true\n")
	}
	find("", filepath.Join(home, ".config", "walrus", ClientFile))
	vars["XDG_CONFIG_HOME"] = xdg
	find("", filepath.Join(xdg, "walrus", ClientFile))
	write(t, ClientFile, "mdns: true\n")
	find("", ClientFile)
	vars[EnvConfig] = "elsewhere"
	find("", "elsewhere")
	find("flag", "flag")
}

func TestLogOverride(t *testing.T) {
	env := func(string) string { return "debug" }
	none := func(string) string { return "" }
	for _, tt := range []struct {
		env         Env
		level, want string
	}{{none, "", "warn"}, {env, "", "debug"}, {env, "error", "error"}} {
		l := Log{Level: "warn", Format: "text"}
		if err := l.Override(tt.env, tt.level, ""); err != nil || l.Level != tt.want {
			t.Errorf("got %v, %v: want %s", l, err, tt.want)
		}
	}
	for level, want := range map[string]slog.Level{"": slog.LevelWarn, "info": slog.LevelInfo, "error": slog.LevelError} {
		l, served := Log{Level: level, Format: "text"}, max(want, slog.LevelInfo)
		if level == "" {
			served = slog.LevelInfo
		}
		for _, tt := range []struct {
			l    Log
			want slog.Level
		}{{l, want}, {l.Serving(), served}} {
			log := tt.l.Logger(io.Discard)
			if !log.Enabled(t.Context(), tt.want) || log.Enabled(t.Context(), tt.want-1) {
				t.Errorf("%+v does not begin at %s", tt.l, tt.want)
			}
		}
	}
	l := Log{Level: "warn", Format: "text"}
	if err := l.Override(none, "", "xml"); err == nil {
		t.Error("format xml accepted")
	}
}

func FuzzClient(f *testing.F) {
	f.Add([]byte("genesis: g\nbootstrap: [" + somePeer + "]\nlog: {level: info}\n"))
	f.Add([]byte("a: &a [*a]\n"))
	f.Add([]byte("? [a]\n: b\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		c := DefaultClient()
		if err := decode("file", raw, &c); err != nil && !strings.HasPrefix(err.Error(), "file:") {
			t.Errorf("error %q does not name the file", err)
		}
	})
}

func TestEditDistance(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "abc", 3}, {"abc", "abc", 0}, {"listen", "lsiten", 1}, {"mdns", "dns", 1}, {"kitten", "sitting", 3}} {
		if got := editDistance(tt.a, tt.b); got != tt.want {
			t.Errorf("%q, %q: got %d, want %d", tt.a, tt.b, got, tt.want)
		}
	}
}
