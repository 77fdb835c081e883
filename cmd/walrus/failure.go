package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"

	"walrus/client"
	"walrus/config"
	"walrus/ledger/wallet"
	"walrus/monitornode"
	"walrus/pin"
	"walrus/pinapi"
)

// failure is printed to stderr by --json, on one line, when a command fails.
type failure struct {
	Error    string   `json:"error"`
	Code     int      `json:"code"` // the exit code
	Hint     string   `json:"hint"` // advice for the user; people see it on a line of its own
	Warnings []string `json:"warnings,omitempty"`
}

// wantsJSON reports whether a command line asks for JSON although its flags could not be parsed.
func wantsJSON(args []string) bool {
	if end := slices.Index(args, "--"); end >= 0 {
		args = args[:end]
	}
	return slices.Contains(args, "--json") || slices.Contains(args, "--json=true")
}

// fail prints why the command failed, unless that was done, and returns the exit code. command is as the user typed it.
func (a *terminal) fail(ctx context.Context, command string, err error) int {
	var told *toldError
	text, code := "", exitCode(err)
	switch {
	case errors.As(err, &told):
		text = told.text
	case interrupted(ctx, err):
		text, code = "interrupted", exitFailed
		if errors.Is(err, client.ErrUnknown) { // repeating it could pay twice
			text += ": " + joined(err)
		}
	default:
		text = a.explain(err)
	}
	if a.global.json {
		tellJSON(a.stderr, failure{text, code, hint(err, code, command), a.warnings.take()})
		return code
	}
	if told == nil {
		tell(a.stderr, text)
	}
	h := hint(err, code, command)
	if h != lastHint && !interrupted(ctx, err) && !errors.Is(err, errUnhealthy) && !saysHow.MatchString(text) {
		tell(a.stderr, "hint: "+h)
	}
	return code
}

// saysHow matches errors that already name a command or a flag: they need no hint.
var saysHow = regexp.MustCompile(`\bwalrus [a-z]|--[a-z]`)

// interrupted reports whether err comes only from the user's interrupt, not from a timeout.
func interrupted(ctx context.Context, err error) bool {
	return errors.Is(ctx.Err(), context.Canceled) && (errors.Is(err, context.Canceled) || errors.Is(err, context.Cause(ctx)))
}

// failures collects the failures of a command that continues after each.
type failures struct {
	worst int
	texts []string
	first error
}

// add prints a failure at once, or keeps it if stderr must hold one JSON object. The error may begin with what, or with
// a part of it: that is not repeated.
func (f *failures) add(ctx context.Context, a *app, what string, err error) {
	op, _, _ := strings.Cut(what, " ")
	text := a.explain(err)
	for _, twice := range []string{what, op, strings.TrimPrefix(what, op+" ")} {
		text = strings.TrimPrefix(text, twice+": ")
	}
	text = what + ": " + text
	if interrupted(ctx, err) {
		text = what + ": interrupted"
	}
	if !a.global.json {
		tell(a.stderr, text)
	}
	f.worst, f.texts, f.first = max(f.worst, exitCode(err)), append(f.texts, text), cmp.Or(f.first, err)
}

// err returns nil if there were no failures.
func (f *failures) err() error {
	if f.worst == exitDone {
		return nil
	}
	return &toldError{f.worst, strings.Join(f.texts, "; "), f.first}
}

// adviseTaken adds advice to the error for an address that another process uses. settings are pairs: an address, and
// the setting that chooses it.
func adviseTaken(err error, settings ...string) error {
	var op *net.OpError
	if !errors.Is(err, syscall.EADDRINUSE) || !errors.As(err, &op) || op.Addr == nil {
		return err
	}
	_, taken, _ := net.SplitHostPort(op.Addr.String())
	for pair := range slices.Chunk(settings, 2) {
		if _, port, _ := net.SplitHostPort(pair[0]); port == taken {
			return fmt.Errorf("%w: stop the process that uses it, or choose another address with %s", err, pair[1])
		}
	}
	return err
}

// fileHints are advice about errors of the operating system.
var fileHints = []struct {
	err  error
	hint string
}{
	{fs.ErrNotExist, "check the path"},
	{fs.ErrPermission, "check who owns the file and who may read and write it"},
	{fs.ErrExist, "choose another path, or move the existing file away"},
	{syscall.ENOSPC, "free some disk space"},
	{syscall.EADDRINUSE, "stop the process that uses the address, or choose another address"},
}

// lastHint is for errors about which nothing better is known. People are spared it.
const lastHint = "run it again with --log-level debug for details"

// hint returns short advice for an error.
func hint(err error, code int, command string) string {
	var changed *changedError
	var request *client.RequestError
	switch {
	case errors.As(err, &changed):
		return "try again when nothing writes to the file, or with a copy of it"
	case errors.Is(err, config.ErrNoConfig):
		return "give --config FILE or set $" + config.EnvConfig
	case errors.Is(err, wallet.ErrFile) && errors.Is(err, fs.ErrNotExist), errors.Is(err, client.ErrNoWallet):
		return "make a wallet with walrus wallet new, and name it in the configuration"
	case errors.Is(err, client.ErrNoFunds):
		return "pay WAL to the account; on a devnet, run walrus wallet faucet"
	case errors.Is(err, pin.ErrNotFound):
		return "list the pins with walrus pin ls; --home says whose"
	case errors.Is(err, pinapi.ErrNoToken):
		return "list the tokens with walrus pin token ls; --home says whose"
	case errors.Is(err, pin.ErrFull):
		return "remove pins with walrus pin rm, or run walrus pin run with a larger --limit"
	case errors.Is(err, pinapi.ErrNotRunning):
		return "start the pin process with walrus pin run"
	case errors.Is(err, monitornode.ErrNotRunning):
		return "start it with walrus monitor run; for one beside a node, set monitor.enabled in its node.yaml and start the node"
	case errors.Is(err, errUnhealthy):
		return "the field \"why\" of each node names its problem"
	case errors.Is(err, config.ErrDevnetExists):
		return "run the devnet with walrus devnet up, or choose another folder"
	case errors.As(err, &request):
		return "the request cannot succeed as it is; see " + command + " --help"
	case errors.Is(err, client.ErrInvalidBlob):
		return "walrus blob-status explains the proof; ask the writer to store the content again"
	case errors.Is(err, client.ErrNoFile):
		return "list the quilt's files with walrus list-patches-in-quilt"
	case errors.Is(err, client.ErrUnknown):
		return "look for the transaction in walrus wallet history before you pay again; only walrus store is safe to repeat"
	case errors.Is(err, context.Canceled):
		return "run the command again"
	case errors.Is(err, client.ErrStalled):
		return "try again once the ledger makes blocks again; walrus health shows which nodes are down"
	case errors.Is(err, context.DeadlineExceeded):
		return "check that the nodes are up (walrus health); allow more time with --timeout"
	}
	switch code {
	case exitUsage:
		return "see " + command + " --help"
	case exitNotFound:
		return "check the ID: it may be mistyped or from another network, or its storage has ended"
	case exitNotEnough:
		return "walrus health shows which nodes are down; try again when more are up"
	}
	for _, h := range fileHints {
		if errors.Is(err, h.err) {
			return h.hint
		}
	}
	return lastHint
}

// warn prints a warning. With --json it is kept until the end, because stderr then holds one object.
func (a *terminal) warn(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if !a.global.json {
		tell(a.stderr, text)
		return
	}
	a.warnings.keep(text)
}

// warnings are kept until the end of a command with --json.
type warnings struct {
	mu   sync.Mutex
	list []string // guarded by mu
}

// maxWarnings bounds the kept warnings: a log has no end.
const maxWarnings = 100

func (w *warnings) keep(text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch n := len(w.list); {
	case n < maxWarnings:
		w.list = append(w.list, text)
	case n == maxWarnings:
		w.list = append(w.list, "more warnings are left out: see them with --log-level warn")
	}
}

func (w *warnings) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	list := w.list
	w.list = nil
	return list
}

// Write keeps a line of a log.
func (w *warnings) Write(line []byte) (int, error) {
	w.keep(strings.TrimSpace(string(line)))
	return len(line), nil
}

// tellWarnings prints the warnings kept by --json, if the command succeeded or will run for long.
func (a *terminal) tellWarnings() {
	if list := a.warnings.take(); len(list) > 0 {
		tellJSON(a.stderr, struct {
			Warnings []string `json:"warnings"`
		}{list})
	}
}

// tell writes one line to stderr. A line end in text can only be part of a name, so it is shown as \n. If writing
// fails, there is no place left to report it.
func tell(stderr io.Writer, text string) {
	_, _ = fmt.Fprintln(stderr, "walrus: "+visible(text))
}

func tellJSON(stderr io.Writer, v any) {
	enc := json.NewEncoder(&asciiControls{stderr})
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v)
}

// joined returns the text of err with "; " where errors.Join begins a new line. Line ends in names stay.
func joined(err error) string {
	text := err.Error()
	var parts []error
	switch e := err.(type) { //nolint:errorlint // the tree itself is walked
	case interface{ Unwrap() error }:
		parts = []error{e.Unwrap()}
	case interface{ Unwrap() []error }:
		parts = e.Unwrap()
	}
	plain, better := make([]string, 0, len(parts)), make([]string, 0, len(parts))
	for _, part := range parts {
		if part != nil {
			plain, better = append(plain, part.Error()), append(better, joined(part))
		}
	}
	if len(plain) > 1 && text == strings.Join(plain, "\n") {
		return strings.Join(better, "; ")
	}
	for i, part := range plain {
		if part != better[i] {
			text = strings.Replace(text, part, better[i], 1)
		}
	}
	return text
}

var lineEnd = regexp.MustCompile(`\s*[\r\n]\s*`)

// oneLine joins the lines of s with spaces. Other white space stays: it may be part of a name.
func oneLine(s string) string { return strings.TrimSpace(lineEnd.ReplaceAllString(s, " ")) }
