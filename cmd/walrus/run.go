package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/term"

	"walrus/client"
	"walrus/config"
	"walrus/internal/userfile"
	"walrus/quilt"
	"walrus/shards"
)

// Exit codes, the same for all commands.
const (
	exitDone      = 0
	exitFailed    = 1
	exitUsage     = 2
	exitNotFound  = 3
	exitNotEnough = 4
)

// run executes one command line and returns its exit code. Data goes to stdout, everything else to stderr. ctx ends
// when the user interrupts.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer, env config.Env) (code int) {
	out := newOutput(ctx, stdout)
	a := &app{stdin: stdin, stdout: out, stderr: stderr, env: env}
	defer func() {
		if r := recover(); r != nil {
			code = a.fail(ctx, "walrus", fmt.Errorf("internal error: %v: please report this", r))
		}
	}()
	root := newRoot(a) //nolint:contextcheck // cobra hands ctx to each command
	root.SetArgs(protectIDs(args))
	c, err := root.ExecuteContextC(ctx)
	if out.readerGone && (err == nil || closedPipe(err)) {
		err = nil // whoever reads has seen enough
	}
	if err == nil {
		a.tellWarnings()
		return exitDone
	}
	if exitCode(err) == exitUsage && (wantsJSON(args) || c.Name() == "json") {
		a.global.json = true // the flags may not have been read that far
	}
	return a.fail(ctx, c.CommandPath(), err)
}

// app is what every command works with.
type app struct {
	stdin  io.Reader
	stdout *output
	stderr io.Writer
	env    config.Env
	global globalFlags

	mu       sync.Mutex
	warnings []string // with --json, until the end; guarded by mu
}

// output is stdout. It remembers that its reader went away, so that this ends the command without noise.
type output struct {
	w          io.Writer
	until      io.Writer // w; a pipe that nobody empties does not keep the command from ending with its context
	readerGone bool
}

func newOutput(ctx context.Context, w io.Writer) *output {
	o := &output{w: w, until: w}
	if f, ok := w.(*os.File); ok {
		if st, err := f.Stat(); err == nil && !st.Mode().IsRegular() {
			o.until = userfile.Until(ctx, w)
		}
	}
	return o
}

func (o *output) Write(p []byte) (int, error) {
	n, err := o.until.Write(p)
	if closedPipe(err) {
		o.readerGone = true
	}
	return n, err
}

func closedPipe(err error) bool {
	return errors.Is(err, syscall.EPIPE) || errors.Is(err, io.ErrClosedPipe)
}

// usageError is a command line that makes no sense.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

// toldError has been told already, unless stderr is to hold one object, and carries the exit code.
type toldError struct {
	code  int
	text  string
	cause error // the first of them, or nil
}

func (e *toldError) Error() string { return e.text }
func (e *toldError) Unwrap() error { return e.cause }

func exitCode(err error) int {
	var (
		told      *toldError
		usage     *usageError
		notEnough *client.NotEnoughError
	)
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &told):
		return told.code
	case errors.As(err, &usage):
		return exitUsage
	case errors.As(err, &notEnough), errors.Is(err, client.ErrStalled):
		return exitNotEnough
	case errors.Is(err, client.ErrNotFound), errors.Is(err, client.ErrNoFile):
		return exitNotFound
	}
	return exitFailed
}

// explain is err as the one line that a person gets.
func (a *app) explain(err error) string {
	text := err.Error()
	if errors.Is(err, context.DeadlineExceeded) && a.global.timeout > 0 {
		text += fmt.Sprintf(" (stopped after --timeout %s)", a.global.timeout)
	}
	return text
}

// isTerminal tells whether a person looks at w.
func isTerminal(w any) bool {
	if o, ok := w.(*output); ok {
		w = o.w
	}
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// idMark goes before a blob or patch ID that begins with "-", as one in 64 does, while flags are parsed.
const idMark = "blob:"

// protectIDs keeps blob and patch IDs from being taken for flags.
func protectIDs(args []string) []string {
	safe := make([]string, 0, len(args))
	for i, arg := range args {
		if arg == "--" {
			return append(safe, args[i:]...)
		}
		if strings.HasPrefix(arg, "-") {
			_, blob := shards.ParseBlobID(arg)
			_, patch := quilt.ParsePatchID(arg)
			if blob == nil || patch == nil {
				arg = idMark + arg
			}
		}
		safe = append(safe, arg)
	}
	return safe
}

// parseBlobID reads a blob ID given as an argument.
func parseBlobID(arg string) (shards.BlobID, error) {
	id, err := shards.ParseBlobID(strings.TrimPrefix(arg, idMark))
	if err != nil {
		return id, &usageError{err}
	}
	return id, nil
}
