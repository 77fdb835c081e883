package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"net/http"
	"net/http/httputil"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain makes this test binary act as the command walrus when run by that name.
func TestMain(m *testing.M) {
	// Most tests wait for processes: run more of them at a time than there are cores, unless the flag is given.
	if err := flag.Set("test.parallel", strconv.Itoa(max(4, runtime.GOMAXPROCS(0)))); err != nil {
		panic(err)
	}
	testscript.Main(m, map[string]func(){"walrus": main})
}

// TestScripts runs testdata/script. Short tests leave out scripts that start networks. The scripts have these commands
// in addition to testscript's own:
//
//	exits CODE walrus ARGS...   checks the exit code. If it is not 0, stderr must be one line, with --json an object
//	                            with the code. If it is 2, stdout must be empty
//	up NAME ARGS...             starts walrus ARGS in the background and waits for its ready line, which becomes stdout
//	down NAME                   asks it to end, and checks that its exit code is 0
//	http CODE METHOD URL SIZE   sends SIZE bytes and checks the status CODE. stdout becomes the head and body of
//	                            the answer. In URL, gateway: and metrics: are the addresses in the latest ready line
func TestScripts(t *testing.T) {
	t.Parallel() // runs with the other one that mostly waits
	scripts, err := filepath.Glob(filepath.Join("testdata", "script", "*.txtar"))
	if err != nil || len(scripts) == 0 {
		t.Fatalf("%d scripts found: %v", len(scripts), err)
	}
	if testing.Short() {
		scripts = slices.DeleteFunc(scripts, func(path string) bool {
			b, err := os.ReadFile(path)
			return err == nil && bytes.Contains(b, []byte("\nup "))
		})
	}
	testscript.Run(t, testscript.Params{
		Files: scripts,
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", filepath.Join(env.WorkDir, "home"))
			env.Setenv("XDG_CONFIG_HOME", "")
			env.Setenv("WALRUS_CONFIG", "")
			env.Setenv("WALRUS_LOG_LEVEL", "")
			env.Values[procsKey{}] = make(map[string]*proc)
			env.Values[readyKey{}] = make(map[string]string)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": scriptExits, "up": scriptUp,
			"down": scriptDown, "http": scriptHTTP},
	})
}

type (
	procsKey struct{}
	readyKey struct{} // of the latest ready line
)

func scriptExits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE command...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	code := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit := (*exec.ExitError)(nil)
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		code = exit.ExitCode()
	}
	if code != want {
		ts.Fatalf("exit code %d, want %d", code, want)
	}
	stderr := ts.ReadFile("stderr")
	if want != 0 && (wantsJSON(args) || slices.Contains(args, "json")) {
		var f failure
		dec := json.NewDecoder(strings.NewReader(stderr))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&f); err != nil || f.Error == "" || f.Code != want || f.Hint == "" ||
			strings.Count(stderr, "\n") != 1 {
			ts.Fatalf("stderr is not one object with error, code and hint: %v, %+v", err, f)
		}
		return
	}
	lines := strings.SplitAfter(stderr, "\n") // the last is empty
	hinted := len(lines) == 3 && strings.HasPrefix(lines[1], "walrus: hint: ")
	if want != 0 && (!strings.HasPrefix(stderr, "walrus: ") || len(lines) != 2 && !hinted ||
		strings.Contains(stderr, "goroutine ")) {
		ts.Fatalf("stderr is not one line that begins with walrus: and perhaps a hint")
	}
	if want == exitUsage && ts.ReadFile("stdout") != "" {
		ts.Fatalf("wrong usage printed something on stdout")
	}
}

func scriptUp(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: up NAME args...")
	}
	for i, arg := range args[1:] {
		if i > 0 && (args[i] == "--dir" || args[i] == "--home") {
			args[i+1] = ts.MkAbs(arg) // the process starts in another directory than the script
		}
	}
	procs := ts.Value(procsKey{}).(map[string]*proc)
	p, err := startProc(context.Background(), ts.MkAbs(args[0]+".log"), args[1:]...)
	ts.Check(err)
	procs[args[0]] = p
	ts.Defer(func() { _ = p.kill() })
	line, err := p.ready()
	ts.Check(err)
	ts.Value(readyKey{}).(map[string]string)["line"] = line
	_, err = ts.Stdout().Write([]byte(line + "\n"))
	ts.Check(err)
}

func scriptHTTP(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 4 {
		ts.Fatalf("usage: http CODE METHOD URL SIZE")
	}
	url := args[2]
	if where, path, ok := strings.Cut(url, ":"); ok {
		var up map[string]any
		ts.Check(json.Unmarshal([]byte(ts.Value(readyKey{}).(map[string]string)["line"]), &up))
		at, ok := up[where].(string)
		if !ok {
			ts.Fatalf("the ready line has no %s", where)
		}
		url = at + path
	}
	size, err := strconv.Atoi(args[3])
	ts.Check(err)
	req, err := http.NewRequest(args[1], url, bytes.NewReader(make([]byte, size)))
	ts.Check(err)
	res, err := http.DefaultClient.Do(req)
	ts.Check(err)
	answer, err := httputil.DumpResponse(res, true)
	ts.Check(errors.Join(err, res.Body.Close()))
	_, err = ts.Stdout().Write(answer)
	ts.Check(err)
	if want, err := strconv.Atoi(args[0]); err != nil || res.StatusCode != want {
		ts.Fatalf("%s, want %s", res.Status, args[0])
	}
}

func scriptDown(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: down NAME")
	}
	p := ts.Value(procsKey{}).(map[string]*proc)[args[0]]
	if p == nil {
		ts.Fatalf("there is no process %s", args[0])
	}
	if err := p.stop(); err != nil {
		ts.Fatalf("%v\n%s", err, p.tail())
	}
}
