package natbench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// lab is a small Internet. The script that runs the test gives it network, mount and process namespaces of its own, so
// nothing of it outlives the test, however that ends.
//
//	home 192.168.n.2 ── router 44.n.0.1 ─┐
//	                                     ├─ the Internet, 44.0.0.0/8
//	storage node 44.n.0.1 ───────────────┘
//
// libp2p must take the outer addresses for public ones, so they are not from the ranges for examples.
type lab struct {
	t    *testing.T
	dir  string
	wire wire
	next int // the second byte of the next public address, and the third of the home behind it

	mu    sync.Mutex
	procs []*process
}

// wire connects the outer sides of routers and nodes.
type wire interface {
	// attach gives namespace ns an interface "wan" with a public address.
	attach(ns, addr string) error
	close() error
}

func newLab(t *testing.T) *lab {
	l := &lab{t: t, dir: t.TempDir()}
	var err error
	if l.wire, err = newTunWire(oneWay); err != nil {
		t.Logf("no delay: %v", err)
		if l.wire, err = newBridge(); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		l.stop()
		if err := l.wire.close(); err != nil {
			t.Error(err)
		}
		for _, ns := range namespaces() {
			must(t, "ip", "netns", "del", ns)
		}
	})
	return l
}

func namespaces() (list []string) {
	entries, _ := os.ReadDir("/run/netns")
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

// run runs a command to its end and returns its error with what it wrote.
func run(name string, args ...string) error {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out)
	}
	return nil
}

func must(t *testing.T, name string, args ...string) {
	t.Helper()
	if err := run(name, args...); err != nil {
		t.Fatal(err)
	}
}

// host makes a namespace that has only a loopback interface.
func (l *lab) host(name string) *host {
	must(l.t, "ip", "netns", "add", name)
	must(l.t, "ip", "-n", name, "link", "set", "lo", "up")
	return &host{lab: l, name: name}
}

// host is a namespace: a computer or a router.
type host struct {
	lab  *lab
	name string
	addr string // public, or inside its home
}

// public makes a host with a public address.
func (l *lab) public(name string) *host {
	h := l.host(name)
	l.next++
	h.addr = fmt.Sprintf("44.%d.0.1", l.next)
	if err := l.wire.attach(name, h.addr); err != nil {
		l.t.Fatal(err)
	}
	return h
}

func (h *host) command(ctx context.Context, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "ip", append([]string{"netns", "exec", h.name}, args...)...)
}

func (h *host) must(args ...string) {
	h.lab.t.Helper()
	must(h.lab.t, "ip", append([]string{"netns", "exec", h.name}, args...)...)
}

// process is a program in a namespace. ip replaces itself by the program, so signals reach it.
type process struct {
	name string
	cmd  *exec.Cmd
	log  string // path of its standard error
	done chan struct{}
	err  error // set before done is closed

	mu     sync.Mutex
	lines  []string // of standard output
	at     []time.Time
	closed bool
	news   chan struct{} // closed and replaced at each line
}

// start starts a program that goes on until the lab stops it.
func (h *host) start(name string, args ...string) *process {
	h.lab.t.Helper()
	p := &process{
		name: name, cmd: h.command(context.Background(), args...), log: filepath.Join(h.lab.dir, name+".log"), done: make(chan struct{}),
		news: make(chan struct{}),
	}
	log, err := os.Create(p.log)
	if err != nil {
		h.lab.t.Fatal(err)
	}
	defer log.Close()
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		h.lab.t.Fatal(err)
	}
	p.cmd.Stderr = log
	if err := p.cmd.Start(); err != nil {
		h.lab.t.Fatal(err)
	}
	go func() {
		p.read(out)
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	h.lab.mu.Lock()
	defer h.lab.mu.Unlock()
	h.lab.procs = append(h.lab.procs, p)
	return p
}

func (p *process) read(out io.Reader) {
	var rest []byte
	buf := make([]byte, 64<<10)
	for {
		n, err := out.Read(buf)
		rest = append(rest, buf[:n]...)
		p.mu.Lock()
		for {
			line, after, ok := bytes.Cut(rest, []byte("\n"))
			if !ok {
				break
			}
			p.lines, p.at = append(p.lines, string(line)), append(p.at, time.Now())
			rest = after
		}
		p.closed = err != nil
		close(p.news)
		p.news = make(chan struct{})
		p.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// await returns the first line from number from on that has the text, and when it came.
func (p *process) await(ctx context.Context, from int, match func(line string) bool) (line string, at time.Time, err error) {
	for {
		p.mu.Lock()
		for ; from < len(p.lines); from++ {
			if match(p.lines[from]) {
				defer p.mu.Unlock()
				return p.lines[from], p.at[from], nil
			}
		}
		news, closed := p.news, p.closed
		p.mu.Unlock()
		if closed {
			return "", time.Time{}, fmt.Errorf("%s ended: %s", p.name, p.tail())
		}
		select {
		case <-news:
		case <-ctx.Done():
			return "", time.Time{}, fmt.Errorf("%s: %w\n%s", p.name, ctx.Err(), p.tail())
		}
	}
}

// said returns the last lines of standard output.
func (p *process) said() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.lines[max(0, len(p.lines)-10):], "\n")
}

// tail returns the end of what the process wrote.
func (p *process) tail() string {
	raw, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(raw[max(0, len(raw)-2000):])
}

// end asks the process to end, and ends it if it does not within a while.
func (p *process) end() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(patience):
		_ = p.cmd.Process.Kill()
		<-p.done
		return fmt.Errorf("%s did not end within %s", p.name, patience)
	}
	var exit *exec.ExitError
	if p.err != nil && !errors.As(p.err, &exit) {
		return fmt.Errorf("%s: %w", p.name, p.err)
	}
	return nil
}

// stop ends all processes.
func (l *lab) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all sync.WaitGroup
	for _, p := range l.procs {
		all.Go(func() {
			if err := p.end(); err != nil {
				l.t.Error(err)
			}
			if raw, _ := os.ReadFile(p.log); bytes.Contains(raw, []byte("panic:")) {
				l.t.Errorf("%s broke:\n%s", p.name, p.tail())
			}
		})
	}
	all.Wait()
	l.procs = nil
}
