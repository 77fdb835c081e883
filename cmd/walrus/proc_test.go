package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// readyTimeout bounds the time until a process prints its ready line, on a machine busy with other tests.
const readyTimeout = 60 * time.Second

// proc is a walrus process in the background.
type proc struct {
	cmd  *exec.Cmd
	line chan string // its first line, once
	log  string      // path of its stderr
	done chan struct{}
	err  error // of the process; set before done is closed
}

// startProc starts walrus with args. stderr is appended to log.
func startProc(ctx context.Context, log string, args ...string) (*proc, error) {
	return startProcWith(ctx, nil, log, args...)
}

// startProcWith starts walrus with env in addition to this process's environment.
func startProcWith(ctx context.Context, env []string, log string, args ...string) (*proc, error) {
	stderr, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer stderr.Close()
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	p := &proc{cmd: exec.CommandContext(ctx, "walrus", args...), line: make(chan string, 1), log: log,
		done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr, p.cmd.Env = w, stderr, append(os.Environ(), env...)
	if err := errors.Join(p.cmd.Start(), w.Close()); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	go func() {
		defer r.Close()
		text, _ := bufio.NewReader(r).ReadString('\n')
		p.line <- strings.TrimSpace(text)
		_, _ = io.Copy(io.Discard, r)
	}()
	return p, nil
}

// ready waits for the process to print a line with "ready", and returns it. Without it the process is killed.
func (p *proc) ready() (line string, err error) {
	limit := time.NewTimer(readyTimeout)
	defer limit.Stop()
	select {
	case line = <-p.line:
		if strings.Contains(line, "ready") {
			return line, nil
		}
		err = fmt.Errorf("%s printed %q and not that it is ready", p.cmd, line)
	case <-limit.C:
		err = fmt.Errorf("%s is not ready after %s", p.cmd, readyTimeout)
	}
	return "", errors.Join(err, p.kill(), fmt.Errorf("its log ends in: %s", p.tail()))
}

// kill ends the process without warning.
func (p *proc) kill() error {
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-p.done
	return nil
}

// stop asks the process to end and returns its exit error.
func (p *proc) stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.done:
		return p.err
	case <-time.After(readyTimeout):
		return errors.Join(errors.New("the process does not stop"), p.kill())
	}
}

// tail returns the end of the log.
func (p *proc) tail() string {
	raw, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(raw[max(0, len(raw)-4000):])
}

// result is the output and exit code of a finished command.
type result struct {
	code           int
	stdout, stderr string
}

// walrus runs a command to its end.
func walrus(ctx context.Context, stdin io.Reader, args ...string) (result, error) {
	cmd := exec.CommandContext(ctx, "walrus", args...)
	var stdout, stderr strings.Builder
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &stdout, &stderr
	err := cmd.Run()
	r := result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		err = nil
	}
	return r, err
}
