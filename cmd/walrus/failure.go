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

// failure is printed to stderr by --json, on one line, when a command fails.
type failure struct {
	Error    string   `json:"error"`
	Code     int      `json:"code"` // the exit code
	Hint     string   `json:"hint"` // advice for the user
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
		if !a.global.json {
			return code
		}
	case interrupted(ctx, err):
		text, code = "interrupted", exitFailed
		if errors.Is(err, client.ErrUnknown) { // repeating it could pay twice
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

// add prints a failure at once, or keeps it if stderr must hold one JSON object.
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

// err returns nil if there were no failures.
func (f *failures) err() error {
	if f.worst == exitDone {
		return nil
	}
	return &toldError{f.worst, strings.Join(f.texts, "; "), f.first}
}

// hint returns short advice for an error.
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

// warn prints a warning. With --json it is kept until the end, because stderr then holds one object.
func (a *terminal) warn(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if !a.global.json {
		tell(a.stderr, text)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.warnings = append(a.warnings, oneLine(text))
}

// tellWarnings prints the warnings kept by --json, if the command succeeded or will run for long.
func (a *terminal) tellWarnings() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.warnings) > 0 {
		tellJSON(a.stderr, struct {
			Warnings []string `json:"warnings"`
		}{a.warnings})
	}
	a.warnings = nil
}

// tell writes one line to stderr. If that fails, there is no place left to report it.
func tell(stderr io.Writer, text string) {
	_, _ = fmt.Fprintln(stderr, "walrus: "+visible(oneLine(text)))
}

func tellJSON(stderr io.Writer, v any) {
	enc := json.NewEncoder(&asciiControls{stderr})
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v)
}

var lineEnd = regexp.MustCompile(`\s*[\r\n]\s*`)

// oneLine joins the lines of s with spaces. Other white space stays: it may be part of a name.
func oneLine(s string) string { return strings.TrimSpace(lineEnd.ReplaceAllString(s, " ")) }
