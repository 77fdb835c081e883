package hostile

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"github.com/multiformats/go-multiaddr"

	"walrus/certs"
	"walrus/internal/pause"
	"walrus/p2p"
	"walrus/shards"
)

// arena describes the network to an attacker: nothing in it is secret.
type arena struct {
	Network     string
	NetworkID   certs.NetworkID
	Shards      int
	Nodes       []peer.AddrInfo
	Blob        deposit // a live blob
	Metadata    []byte  // its own, if nodes may lack it
	Stored      deposit // another, which all nodes have
	Rights      []right // to upload; empty: the attacker has none
	Certificate []byte
	Count       int     // of identities, uploads or records, as the attack wants
	Rate        int     // per second
	Cores       float64 // CPU to burn; 0: as much as there is
	Right       bool
}

// right lets an identity of an attacker upload a blob.
type right struct {
	Identity []byte // seed of its key
	Token    []byte
}

func (r right) key() ed25519.PrivateKey { return ed25519.NewKeyFromSeed(r.Identity) }

// score counts an attacker's deeds, by name.
type score map[string]float64

// attack harms the network until ctx ends. It calls ready once it is at its worst. It returns what it did; failures of
// single requests are not errors: a refusal is what a defended network answers.
type attack func(ctx context.Context, a *arena, ready func()) (score, error)

// attacks by name, so that a process of its own can run one.
var attacks = map[string]attack{
	"garbage": uploadGarbage, "symbols": floodSymbols, "silence": holdUploads, "slots": takeSlots, "junk": spreadJunk,
	"providers": spamProviders, "replay": replayCertificate, "status": askStatus, "gossip": gossipGarbage,
	"crowd": joinAll, "nothing": doNothing,
}

// doNothing only takes the CPU that attackers would take: Cores of it on average, or all that is left.
func doNothing(ctx context.Context, a *arena, ready func()) (score, error) {
	ready()
	threads := runtime.GOMAXPROCS(0)
	each(threads, threads, func(int) {
		sum := make([]byte, 32)
		begin := time.Now()
		for ctx.Err() == nil {
			for range 1000 {
				next := sha256.Sum256(sum)
				sum = next[:]
			}
			if a.Cores > 0 && cpuSeconds() > a.Cores*time.Since(begin).Seconds() {
				pause.For(ctx, time.Millisecond)
			}
		}
	})
	return score{}, nil
}

// cpuSeconds returns the CPU that this process has taken.
func cpuSeconds() float64 {
	var use syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &use) // never fails
	return time.Duration(use.Utime.Nano() + use.Stime.Nano()).Seconds()
}

// cpuScore is the entry of a score for the CPU that the attackers took, in seconds. An attack inside the referee's
// process has none.
const cpuScore = "cpu"

// attackerEnv names the attack that a process of this test binary runs instead of tests.
const attackerEnv = "WALRUS_HOSTILE_ATTACK"

func TestMain(m *testing.M) {
	name := os.Getenv(attackerEnv)
	if name == "" {
		os.Exit(m.Run())
	}
	if err := beAttacker(name); err != nil {
		fmt.Fprintln(os.Stderr, name+":", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// beAttacker runs an attack until standard input ends: also when the referee dies.
func beAttacker(name string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	var a arena
	in := json.NewDecoder(os.Stdin)
	if err := in.Decode(&a); err != nil {
		return err
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	out := json.NewEncoder(os.Stdout)
	var once sync.Once
	done, err := attacks[name](ctx, &a, func() { once.Do(func() { _ = out.Encode(score{"ready": 1}) }) })
	return errors.Join(err, out.Encode(done))
}

// launch begins an attack, in a process of its own if apart is set. It returns when the attack is at its worst, or
// after limit. end ends it and returns its score.
func launch(ctx context.Context, name string, a *arena, apart bool, limit time.Duration) (end func() (score, error), err error) {
	if !apart {
		return launchHere(ctx, name, a, limit), nil
	}
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	// Real attackers have machines of their own: here nodes and the honest client come before them.
	cmd := exec.CommandContext(ctx, "nice", "-n", "5", exe)
	cmd.Env, cmd.Stderr = append(os.Environ(), attackerEnv+"="+name), os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	if err := json.NewEncoder(in).Encode(a); err != nil {
		return nil, errors.Join(err, cmd.Process.Kill(), cmd.Wait())
	}
	answers := make(chan score, 2)
	go func() {
		defer close(answers)
		for d := json.NewDecoder(out); ; {
			var s score
			if d.Decode(&s) != nil {
				return
			}
			answers <- s
		}
	}()
	var last score
	select {
	case last = <-answers:
	case <-time.After(limit):
	}
	return func() (score, error) {
		err := in.Close()
		late := time.AfterFunc(30*time.Second, func() { _ = cmd.Process.Kill() })
		defer late.Stop()
		for s := range answers {
			last = s
		}
		err = errors.Join(err, cmd.Wait())
		if last == nil {
			last = score{}
		}
		last[cpuScore] = (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()
		return last, err
	}, nil
}

func launchHere(ctx context.Context, name string, a *arena, limit time.Duration) func() (score, error) {
	ctx, cancel := context.WithCancel(ctx)
	ready, done := make(chan struct{}), make(chan struct{})
	var result score
	var err error
	var once sync.Once
	go func() {
		defer close(done)
		result, err = attacks[name](ctx, a, func() { once.Do(func() { close(ready) }) })
	}()
	select {
	case <-ready:
	case <-done:
	case <-time.After(limit):
	}
	return func() (score, error) {
		cancel()
		<-done
		return result, err
	}
}

// nets is the number of networks (an IPv4 /24 each) that an attacker has addresses in.
const nets = 20

// addressOf returns the address from which stranger i comes. Linux takes all of 127.0.0.0/8 as its own.
func addressOf(i int) string { return fmt.Sprintf("127.66.%d.%d", i%nets, 1+i/nets) }

// from makes a TCP transport dial from an address.
func from(address string) tcp.Option {
	return tcp.WithDialerForAddr(func(multiaddr.Multiaddr) (tcp.ContextDialer, error) {
		return &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}, nil
	})
}

// newStranger opens a host that speaks the protocols of blobs and nodes, as stranger i.
func newStranger(a *arena, i int) (*p2p.Host, error) {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, err
	}
	return newStrangerWith(a, i, key)
}

// newStrangerWith is newStranger with an identity.
func newStrangerWith(a *arena, i int, key ed25519.PrivateKey) (*p2p.Host, error) {
	return p2p.New(p2p.Config{
		Network: a.Network, Key: key, Logger: slog.New(slog.DiscardHandler), TestTransport: true,
		Libp2p: []libp2p.Option{
			libp2p.Transport(tcp.NewTCPTransport, from(addressOf(i))), libp2p.ResourceManager(&network.NullResourceManager{}),
		},
	})
}

// connectAll connects a stranger to all nodes, some of which may be busy. It fails only if there is no connection.
func connectAll(ctx context.Context, h *p2p.Host, a *arena) error {
	errs := make([]error, len(a.Nodes))
	for range 3 {
		each(len(a.Nodes), len(a.Nodes), func(i int) { errs[i] = h.Connect(ctx, a.Nodes[i]) })
		if slices.Contains(errs, nil) || !pause.For(ctx, time.Second) {
			break
		}
	}
	if slices.Contains(errs, nil) {
		return nil
	}
	return errors.Join(errs...)
}

// newIdentity opens a bare host as stranger i: as little as a connection needs.
func newIdentity(i int, more ...libp2p.Option) (host.Host, error) {
	return libp2p.New(append([]libp2p.Option{
		libp2p.Transport(tcp.NewTCPTransport, from(addressOf(i))), libp2p.Security(libp2ptls.ID, libp2ptls.New),
		libp2p.Muxer(yamux.ID, yamux.DefaultTransport), libp2p.ResourceManager(&network.NullResourceManager{}),
		libp2p.DisableMetrics(), libp2p.DisableRelay(), libp2p.DisableIdentifyAddressDiscovery(),
	}, more...)...)
}

// each calls fn for 0…count−1, some at once, and returns when all have returned.
func each(count, atOnce int, fn func(i int)) {
	var work sync.WaitGroup
	next := make(chan int)
	for range min(count, atOnce) {
		work.Go(func() {
			for i := range next {
				fn(i)
			}
		})
	}
	for i := range count {
		next <- i
	}
	close(next)
	work.Wait()
}

// tally counts concurrently.
type tally struct {
	mu     sync.Mutex
	counts score // guarded by mu
}

func (t *tally) add(name string, n float64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.counts == nil {
		t.counts = score{}
	}
	t.counts[name] += n
}

// outcome counts an operation by its result.
func (t *tally) outcome(err error) {
	switch {
	case err == nil:
		t.add("accepted", 1)
	case errors.Is(err, p2p.ErrBusy):
		t.add("busy", 1)
	default:
		t.add("refused", 1)
	}
}

// total returns the counts.
func (t *tally) total() score {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.counts == nil {
		t.counts = score{}
	}
	return t.counts
}

// pairsOf asks a node for its shards and returns the pairs of a blob on them. It is patient: its process comes last.
func pairsOf(ctx context.Context, h *p2p.Host, params shards.Params, id shards.BlobID, n peer.ID) (pairs []int, err error) {
	for range 10 {
		var st p2p.NodeStatus
		if st, err = h.NodeStatus(ctx, n); err == nil {
			for _, shard := range st.Shards {
				pairs = append(pairs, params.PairOnShard(id, shard))
			}
			return pairs, nil
		}
		if !pause.For(ctx, time.Second) {
			break
		}
	}
	return nil, err
}
