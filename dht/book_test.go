package dht

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/test"
	"github.com/multiformats/go-multiaddr"
)

func randomPeer(t testing.TB) peer.ID {
	t.Helper()
	id, err := test.RandPeerID()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestBookRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "peers.json")
	b := newBook(path)
	id := randomPeer(t)
	addrs := []multiaddr.Multiaddr{
		multiaddr.StringCast("/ip4/127.0.0.1/tcp/1"), multiaddr.StringCast("/ip6/::1/udp/2/quic-v1"),
	}
	b.remember(id, addrs, time.Unix(1000, 0))
	if err := b.save(); err != nil {
		t.Fatal(err)
	}
	read := newBook(path)
	if err := read.load(); err != nil {
		t.Fatal(err)
	}
	if got := read.addrs(id); !slices.EqualFunc(got, addrs, multiaddr.Multiaddr.Equal) {
		t.Fatalf("read %v, wrote %v", got, addrs)
	}
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.save(); err != nil {
		t.Fatal(err)
	}
	after, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if !os.SameFile(before, after) {
		t.Error("an unchanged book was written")
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(path), ".*")); err != nil || len(left) > 0 {
		t.Errorf("temporary files left: %v %v", left, err)
	}
}

func TestBookIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "peers.json")
	b := newBook(path)
	var many []multiaddr.Multiaddr
	for i := range 50 {
		long := strings.Repeat("a", 200)
		many = append(many, multiaddr.StringCast(fmt.Sprintf("/dns4/%s/tcp/%d", long, i+1)))
	}
	oldest := randomPeer(t)
	b.remember(oldest, many, time.Unix(1, 0))
	for i := range maxBookPeers {
		b.remember(randomPeer(t), many, time.Unix(int64(i)+2, 0))
	}
	if len(b.peers) != maxBookPeers || len(b.addrs(oldest)) != 0 {
		t.Fatalf("%d peers, oldest kept: %v", len(b.peers), b.addrs(oldest))
	}
	none := randomPeer(t)
	b.remember(none, []multiaddr.Multiaddr{multiaddr.StringCast("/dns4/" + strings.Repeat("a", 300) + "/tcp/1")}, time.Unix(9999, 0))
	if len(b.addrs(none)) != 0 {
		t.Error("an oversized address was kept")
	}
	if err := b.save(); err != nil {
		t.Fatal(err)
	}
	read := newBook(path)
	if err := read.load(); err != nil {
		t.Fatalf("the fullest book is not readable: %v", err)
	}
	if len(read.peers) != maxBookPeers || len(read.sample(7)) != 7 || len(read.sample(2*maxBookPeers)) != maxBookPeers {
		t.Errorf("read %d peers", len(read.peers))
	}
}

func TestSaveFailureIsRetried(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "later")
	b := newBook(filepath.Join(dir, "peers.json"))
	b.remember(randomPeer(t), []multiaddr.Multiaddr{multiaddr.StringCast("/ip4/127.0.0.1/tcp/1")}, time.Unix(1, 0))
	if err := b.save(); err == nil {
		t.Fatal("saved into a missing folder")
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := b.save(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(b.path); err != nil {
		t.Error("the change was forgotten")
	}
}

func TestHostileBookIsIgnored(t *testing.T) {
	id := randomPeer(t).String()
	entry := func(id, addrs string) string {
		return fmt.Sprintf(`{"version":1,"peers":[{"id":%q,"addrs":[%s],"seen":1}]}`, id, addrs)
	}
	tests := map[string]string{
		"empty":            "",
		"garbage":          "\x00\xff\xfe not json",
		"truncated":        entry(id, `"/ip4/127.0.0.1/tcp/1"`)[:60],
		"trailing":         entry(id, `"/ip4/127.0.0.1/tcp/1"`) + "{}",
		"other version":    `{"version":2}`,
		"wrong types":      `{"version":1,"peers":{"a":1}}`,
		"deep":             strings.Repeat("[", 1<<20),
		"huge":             `{"version":1,"peers":[` + strings.Repeat(" ", maxBookBytes) + `]}`,
		"many peers":       `{"version":1,"peers":[` + strings.Repeat("{},", maxBookPeers) + `{}]}`,
		"bad peer ID":      entry("../../etc/passwd", `"/ip4/127.0.0.1/tcp/1"`),
		"no addresses":     entry(id, ""),
		"many addresses":   entry(id, strings.Repeat(`"/ip4/127.0.0.1/tcp/1",`, maxPeerAddrs)+`"/ip4/127.0.0.1/tcp/1"`),
		"bad address":      entry(id, `"/ip4/999.0.0.1/tcp/1"`),
		"oversize address": entry(id, `"/dns4/`+strings.Repeat("a", 400)+`/tcp/1"`),
		"seen out of time": `{"version":1,"peers":[{"id":"` + id + `","addrs":["/ip4/127.0.0.1/tcp/1"],"seen":1e30}]}`,
	}
	h := newHost(t, nil)
	for name, content := range tests {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "peers.json")
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			var logs bytes.Buffer
			d, err := New(h, Config{Network: "n", AddressBook: path, Logger: slog.New(slog.NewTextHandler(&logs, nil))})
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			if len(d.book.peers) != 0 {
				t.Error("entries were believed")
			}
			if !strings.Contains(logs.String(), "level=WARN") || !strings.Contains(logs.String(), path) {
				t.Errorf("no warning that names the file: %q", &logs)
			}
		})
	}
	t.Run("pipe", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "peers.json")
		if err := syscall.Mkfifo(path, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := newBook(path).load(); err == nil {
			t.Error("read a pipe")
		}
	})
	t.Run("missing", func(t *testing.T) {
		if err := newBook(filepath.Join(t.TempDir(), "none")).load(); err != nil {
			t.Error(err)
		}
	})
}

// A file full of addresses that lead nowhere must not keep a peer from joining through its bootstrap peer.
func TestStaleBookDoesNotBlockJoining(t *testing.T) {
	first := start(t, nil, Config{Server: true})
	path := filepath.Join(t.TempDir(), "peers.json")
	b := newBook(path)
	for range maxBookPeers {
		// 192.0.2.0/24 is reserved for documentation: packets to it vanish or are refused.
		b.remember(randomPeer(t), []multiaddr.Multiaddr{multiaddr.StringCast("/ip4/192.0.2.1/tcp/9")}, time.Unix(1, 0))
	}
	b.remember(first.host.ID(), []multiaddr.Multiaddr{multiaddr.StringCast("/ip4/127.0.0.1/tcp/9")}, time.Unix(1, 0))
	if err := b.save(); err != nil {
		t.Fatal(err)
	}
	client := start(t, nil, Config{Bootstrap: []string{first.addr()}, AddressBook: path})
	if err := client.Joined(within(t, dialTimeout-time.Second)); err != nil { // not even one dial is waited for
		t.Fatal(err)
	}
}

func FuzzParseBook(f *testing.F) {
	f.Add([]byte(`{"version":1,"peers":[{"id":"12D3KooWBt9WFHMaRXTLpvCZKHqrZqNVBXtGyGqKjDvCbB2yeZ6y","addrs":["/ip4/127.0.0.1/tcp/1"],"seen":1}]}`))
	f.Add([]byte(`{"version":1}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		peers, err := parseBook(raw)
		if err != nil {
			return
		}
		for id, e := range peers {
			if id.Validate() != nil || len(e.addrs) == 0 || len(e.addrs) > maxPeerAddrs {
				t.Fatalf("accepted %v", e)
			}
		}
	})
}
