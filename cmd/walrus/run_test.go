package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"walrus/client"
)

func noEnv(string) string { return "" }

type panicWriter struct{}

func (panicWriter) Write([]byte) (int, error) { panic("a bug\nwith two lines") }

func TestPanicIsOneLine(t *testing.T) {
	var stderr bytes.Buffer
	code := run(t.Context(), []string{"version"}, nil, panicWriter{}, &stderr, noEnv)
	if want := "walrus: internal error: a bug with two lines: please report this\n"; code != exitFailed ||
		stderr.String() != want {
		t.Errorf("exit code %d, stderr %q: want %q", code, &stderr, want)
	}
}

// errWriter fails every write.
type errWriter struct{ err error }

func (w errWriter) Write([]byte) (int, error) { return 0, w.err }

func TestStdoutErrors(t *testing.T) {
	for _, tt := range []struct {
		err  error
		code int
		want string // on stderr
	}{
		{&os.PathError{Op: "write", Path: "/dev/stdout", Err: syscall.EPIPE}, exitDone, ""},
		{io.ErrClosedPipe, exitDone, ""},
		{&os.PathError{Op: "write", Path: "/dev/stdout", Err: syscall.ENOSPC}, exitFailed,
			"write /dev/stdout: no space left on device"},
	} {
		for _, command := range [][]string{{"version"}, {"version", "--json"}} {
			var stderr bytes.Buffer
			code := run(t.Context(), command, nil, errWriter{tt.err}, &stderr, noEnv)
			if code != tt.code || (stderr.Len() > 0) != (tt.want != "") || !strings.Contains(stderr.String(), tt.want) {
				t.Errorf("%v, %v: exit code %d, stderr %q: want %d, %q", command, tt.err, code, &stderr, tt.code, tt.want)
			}
		}
	}
}

func TestExitCodes(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want int
	}{
		{nil, exitDone},
		{errors.New("x"), exitFailed},
		{fmt.Errorf("x: %w", usagef("y")), exitUsage},
		{fmt.Errorf("read: %w", client.ErrNotFound), exitNotFound},
		{fmt.Errorf("x: %w", &client.NotEnoughError{Op: "store"}), exitNotEnough},
		{errors.Join(client.ErrNotFound, errors.New("and closing failed")), exitNotFound},
		{&toldError{code: exitNotEnough}, exitNotEnough},
		{context.DeadlineExceeded, exitFailed},
	} {
		if got := exitCode(tt.err); got != tt.want {
			t.Errorf("%v: exit code %d, want %d", tt.err, got, tt.want)
		}
	}
}

// TestInterrupted waits for standard input that never comes.
func TestInterrupted(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	for _, tt := range []struct {
		command []string
		want    string
	}{{[]string{"blob-id", "-"}, "walrus: interrupted\n"}, {[]string{"json"}, `{"error":"interrupted","code":1,`}} {
		r, w := io.Pipe()
		defer w.Close()
		ctx, cancel := context.WithCancelCause(t.Context()) // as signal.NotifyContext does
		var stdout, stderr bytes.Buffer
		done := make(chan int)
		go func() { done <- run(ctx, tt.command, r, &stdout, &stderr, noEnv) }()
		if _, err := w.Write([]byte("beginning")); err != nil { // it has begun to read
			t.Fatal(err)
		}
		cancel(errors.New("interrupt signal received"))
		if code := <-done; code != exitFailed || !strings.HasPrefix(stderr.String(), tt.want) || stdout.Len() > 0 {
			t.Errorf("exit code %d, stderr %q, stdout %q", code, &stderr, &stdout)
		}
		if left, err := os.ReadDir(os.TempDir()); err != nil || len(left) > 0 {
			t.Errorf("left behind: %v, %v", left, err)
		}
	}
}

func TestProtectIDs(t *testing.T) {
	const id = "-cU82Mwf-CFkv1LaI_2qcpANwpGUuG3TMwnVzZxD2kY"
	for _, tt := range []struct{ in, want []string }{
		{[]string{"read", id, "-o", "x"}, []string{"read", idMark + id, "-o", "x"}},
		{[]string{"store", "--", id}, []string{"store", "--", id}},
		{[]string{"read", id[:42], "-", "--json"}, []string{"read", id[:42], "-", "--json"}},
		{[]string{"read", "R" + id[1:]}, []string{"read", "R" + id[1:]}},
	} {
		if got := protectIDs(tt.in); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
	if got, err := parseBlobID(idMark + id); err != nil || got.String() != id {
		t.Errorf("got %s, %v", got, err)
	}
}

func TestTexts(t *testing.T) {
	for _, tt := range []struct{ got, want string }{
		{shardList(nil), "0"},
		{shardList([]int{3}), "1: 3"},
		{shardList([]int{0, 1, 2, 5, 7, 8}), "6: 0-2,5,7-8"},
		{shardList([]int{0, 2, 4, 6, 8, 10, 12}), "7: 0,2,4,6,8,10,…"},
		{byteSize(uint64(0)), "0 B"},
		{byteSize(int64(1023)), "1023 B"},
		{byteSize(int64(1 << 10)), "1.00 KiB"},
		{byteSize(int64(3 << 19)), "1.50 MiB"},
		{byteSize(uint64(1<<64 - 1)), "16.00 EiB"},
		{plural(1, "file"), "1 file"},
		{plural(0, "file"), "0 files"},
		{plural(uint32(12), "unused resource"), "12 unused resources"},
		{endEpoch(7), "the start of epoch 7"},
		{oneLine(" a\n\tb  c\r\n"), "a b  c"},
	} {
		if tt.got != tt.want {
			t.Errorf("got %q, want %q", tt.got, tt.want)
		}
	}
}

func TestInlineBlobIsBounded(t *testing.T) {
	var b inlineBlob
	if _, err := b.Write(make([]byte, maxInlineBlob)); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Write([]byte{0}); err == nil || !strings.Contains(err.Error(), "-o FILE") {
		t.Errorf("got %v", err)
	}
}
