package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"walrus/client"
	"walrus/config"
)

func TestVisible(t *testing.T) {
	for in, want := range map[string]string{
		"plain a/b.txt":          "plain a/b.txt",
		"größe 文件　名 👩‍🚀":         "größe 文件　名 👩‍🚀",
		"a\x1b[31mred\x1b[0m":    `a\x1b[31mred\x1b[0m`,
		"line\nwalrus: all ok":   `line\nwalrus: all ok`,
		"tab\tand\rreturn\x00":   `tab\tand\rreturn\x00`,
		"\u202etxt.exe":          `\u202etxt.exe`,
		"c1\u009b31m del\x7f":    `c1\u009b31m del\x7f`,
		"no\xfftext\xc3":         `no\xfftext\xc3`,
		"\ufeffmark\u2028\u00ad": `\ufeffmark\u2028\u00ad`,
		"tag\U000e0041":          `tag\U000e0041`,
		"\ufffd":                 "\ufffd",
	} {
		if got := visible(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

// TestNamesOnTheTerminal prints a name that would take over the terminal in every place that prints names.
func TestNamesOnTheTerminal(t *testing.T) {
	const name = "x\x1b]0;owned\x07\u202e\ny\xff"
	var b bytes.Buffer
	if err := table(&b, "", [][]string{{"file", "size"}, {name, "1"}}); err != nil {
		t.Fatal(err)
	}
	a, stderr := testApp()
	a.warn("%s is left out", name)
	a.fail(t.Context(), "walrus", errors.New("open "+name+": no such file"))
	a.stdout = &output{until: &b}
	if _, err := a.openInput(t.Context(), name, ""); err != nil {
		a.fail(t.Context(), "walrus", err)
	}
	for what, text := range map[string]string{"table": b.String(), "errors": stderr.String()} {
		if strings.ContainsAny(text, "\x1b\x07\u202e") || strings.Contains(text, "\xff") ||
			!strings.Contains(text, `\x1b]0;owned\x07\u202e`) {
			t.Errorf("%s: %q", what, text)
		}
	}
	lines := slices.DeleteFunc(slices.Collect(strings.Lines(stderr.String())), func(line string) bool {
		return strings.HasPrefix(line, "walrus: hint: ")
	})
	stderr.Reset()
	stderr.WriteString(strings.Join(lines, ""))
	if told, shown := strings.Count(stderr.String(), `x\x1b]0;owned\x07\u202e\ny\xff`), strings.Count(stderr.String(),
		"\n"); told != shown {
		t.Errorf("%d of %d errors show the whole name:\n%s", told, shown, stderr)
	}
	if lines := strings.Count(b.String(), "\n"); lines != 2 {
		t.Errorf("the table has %d lines:\n%s", lines, &b)
	}
	if lines := strings.Count(stderr.String(), "\n"); lines != 3 {
		t.Errorf("the errors have %d lines:\n%s", lines, stderr)
	}
}

// TestJSONIsExact: characters that a terminal would obey are escaped in JSON, and parse to the original text.
func TestJSONIsExact(t *testing.T) {
	var b bytes.Buffer
	a, _ := testApp()
	a.stdout = &output{until: &b}
	const name = "x\x1b\u009b\u202e\U000e0041\x7f 文👩‍🚀\n"
	if err := a.printJSON(map[string]string{"name": name}); err != nil {
		t.Fatal(err)
	}
	var back map[string]string
	if err := json.Unmarshal(b.Bytes(), &back); err != nil || back["name"] != name {
		t.Errorf("read back %q, %v", back["name"], err)
	}
	if strings.ContainsAny(b.String(), "\x1b\u009b\u202e\U000e0041\x7f") || !strings.Contains(b.String(), "文👩‍🚀") {
		t.Errorf("got %q", &b)
	}
}

func TestFailuresAsJSON(t *testing.T) {
	notEnough := &client.NotEnoughError{Op: "store", Did: "confirmed", Have: 3, Needed: 7, Shards: 10}
	for _, tt := range []struct {
		err  error
		want failure
	}{
		{usagef("-o: want a file"), failure{"-o: want a file", exitUsage, "see walrus read --help", nil}},
		{fmt.Errorf("read: %w", client.ErrNotFound), failure{Code: exitNotFound, Hint: "check the ID"}},
		{notEnough, failure{notEnough.Error(), exitNotEnough, "walrus health", nil}},
		{&client.NoFundsError{}, failure{Code: exitFailed, Hint: "wallet faucet"}},
		{&changedError{name: "x"}, failure{"x changed while", exitFailed, "try again when nothing writes", nil}},
		{fmt.Errorf("pay: %w: %w", client.ErrUnknown, client.ErrStalled),
			failure{Code: exitNotEnough, Hint: "walrus wallet history before you pay again"}},
		{errors.New("a\nb"), failure{"a\nb", exitFailed, "--log-level debug", nil}},
		{errors.Join(errors.New("a\nb"), errors.New("c")), failure{"a\nb; c", exitFailed, "--log-level debug", nil}},
		{fmt.Errorf("%w: 3 of 4 are", errUnhealthy), failure{"not all nodes are healthy: 3 of 4 are", exitFailed,
			`field "why"`, nil}},
		{&os.PathError{Op: "open", Path: "x", Err: fs.ErrNotExist}, failure{Code: exitFailed, Hint: "check the path"}},
		{&os.PathError{Op: "open", Path: "x", Err: syscall.EACCES},
			failure{Code: exitFailed, Hint: "who may read and write it"}},
	} {
		a, stderr := testApp()
		a.global.json = true
		a.warn("a %s", "warning")
		code := a.fail(t.Context(), "walrus read", tt.err)
		var got failure
		if err := json.Unmarshal(stderr.Bytes(), &got); err != nil {
			t.Fatalf("%v: stderr %q is not one object: %v", tt.err, stderr, err)
		}
		if code != tt.want.Code || got.Code != code || !strings.Contains(got.Error, tt.want.Error) ||
			!strings.Contains(got.Hint, tt.want.Hint) ||
			len(got.Warnings) != 1 || got.Warnings[0] != "a warning" {
			t.Errorf("%v: exit code %d, %+v: want %+v", tt.err, code, got, tt.want)
		}
	}
}

// TestHints: people see a hint on a line of its own, unless the error itself names a command or a flag.
func TestHints(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want string
	}{
		{fmt.Errorf("read: %w", client.ErrNotFound), "walrus: read: no such blob\nwalrus: hint: check the ID"},
		{&toldError{exitNotFound, "told", client.ErrNotFound}, "walrus: hint: check the ID"},
		{usagef("-o: want a file (see walrus read --help)"), "walrus: -o: want a file (see walrus read --help)\n"},
		{fmt.Errorf("%w: 3 of 4 are", errUnhealthy), "walrus: not all nodes are healthy: 3 of 4 are\n"},
	} {
		a, stderr := testApp()
		a.fail(t.Context(), "walrus read", tt.err)
		if got := stderr.String(); !strings.HasPrefix(got, tt.want) || strings.HasSuffix(tt.want, "\n") && got != tt.want {
			t.Errorf("%v: got %q, want %q", tt.err, got, tt.want)
		}
	}
	a, stderr := testApp()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	a.fail(ctx, "walrus read", ctx.Err())
	if stderr.String() != "walrus: interrupted\n" {
		t.Errorf("interrupted: %q", stderr)
	}
}

// TestPlannedState: a dry run tells people in words what a store would do.
func TestPlannedState(t *testing.T) {
	for op, want := range map[client.Operation]string{
		client.AlreadyCertified: "certified in epoch 3 already", client.ReuseRegistration: "never certified",
		client.ReuseAndExtend: "would be extended by 2 epochs", client.ReuseAndExtendNonCertified: "extended by 2 epochs and used",
		client.ReuseStorage: "storage that you own", client.RegisterFromScratch: "storage would be bought",
	} {
		got := storedState(&client.StoreResult{Operation: op, CertifiedEpoch: 3, EpochsExtended: 2}, true)
		if !strings.Contains(got, want) || strings.Contains(got, string(op)) {
			t.Errorf("%s: %q", op, got)
		}
	}
}

// TestJoined: errors joined at any depth stay on one line, and line ends in names stay.
func TestJoined(t *testing.T) {
	one, other := errors.New("open a\nb: no"), fs.ErrClosed
	for _, tt := range []struct {
		err  error
		want string
	}{
		{one, "open a\nb: no"},
		{errors.Join(one), "open a\nb: no"},
		{errors.Join(one, nil, other), "open a\nb: no; file already closed"},
		{fmt.Errorf("store: %w: try again", errors.Join(one, other)), "store: open a\nb: no; file already closed: try again"},
		{errors.Join(fmt.Errorf("x: %w", errors.Join(one, other)), other),
			"x: open a\nb: no; file already closed; file already closed"},
		{fmt.Errorf("%w and %w", errors.Join(other, one), one), "file already closed; open a\nb: no and open a\nb: no"},
		{&toldError{text: "told", cause: errors.Join(one, other)}, "told"},
	} {
		if got := joined(tt.err); got != tt.want {
			t.Errorf("%q: got %q, want %q", tt.err, got, tt.want)
		}
	}
}

// TestLogBesideJSON: with --json the log of a command is in its one object, unless somebody has chosen a level. Then
// each line is an object.
func TestLogBesideJSON(t *testing.T) {
	for _, tt := range []struct {
		flags globalFlags
		conf  config.Log
		lines int
	}{
		{globalFlags{json: true}, config.Log{Format: "text"}, 0},
		{globalFlags{json: true, logFormat: "text"}, config.Log{Format: "text"}, 0},
		{globalFlags{json: true, logLevel: "warn"}, config.Log{Format: "text"}, 2 * maxWarnings},
		{globalFlags{json: true}, config.Log{Format: "text"}.Serving(), 2 * maxWarnings},
	} {
		a, stderr := testApp()
		a.global = tt.flags
		log, err := a.logger(tt.conf)
		if err != nil {
			t.Fatal(err)
		}
		log = log.With("node", "alpha")
		for i := range 2 * maxWarnings {
			log.Debug("nobody sees it")
			log.Warn("it is late", "by", i)
		}
		a.fail(t.Context(), "walrus store", errors.New("too late"))
		dec := json.NewDecoder(stderr)
		for range tt.lines {
			var line struct{ Msg, Node string }
			if err := dec.Decode(&line); err != nil || line.Msg != "it is late" || line.Node != "alpha" {
				t.Fatalf("%+v: a log line: %v, %+v", tt, err, line)
			}
		}
		var got failure
		if err := dec.Decode(&got); err != nil || got.Error != "too late" || dec.More() {
			t.Errorf("%+v: %v, %+v", tt, err, got)
		}
		if kept := len(got.Warnings); tt.lines == 0 &&
			(kept != maxWarnings+1 || got.Warnings[1] != `msg="it is late" node=alpha by=1`) || tt.lines > 0 && kept > 0 {
			t.Errorf("%+v: %d warnings: %q", tt, kept, got.Warnings)
		}
	}
}

// TestTakenAddress: the error for an address in use names the setting that chooses it.
func TestTakenAddress(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	addr := taken.Addr().String()
	_, err = net.Listen("tcp", addr)
	err = fmt.Errorf("gateway: metrics: %w", err)
	advised := adviseTaken(err, "127.0.0.1:1", "--bind", addr, "--metrics-address")
	if !errors.Is(advised, syscall.EADDRINUSE) ||
		!strings.HasSuffix(advised.Error(), "or choose another address with --metrics-address") {
		t.Errorf("got %v", advised)
	}
	if hint := hint(advised, exitFailed, "walrus daemon"); !strings.Contains(hint, "choose another address") {
		t.Errorf("hint %q", hint)
	}
	other := errors.New("another error")
	if got := adviseTaken(err, "127.0.0.1:1", "--bind"); !errors.Is(got, err) ||
		adviseTaken(other, addr, "--bind") != other {
		t.Errorf("got %v", got)
	}
}

// TestOneObjectOnStderr: several files that cannot be stored, an interrupt and a bug each give one JSON object.
func TestOneObjectOnStderr(t *testing.T) {
	a, stderr := testApp()
	a.global.json = true
	var failed failures
	failed.add(t.Context(), a, "store a", errors.New("store: no such file"))
	failed.add(t.Context(), a, "store b", &client.NotEnoughError{Op: "store"})
	if code := a.fail(t.Context(), "walrus store", failed.err()); code != exitNotEnough {
		t.Errorf("exit code %d", code)
	}
	var got failure
	if err := json.Unmarshal(stderr.Bytes(), &got); err != nil || got.Code != exitNotEnough ||
		!strings.HasPrefix(got.Error, "store a: no such file; store b: ") {
		t.Errorf("%q: %v, %+v", stderr, err, got)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	a, stderr = testApp()
	failed.add(ended, a, "store c", fmt.Errorf("keep a copy: %w", ended.Err()))
	if want := "walrus: store c: interrupted\n"; stderr.String() != want {
		t.Errorf("got %q, want %q", stderr, want)
	}
	a, stderr = testApp()
	a.fail(ended, "walrus wallet send", fmt.Errorf("transaction 0x12: %w: %w: look for it in the wallet's history",
		client.ErrUnknown, ended.Err()))
	if told := stderr.String(); !strings.HasPrefix(told, "walrus: interrupted: transaction 0x12") ||
		!strings.Contains(told, "look for it") {
		t.Errorf("of a payment that may have been made: %q", told)
	}
	late, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	if interrupted(late, late.Err()) {
		t.Error("a timeout is told as an interrupt")
	}
	for want, command := range map[string]func(stderr *bytes.Buffer) int{
		"interrupted": func(stderr *bytes.Buffer) int {
			return run(ended, []string{"blob-id", "-", "--json"}, strings.NewReader(""), &bytes.Buffer{}, stderr, noEnv)
		},
		"internal error: a bug with two lines: please report this": func(stderr *bytes.Buffer) int {
			return run(t.Context(), []string{"version", "--json"}, nil, panicWriter{}, stderr, noEnv)
		},
	} {
		var stderr bytes.Buffer
		code := command(&stderr)
		var got failure
		if err := json.Unmarshal(stderr.Bytes(), &got); err != nil || got.Error != want || got.Code != code ||
			code != exitFailed {
			t.Errorf("exit code %d, %q: %v, want %q", code, &stderr, err, want)
		}
	}
}
