package config

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/multiformats/go-multiaddr"

	"walrus/ledger"
)

func TestDevnet(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	d, err := InitDevnet(t.Context(), dir, DevnetOptions{Nodes: 7, Shards: 100})
	if err != nil {
		t.Fatal(err)
	}
	if len(d.Homes) != 7 || len(d.Addresses) != 7 || d.Shards != 100 || d.Dir != dir {
		t.Fatalf("got %+v", d)
	}
	c, err := LoadClient(d.Client)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Bootstrap) != 3 {
		t.Errorf("client starts from %d nodes: want 3, one more than may be lost", len(c.Bootstrap))
	}
	genesis, err := LoadGenesis(c.Genesis)
	if err != nil {
		t.Fatal(err)
	}
	ports := make(map[int]bool)
	for i, home := range d.Homes {
		n, err := LoadNode(home)
		if err != nil {
			t.Fatal(err)
		}
		if n.Genesis != filepath.Join(dir, devnetGenesisFile) || len(n.Bootstrap) != 2 {
			t.Errorf("node %d: genesis %s, bootstrap %v", i, n.Genesis, n.Bootstrap)
		}
		id, err := n.PeerID()
		if err != nil || id != genesis.Members[i].Node {
			t.Errorf("node %d: peer %s, %v: want %s", i, id, err, genesis.Members[i].Node)
		}
		if addr, err := n.LocalAddr(); err != nil || addr != d.Addresses[i] {
			t.Errorf("node %d: local address %s, %v: want %s", i, addr, err, d.Addresses[i])
		}
		for _, b := range n.Bootstrap {
			if strings.HasSuffix(b, id.String()) {
				t.Errorf("node %d starts from itself", i)
			}
		}
		ports[checkPorts(t, n.Listen)] = true
		if _, err := LoadKeys(home); err != nil {
			t.Error(err)
		}
	}
	payer, err := c.LoadWallet()
	if err != nil {
		t.Fatal(err)
	}
	faucet, err := c.LoadFaucet()
	if err != nil {
		t.Fatal(err)
	}
	balances, err := genesis.Balances()
	if err != nil || len(balances) != 2 || balances[0].Amount+balances[1].Amount != ledger.TotalSupply ||
		!slices.ContainsFunc(balances, func(a ledger.GenesisAccount) bool {
			return a.Address == payer.Address() &&
				a.Amount == devnetFunds
		}) ||
		!slices.ContainsFunc(balances, func(a ledger.GenesisAccount) bool { return a.Address == faucet.Address() }) {
		t.Errorf("accounts %v, %v: want the two wallets", balances, err)
	}
	if len(ports) != 7 {
		t.Errorf("%d different ports, want 7", len(ports))
	}
	if _, err := InitDevnet(t.Context(), dir, DevnetOptions{Nodes: 7, Shards: 100}); !errors.Is(err, ErrDevnetExists) {
		t.Errorf("second time: got %v", err)
	}
}

// checkPorts checks that TCP and UDP listen on one free port, and returns it.
func checkPorts(t *testing.T, listen []string) int {
	t.Helper()
	var numbers []string
	for i, code := range []int{multiaddr.P_TCP, multiaddr.P_UDP} {
		a, err := multiaddr.NewMultiaddr(listen[i])
		if err != nil {
			t.Fatal(err)
		}
		port, err := a.ValueForProtocol(code)
		if err != nil {
			t.Fatal(err)
		}
		numbers = append(numbers, port)
	}
	if numbers[0] != numbers[1] {
		t.Errorf("TCP %s and UDP %s differ", numbers[0], numbers[1])
	}
	l, err := net.Listen("tcp4", "127.0.0.1:"+numbers[0])
	if err != nil {
		t.Fatalf("the port is not free: %v", err)
	}
	l.Close()
	port, err := strconv.Atoi(numbers[0])
	if err != nil || port < minPort || port > maxPort {
		t.Errorf("port %s is not between %d and %d", numbers[0], minPort, maxPort)
	}
	return port
}

func TestDevnetRefuses(t *testing.T) {
	full := t.TempDir()
	write(t, filepath.Join(full, "thesis.tex"), "x")
	file := write(t, filepath.Join(t.TempDir(), "file"), "x")
	for _, tt := range []struct {
		name      string
		dir       string
		nodes, n  int
		want      string
		wantError error
	}{
		{"not empty", full, 7, 100, "is not empty", nil},
		{"a file", file, 7, 100, "create devnet", nil},
		{"few nodes", t.TempDir(), 3, 100, "at least 4", ErrSize},
		{"no nodes", t.TempDir(), 0, 100, "at least 4", ErrSize},
		{"negative", t.TempDir(), -1, 100, "at least 4", ErrSize},
		{"few shards", t.TempDir(), 7, 6, "each node needs at least one", ErrSize},
		{"many shards", t.TempDir(), 7, 65536, "at most 49155", ErrSize},
		{"many nodes", t.TempDir(), 501, 1000, "at most 500", ErrSize},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := InitDevnet(t.Context(), tt.dir, DevnetOptions{Nodes: tt.nodes, Shards: tt.n})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got %v, want %q", err, tt.want)
			}
			if tt.wantError != nil && !errors.Is(err, tt.wantError) {
				t.Errorf("got %v, want %v", err, tt.wantError)
			}
		})
	}
	if entries, err := os.ReadDir(full); err != nil || len(entries) != 1 {
		t.Errorf("the folder that was refused has %d entries, %v", len(entries), err)
	}
	if _, err := LoadDevnet(t.TempDir()); !errors.Is(err, ErrNoDevnet) {
		t.Errorf("got %v, want ErrNoDevnet", err)
	}
}

// TestHoldPorts takes ports for many devnets at once.
func TestHoldPorts(t *testing.T) {
	var mu sync.Mutex
	taken := make(map[int]bool)
	var all []*ports
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			p, err := holdPorts(t.Context(), 10)
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, p)
			for _, n := range p.numbers {
				if taken[n] {
					t.Errorf("port %d was given twice", n)
				}
				taken[n] = true
			}
		})
	}
	wg.Wait()
	for _, p := range all {
		if err := p.release(); err != nil {
			t.Error(err)
		}
	}
}

func TestLoadGenesis(t *testing.T) {
	path := write(t, filepath.Join(t.TempDir(), "genesis.yaml"), "network: x\nshards: many\n")
	if _, err := LoadGenesis(path); !errors.Is(err, ledger.ErrGenesis) || !strings.HasPrefix(err.Error(), path) {
		t.Errorf("got %v", err)
	}
	if _, err := LoadGenesis(filepath.Join(t.TempDir(), "none")); err == nil ||
		!strings.Contains(err.Error(), "no genesis at") {
		t.Errorf("got %v", err)
	}
}
