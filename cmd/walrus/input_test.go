package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"filippo.io/age"

	"walrus/client"
	"walrus/internal/userfile"
)

func testApp() (*app, *bytes.Buffer) {
	stderr := &bytes.Buffer{}
	return &app{terminal: terminal{stdin: strings.NewReader(""), stdout: &output{until: io.Discard}, stderr: stderr},
		env: noEnv}, stderr
}

func writeFile(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// systemFile returns a regular file that reports no bytes, but has some.
func systemFile(t *testing.T) (path, content string) {
	t.Helper()
	path = "/proc/version"
	st, err := os.Stat(path)
	if err != nil || st.Size() != 0 || !st.Mode().IsRegular() {
		t.Skipf("no file here that says nothing of its size: %v", err)
	}
	b, err := os.ReadFile(path)
	if err != nil || len(b) == 0 {
		t.Fatalf("%q, %v", b, err)
	}
	return path, string(b)
}

func TestInputOfUnknownSize(t *testing.T) {
	path, want := systemFile(t)
	a, _ := testApp()
	in, err := a.openInput(t.Context(), path, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if got, err := io.ReadAll(io.NewSectionReader(in, 0, int64(in.size))); err != nil || string(got) != want {
		t.Errorf("%q, %v: want %q", got, err, want)
	}
	quilt, err := a.newQuiltInput(t.Context(), []string{path}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer quilt.Close()
	f := quilt.files[0]
	if got, err := io.ReadAll(io.NewSectionReader(f.Content, 0, f.Size)); err != nil || string(got) != want {
		t.Errorf("in a quilt: %q, %v: want %q", got, err, want)
	}
}

// TestEndlessInput: a source that never ends is given up once it is larger than any blob.
func TestEndlessInput(t *testing.T) {
	a, _ := testApp()
	a.largest = 100_000
	dir := t.TempDir()
	for path, stdin := range map[string]io.Reader{"/dev/zero": nil, "-": io.MultiReader(strings.NewReader("x"), zeros{})} {
		if _, err := os.Stat(path); err != nil && path != "-" {
			t.Skipf("no endless device here: %v", err)
		}
		a.stdin = stdin
		_, err := a.openInput(t.Context(), path, dir)
		var tooLong *userfile.TooLongError
		if !errors.As(err, &tooLong) || tooLong.Most != a.largest ||
			!strings.HasPrefix(err.Error(), "keep a copy of "+spoken(path)) {
			t.Errorf("%s: %v", path, err)
		}
	}
	a.stdin = strings.NewReader(strings.Repeat("x", int(a.largest)))
	in, err := a.openInput(t.Context(), "-", dir)
	if err != nil || in.size != uint64(a.largest) {
		t.Fatalf("the largest source: %v", err)
	}
	if err := in.Close(); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// zeros never ends.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// TestEmptyInput: an empty file is not copied, because its size is right.
func TestEmptyInput(t *testing.T) {
	a, stderr := testApp()
	in, err := a.openInput(t.Context(), writeFile(t, t.TempDir(), "empty", ""), t.TempDir())
	if err != nil || in.size != 0 || in.temp || stderr.Len() > 0 {
		t.Fatalf("%+v, %v, %s", in, err, stderr)
	}
	if err := in.Close(); err != nil {
		t.Error(err)
	}
}

// TestGrowingInput: a file that grows between the looks at it does not pass for one that misreports its size.
func TestGrowingInput(t *testing.T) {
	a, _ := testApp()
	for _, before := range []string{"", "content"} {
		path := writeFile(t, t.TempDir(), "log", before)
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		st, err := f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Dir(path), "log", before+" and more")
		_, ok, err := asLongAsItSays(t.Context(), path, f, st)
		_, spooling := a.spoolFile(t.Context(), path, nil, f, st, t.TempDir())
		for _, err := range []error{err, spooling} {
			if ok || err == nil || !strings.HasPrefix(err.Error(), path+" changed while it was read, from ") {
				t.Errorf("%q: %v, %v", before, ok, err)
			}
		}
	}
}

// changes lists what may happen to a file between its two readings.
var changes = map[string]func(path string) error{
	"longer":  func(path string) error { return os.WriteFile(path, []byte("longer than it was"), 0o600) },
	"shorter": func(path string) error { return os.WriteFile(path, []byte("l"), 0o600) },
	"another": func(path string) error {
		return errors.Join(os.WriteFile(path, []byte("CONTENT"), 0o600), os.Chtimes(path, time.Time{}, time.Unix(1e9, 0)))
	},
}

func TestInputThatChanges(t *testing.T) {
	a, _ := testApp()
	for name, change := range changes {
		path := writeFile(t, t.TempDir(), "file", "content")
		in, err := a.openInput(t.Context(), path, "")
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		refused := fmt.Errorf("store: %w", &client.NotEnoughError{Op: "store"})
		if err := in.unchanged(); err != nil || blame(refused, in.unchanged) != refused { //nolint:errorlint // this very error
			t.Errorf("%s: before: %v", name, err)
		}
		if err := change(path); err != nil {
			t.Fatal(err)
		}
		_, reading := in.ReadAt(make([]byte, 3), 0)
		for _, err := range []error{reading, in.unchanged(), blame(fmt.Errorf("store: encode: %w", reading), in.unchanged),
			blame(refused, in.unchanged)} {
			if exitCode(err) != exitFailed || err == nil || !strings.HasPrefix(err.Error(), path+" changed while it was read") {
				t.Errorf("%s: exit code %d, %v", name, exitCode(err), err)
			}
		}
	}
}

func TestQuiltFileThatChanges(t *testing.T) {
	a, _ := testApp()
	for name, change := range changes {
		for _, small := range []bool{true, false} {
			path := writeFile(t, t.TempDir(), "file", "content")
			in, err := a.newQuiltInput(t.Context(), []string{path}, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer in.Close()
			in.open[0].(*pathContent).small = small
			if err := change(path); err != nil {
				t.Fatal(err)
			}
			_, err = in.files[0].Content.ReadAt(make([]byte, 3), 0)
			if err := blame(err, in.unchanged); exitCode(err) != exitFailed || err == nil ||
				!strings.HasPrefix(err.Error(), path+" changed") {
				t.Errorf("%s, small %v: %v", name, small, err)
			}
			if err := in.unchanged(); small != (err == nil) { // a small file is in memory by now, or was not read
				t.Errorf("%s, small %v: afterwards %v", name, small, err)
			}
		}
	}
}

// TestInterruptedAtPipe: the other end is missing, and only the user ends the wait.
func TestInterruptedAtPipe(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Skipf("no named pipes here: %v", err)
	}
	const id = "RcU82Mwf-CFkv1LaI_2qcpANwpGUuG3TMwnVzZxD2kY"
	for _, args := range [][]string{
		{"blob-id", pipe},
		{"read", id, "-o", pipe + "2"},
		{"read", id, "--identity", pipe},
		{"store", "--passphrase-file", pipe, "x"},
		{"store", "--recipient", "@" + pipe, "x"},
		{"encryption-key", "show", pipe},
	} {
		_ = os.Remove(pipe + "2") // another pipe: a reader and a writer of the same one would meet
		if err := syscall.Mkfifo(pipe+"2", 0o600); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var stdout, stderr bytes.Buffer
		time.AfterFunc(20*time.Millisecond, cancel)
		if code := run(ctx, args, nil, &stdout, &stderr, noEnv); code != exitFailed ||
			stderr.String() != "walrus: interrupted\n" {
			t.Errorf("%v: exit code %d, stderr %q", args, code, &stderr)
		}
	}
}

// TestMarkedPassphrase reads passphrase files as editors of some systems write them.
func TestMarkedPassphrase(t *testing.T) {
	a, _ := testApp()
	dir := t.TempDir()
	for text, want := range map[string]string{
		"word\n": "word", "\xef\xbb\xbfword\r\nmore": "word", "wörd": "wörd",
		"\xff\xfew\x00o\x00\n\x00": "", "wo\x00rd": "", "w\xf6rd": "", "\xef\xbb\xbf\n": "",
	} {
		p := passphraseFlags{file: writeFile(t, dir, "word", text)}
		got, err := p.get(t.Context(), a, true)
		if got != want || (err == nil) != (want != "") || err != nil && !strings.Contains(err.Error(), p.file) {
			t.Errorf("%q: %q, %v: want %q", text, got, err, want)
		}
	}
	set := func(word string) { a.env = func(string) string { return word } }
	for text, want := range map[string]string{"\xef\xbb\xbfword": "word", "wörd": "wörd", "w\xf6rd": ""} {
		set(text)
		got, err := (&passphraseFlags{wanted: true}).get(t.Context(), a, true)
		if got != want || (err == nil) != (want != "") || err != nil && !strings.Contains(err.Error(), "$WALRUS_PASSPHRASE") {
			t.Errorf("in the environment, %q: %q, %v: want %q", text, got, err, want)
		}
		if _, err := (&passphraseFlags{wanted: true}).get(t.Context(), a, false); err != nil {
			t.Errorf("in the environment, to read with, %q: %v", text, err)
		}
	}
	// A blob encrypted by an earlier version, mark included, can still be decrypted.
	d := decryptFlags{decrypt: true, passphrase: passphraseFlags{file: writeFile(t, dir, "word", "\xef\xbb\xbfword\n")}}
	identities, err := d.get(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	set("\ufeffword")
	d = decryptFlags{decrypt: true, passphrase: passphraseFlags{wanted: true}}
	more, err := d.get(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	if len(more) != len(identities) {
		t.Errorf("the environment gives %d identities, a file %d", len(more), len(identities))
	}
	for _, word := range []string{"word", "\ufeffword"} {
		var sealed bytes.Buffer
		r, err := age.NewScryptRecipient(word)
		if err != nil {
			t.Fatal(err)
		}
		r.SetWorkFactor(2)
		w, err := age.Encrypt(&sealed, r)
		if err == nil {
			err = w.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := age.Decrypt(&sealed, identities...); err != nil {
			t.Errorf("%q: %v", word, err)
		}
	}
}

func TestMarkedKeys(t *testing.T) {
	dir := t.TempDir()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	key := writeFile(t, dir, "key", "\xef\xbb\xbf"+id.String()+"\n")
	if _, err := loadIdentities(t.Context(), key); err == nil ||
		!strings.Contains(err.Error(), key+": it begins with a byte order mark (BOM)") {
		t.Errorf("identity: %v", err)
	}
	team := writeFile(t, dir, "team", "\xef\xbb\xbf# us\n"+id.Recipient().String()+"\n")
	if _, err := parseRecipients(t.Context(), []string{"@" + team}); err == nil ||
		!strings.Contains(err.Error(), team+": it begins with a byte order mark (BOM)") {
		t.Errorf("recipients: %v", err)
	}
}
