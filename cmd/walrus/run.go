package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"

	"golang.org/x/term"

	"walrus/client"
	"walrus/config"
	"walrus/internal/userfile"
	"walrus/pin"
	"walrus/pinapi"
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

// run executes one command line and returns its exit code. Data goes to stdout, everything else to stderr. The user's
// interrupt ends ctx.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer, env config.Env) (code int) {
	out := newOutput(ctx, stdout)
	a := &app{terminal: terminal{stdin: stdin, stdout: out, stderr: stderr}, env: env}
	defer func() {
		if r := recover(); r != nil {
			code = a.fail(ctx, "walrus", fmt.Errorf("internal error: %s: please report this", oneLine(fmt.Sprint(r))))
		}
	}()
	root := newRoot(a) //nolint:contextcheck // cobra hands ctx to each command
	root.SetArgs(protectIDs(args))
	c, err := root.ExecuteContextC(ctx)
	if out.readerGone && (err == nil || closedPipe(err)) {
		err = nil // the reader has seen enough
	}
	if err == nil {
		a.tellWarnings()
		return exitDone
	}
	if exitCode(err) == exitUsage && (wantsJSON(args) || c.Name() == "json") {
		a.global.json = true // parsing may have failed before the flag
	}
	return a.fail(ctx, c.CommandPath(), err)
}

// app runs the commands, in an environment and at a terminal.
type app struct {
	terminal
	env config.Env
}

// terminal talks to the user: it reads answers and prints results, as the global flags say.
type terminal struct {
	stdin  io.Reader
	stdout *output
	stderr io.Writer
	global globalFlags
	// largest bounds sources that are copied because they cannot be read twice, in bytes; 0: any blob
	largest int64

	warnings warnings // kept with --json
}

// output is stdout. It remembers that its reader has left, so that the command ends without an error message.
type output struct {
	w          io.Writer
	until      io.Writer // w, but a stalled pipe does not keep the command running after its context ends
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

// usageError marks an invalid command line.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

// toldError was printed already, unless stderr must hold one JSON object. It carries the exit code.
type toldError struct {
	code  int
	text  string
	cause error // the first cause, or nil
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
	case errors.Is(err, client.ErrNotFound), errors.Is(err, client.ErrNoFile), errors.Is(err, pin.ErrNotFound), errors.Is(err, pinapi.ErrNoToken):
		return exitNotFound
	}
	return exitFailed
}

// explain returns err as one line for people.
func (a *terminal) explain(err error) string {
	text := joined(err)
	if errors.Is(err, context.DeadlineExceeded) && a.global.timeout > 0 {
		text += fmt.Sprintf(" (stopped after --timeout %s)", a.global.timeout)
	}
	return text
}

// isTerminal reports whether w is a terminal.
func isTerminal(w any) bool {
	if o, ok := w.(*output); ok {
		w = o.w
	}
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// idMark is put before a blob or patch ID that begins with "-", as one in 64 does, while flags are parsed.
const idMark = "blob:"

// protectIDs keeps blob and patch IDs from being parsed as flags.
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

// parseBlobID parses a blob ID given as an argument.
func parseBlobID(arg string) (shards.BlobID, error) {
	id, err := shards.ParseBlobID(strings.TrimPrefix(arg, idMark))
	if err != nil {
		return id, &usageError{err}
	}
	return id, nil
}
