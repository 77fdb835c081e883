package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"regexp"
	"slices"
	"strings"

	"walrus/client"
	"walrus/config"
	"walrus/ledger/wallet"
)

// failure is what --json says on stderr of a command that failed, on one line.
type failure struct {
	Error    string   `json:"error"`
	Code     int      `json:"code"` // the exit code
	Hint     string   `json:"hint"` // what to do
	Warnings []string `json:"warnings,omitempty"`
}

// wantsJSON tells whether a command line asks for JSON, when it is so wrong that its flags were not read.
func wantsJSON(args []string) bool {
	if end := slices.Index(args, "--"); end >= 0 {
		args = args[:end]
	}
	return slices.Contains(args, "--json") || slices.Contains(args, "--json=true")
}

// fail tells why the command failed, unless that is told already, and returns the exit code. command is as it was typed.
func (a *app) fail(ctx context.Context, command string, err error) int {
	var told *toldError
	text, code := "", exitCode(err)
	switch {
	case errors.As(err, &told):
		text = told.text
		if !a.global.json {
			return code
		}
	case interrupted(ctx, err):
		text, code = "interrupted", exitFailed
		if errors.Is(err, client.ErrUnknown) { // what may be paid is not to be paid again
			text += ": " + err.Error()
		}
	default:
		text = a.explain(err)
	}
	if !a.global.json {
		tell(a.stderr, text)
		return code
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	tellJSON(a.stderr, failure{oneLine(text), code, hint(err, code, command), a.warnings})
	a.warnings = nil
	return code
}

// interrupted tells whether err is nothing but the end of ctx that the user wanted, not that of its time.
func interrupted(ctx context.Context, err error) bool {
	return errors.Is(ctx.Err(), context.Canceled) && (errors.Is(err, context.Canceled) || errors.Is(err, context.Cause(ctx)))
}

// failures are those of a command that goes on after one.
type failures struct {
	worst int
	texts []string
	first error
}

// add tells a failure at once, unless stderr is to hold one object.
func (f *failures) add(ctx context.Context, a *app, what string, err error) {
	text := what + ": " + a.explain(err)
	if interrupted(ctx, err) {
		text = what + ": interrupted"
	}
	if !a.global.json {
		tell(a.stderr, text)
	}
	f.worst, f.texts, f.first = max(f.worst, exitCode(err)), append(f.texts, text), cmp.Or(f.first, err)
}

// err is nil if there were none.
func (f *failures) err() error {
	if f.worst == exitDone {
		return nil
	}
	return &toldError{f.worst, strings.Join(f.texts, "; "), f.first}
}

// hint says in a few words what to do about an error.
func hint(err error, code int, command string) string {
	var changed *changedError
	switch {
	case errors.As(err, &changed):
		return "try again when nothing writes to the file, or with a copy of it"
	case errors.Is(err, config.ErrNoConfig):
		return "give --config FILE or set $" + config.EnvConfig
	case errors.Is(err, wallet.ErrFile) && errors.Is(err, fs.ErrNotExist), errors.Is(err, client.ErrNoWallet):
		return "walrus wallet new makes a wallet; the configuration names it"
	case errors.Is(err, client.ErrNoFunds):
		return "pay WAL to the account; on a devnet, walrus wallet faucet does"
	case errors.Is(err, client.ErrNoFile):
		return "walrus list-patches-in-quilt tells which files there are"
	case errors.Is(err, client.ErrUnknown):
		return "look for the transaction in walrus wallet history before you pay again; only store may be run again at any time"
	case errors.Is(err, context.Canceled):
		return "run it again"
	case errors.Is(err, client.ErrStalled):
		return "try again when the ledger goes on; walrus health tells which nodes are down"
	case errors.Is(err, context.DeadlineExceeded):
		return "walrus health tells whether the network answers; --timeout gives it more time"
	}
	switch code {
	case exitUsage:
		return "see " + command + " --help"
	case exitNotFound:
		return "check the ID: it may be mistyped, of another network, or its storage has ended"
	case exitNotEnough:
		return "walrus health tells which nodes are down; try again when more are up"
	}
	return "with --log-level debug the command tells more"
}

// warn tells something that does not end the command. With --json it is kept until the end: stderr then holds one object.
func (a *app) warn(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if !a.global.json {
		tell(a.stderr, text)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.warnings = append(a.warnings, oneLine(text))
}

// tellWarnings tells what --json kept back, when the command did not fail or will go on for long.
func (a *app) tellWarnings() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.warnings) > 0 {
		tellJSON(a.stderr, struct {
			Warnings []string `json:"warnings"`
		}{a.warnings})
	}
	a.warnings = nil
}

// tell writes one line to stderr; when even that fails there is nowhere left to say so.
func tell(stderr io.Writer, text string) {
	_, _ = fmt.Fprintln(stderr, "walrus: "+visible(oneLine(text)))
}

func tellJSON(stderr io.Writer, v any) {
	enc := json.NewEncoder(&asciiControls{stderr})
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v)
}

var lineEnd = regexp.MustCompile(`\s*[\r\n]\s*`)

// oneLine is s with its lines one after the other. Other spaces stay: they may be those of a name.
func oneLine(s string) string { return strings.TrimSpace(lineEnd.ReplaceAllString(s, " ")) }
