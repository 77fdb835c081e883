package hostile

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"walrus/compose"
	"walrus/config"
	"walrus/ledger"
	"walrus/node"
)

// patience bounds the start and the end of a node, on a machine busy with other work.
const patience = 90 * time.Second

// fleet is a network on this machine. Its nodes are processes of a walrus binary, or run inside this process.
type fleet struct {
	dir     string
	binary  string // empty: nodes run inside this process
	net     *config.Devnet
	genesis *ledger.Genesis
	metrics []string // addresses, by node
	nodes   []*running
}

// running is one run of a node.
type running struct {
	stop func() // asks it to end
	kill func() // ends it at once
	done chan struct{}
	err  error // set before done is closed
}

// newFleet makes a network that counts loopback addresses as if they were public, and starts every node.
func newFleet(t *testing.T, binary string, nodes int) *fleet {
	t.Helper()
	dir := t.TempDir()
	d, err := config.InitDevnet(t.Context(), filepath.Join(dir, "net"), config.DevnetOptions{Nodes: nodes, Shards: 100})
	if err != nil {
		t.Fatal(err)
	}
	f := &fleet{dir: dir, binary: binary, net: d, nodes: make([]*running, nodes)}
	if f.genesis, err = config.LoadGenesis(filepath.Join(d.Dir, "genesis.yaml")); err != nil {
		t.Fatal(err)
	}
	for _, home := range d.Homes {
		addr := freeAddress(t)
		f.metrics = append(f.metrics, addr)
		path := filepath.Join(home, config.NodeFile)
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		text := strings.Replace(string(raw), `metrics: "none"`, `metrics: "`+addr+`"`, 1)
		changed := strings.Replace(text, "limitPrivate: false", "limitPrivate: true", 1)
		if text == string(raw) || changed == text {
			t.Fatalf("%s has no metrics or no limitPrivate to change", path)
		}
		if err := os.WriteFile(path, []byte(changed), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { f.close(t) })
	ready := make([]func() error, nodes)
	for i := range nodes {
		if ready[i], err = f.begin(i); err != nil {
			t.Fatalf("start node %d: %v", i, err)
		}
	}
	for i := range nodes {
		if err := ready[i](); err != nil {
			t.Fatalf("start node %d: %v", i, err)
		}
	}
	return f
}

// freeAddress returns an address whose port lies below the range for outgoing connections: one of them could take it
// before the node starts.
func freeAddress(t *testing.T) string {
	t.Helper()
	var last error
	for range 64 {
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(10_000+rand.IntN(20_000))))
		if err == nil {
			defer l.Close()
			return l.Addr().String()
		}
		last = err
	}
	t.Fatal(last)
	return ""
}

func (f *fleet) log(i int) string { return filepath.Join(f.dir, fmt.Sprintf("node-%d.log", i)) }

// begin starts node i. The returned function waits until it is ready.
func (f *fleet) begin(i int) (ready func() error, err error) {
	log, err := os.OpenFile(f.log(i), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	if f.binary == "" {
		return f.beginHere(i, log)
	}
	defer log.Close()
	out, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(f.binary, "node", "run", "--home", f.net.Homes[i])
	cmd.Stdout, cmd.Stderr = in, log
	if err := errors.Join(cmd.Start(), in.Close()); err != nil {
		return nil, errors.Join(err, out.Close())
	}
	r := &running{
		stop: func() { _ = cmd.Process.Signal(syscall.SIGTERM) }, kill: func() { _ = cmd.Process.Kill() },
		done: make(chan struct{}),
	}
	f.nodes[i] = r
	go func() {
		r.err = cmd.Wait()
		close(r.done)
	}()
	line := make(chan string, 1)
	go func() {
		defer out.Close()
		text, _ := bufio.NewReader(out).ReadString('\n')
		line <- text
		_, _ = io.Copy(io.Discard, out)
	}()
	return func() error {
		select {
		case text := <-line:
			if strings.HasPrefix(text, "ready") {
				return nil
			}
			return fmt.Errorf("it printed %q\n%s", text, f.tail(i))
		case <-time.After(patience):
			return fmt.Errorf("not ready after %s\n%s", patience, f.tail(i))
		}
	}, nil
}

// beginHere is begin for a node inside this process.
func (f *fleet) beginHere(i int, log io.WriteCloser) (ready func() error, err error) {
	conf, err := config.LoadNode(f.net.Homes[i])
	if err != nil {
		return nil, err
	}
	cfg, open, err := compose.Node(conf, "hostile", slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		return nil, err
	}
	n, err := node.New(cfg, open)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{stop: cancel, kill: cancel, done: make(chan struct{})}
	f.nodes[i] = r
	go func() {
		r.err = errors.Join(n.Run(ctx), log.Close())
		close(r.done)
	}()
	return func() error {
		select {
		case <-n.Ready():
			return nil
		case <-r.done:
			return fmt.Errorf("it ended: %w", r.err)
		case <-time.After(patience):
			return fmt.Errorf("not ready after %s\n%s", patience, f.tail(i))
		}
	}, nil
}

// restart stops node i in order and starts it again. change, if not nil, may alter its files in between.
func (f *fleet) restart(i int, change func(home string) error) error {
	r := f.nodes[i]
	r.stop()
	select {
	case <-r.done:
	case <-time.After(patience):
		r.kill()
		<-r.done
		return fmt.Errorf("node %d did not stop within %s", i, patience)
	}
	if r.err != nil {
		return fmt.Errorf("node %d ended: %w\n%s", i, r.err, f.tail(i))
	}
	if change != nil {
		if err := change(f.net.Homes[i]); err != nil {
			return err
		}
	}
	ready, err := f.begin(i)
	if err == nil {
		err = ready()
	}
	if err != nil {
		return fmt.Errorf("restart node %d: %w", i, err)
	}
	return nil
}

// close ends all nodes. A node that has ended by itself, or that logged a crash, fails the test.
func (f *fleet) close(t *testing.T) {
	for i, r := range f.nodes {
		if r == nil {
			continue
		}
		select {
		case <-r.done:
			t.Errorf("node %d ended by itself: %v", i, r.err)
		default:
		}
		r.stop()
	}
	for i, r := range f.nodes {
		if r == nil {
			continue
		}
		select {
		case <-r.done:
		case <-time.After(patience):
			t.Errorf("node %d does not stop", i)
			r.kill()
			<-r.done
		}
		raw, err := os.ReadFile(f.log(i))
		if err != nil {
			t.Error(err)
		}
		if strings.Contains(string(raw), "panic") || strings.Contains(string(raw), "CONSENSUS FAILURE") {
			t.Errorf("node %d broke; its log ends in:\n%s", i, f.tail(i))
		}
	}
}

// tail returns the end of a node's log.
func (f *fleet) tail(i int) string {
	raw, err := os.ReadFile(f.log(i))
	if err != nil {
		return err.Error()
	}
	return string(raw[max(0, len(raw)-3000):])
}

// logged counts the lines of all logs with a text.
func (f *fleet) logged(text string) (n int) {
	for i := range f.nodes {
		raw, _ := os.ReadFile(f.log(i))
		n += strings.Count(string(raw), text)
	}
	return n
}

// disk returns the space that the store of node i takes on the disk, in bytes.
func (f *fleet) disk(i int) float64 {
	var sum int64
	_ = filepath.WalkDir(filepath.Join(f.net.Homes[i], "store"), func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil // files come and go
		}
		if info, err := d.Info(); err == nil && info.Mode().IsRegular() {
			sum += info.Sys().(*syscall.Stat_t).Blocks * 512
		}
		return nil
	})
	return float64(sum)
}

// read returns the metrics of node i by name, with their labels.
func (f *fleet) read(ctx context.Context, i int) (map[string]float64, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+f.metrics[i]+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	values := map[string]float64{}
	lines := bufio.NewScanner(res.Body)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), " ")
		if v, err := strconv.ParseFloat(value, 64); err == nil {
			values[name] = v
		}
	}
	if err := lines.Err(); err != nil || res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("metrics of node %d: status %d: %w", i, res.StatusCode, err)
	}
	return values, nil
}
