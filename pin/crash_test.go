package pin

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"walrus/shards"
)

// crashEnv makes this test binary a pinner, to be killed.
const crashEnv = "WALRUS_PIN_CRASH_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashEnv); dir != "" {
		if err := pinUntilKilled(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

const crashShards = 31

// pinUntilKilled runs a keeper whose source has the blobs of crashBlob, and notes each row that it gives.
func pinUntilKilled(dir string) error {
	notes, err := os.OpenFile(filepath.Join(dir, "rows"), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	src, err := newDiskSource(dir, notes)
	if err != nil {
		return err
	}
	k, err := Open(Config{Dir: filepath.Join(dir, "pins"), Params: src.params, Source: src, Schedule: Schedule{FirstRetry: 50 * time.Millisecond}})
	if err != nil {
		return err
	}
	return k.Run(context.Background())
}

// diskSource gives blobs from files, a row at a time, slowly.
type diskSource struct {
	params shards.Params
	dir    string
	notes  *os.File
}

func newDiskSource(dir string, notes *os.File) (*diskSource, error) {
	p, err := shards.NewParams(crashShards)
	return &diskSource{p, dir, notes}, err
}

func (d *diskSource) Open(_ context.Context, id shards.BlobID, _ []string) (Remote, error) {
	raw, err := os.ReadFile(filepath.Join(d.dir, id.String()+metadataExt))
	if err != nil {
		return nil, err
	}
	meta, err := shards.UnmarshalMetadata(d.params, id, raw)
	if err != nil {
		return nil, err
	}
	content, err := os.ReadFile(filepath.Join(d.dir, id.String()+ContentExt))
	return diskBlob{d, id, meta, content}, err
}

type diskBlob struct {
	from    *diskSource
	id      shards.BlobID
	meta    *shards.Metadata
	content []byte
}

func (b diskBlob) Metadata() *shards.Metadata { return b.meta }

func (b diskBlob) Copy(ctx context.Context, w io.Writer, off, n int64) error {
	row := rowSize(b.from.params, b.meta.Length)
	for at := off; at < off+n; at += row {
		if !sleep(ctx, 80*time.Millisecond) {
			return ctx.Err()
		}
		if _, err := fmt.Fprintf(b.from.notes, "%s %d\n", b.id, at/row); err != nil {
			return err
		}
		if _, err := w.Write(b.content[at:min(at+row, off+n)]); err != nil {
			return err
		}
	}
	return nil
}

// TestCrash kills a pinner again and again while it pins. Nothing is lost, nothing counts as pinned that is not whole,
// and no row is fetched twice but those on their way when it was killed.
func TestCrash(t *testing.T) {
	blobs, kills := 200, 100
	if testing.Short() {
		blobs, kills = 20, 8
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	dir := t.TempDir()
	src, err := newDiskSource(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	k, err := Open(Config{Dir: filepath.Join(dir, "pins"), Params: src.params, Source: src})
	if err != nil {
		t.Fatal(err)
	}
	wanted := map[string]shards.BlobID{}
	rows := 0
	for i := range blobs {
		content := randomBytes(uint64(i), 20_000+random.IntN(20_000))
		meta, _, err := shards.Encode(src.params, content)
		if err != nil {
			t.Fatal(err)
		}
		id := meta.ID()
		for name, b := range map[string][]byte{metadataExt: meta.Marshal(), ContentExt: content} {
			if err := os.WriteFile(filepath.Join(dir, id.String()+name), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		r, err := k.Add(t.Context(), Request{Blob: id})
		if err != nil {
			t.Fatal(err)
		}
		wanted[r.ID] = id
		rows += liveRows(src.params, meta.Length)
	}
	if err := k.Close(); err != nil {
		t.Fatal(err)
	}
	notes, given := filepath.Join(dir, "rows"), 0
	if err := os.WriteFile(notes, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for i := range kills {
		run := exec.Command(os.Args[0])
		run.Env = append(os.Environ(), crashEnv+"="+dir)
		var out strings.Builder
		run.Stderr = &out
		if err := run.Start(); err != nil {
			t.Fatal(err)
		}
		before, more := given, 1+random.IntN(2*rows/kills)
		for end := time.Now().Add(20 * time.Second); given < min(before+more, rows) && time.Now().Before(end); {
			sleep(t.Context(), 5*time.Millisecond)
			given = countLines(t, notes)
		}
		_ = run.Process.Signal(syscall.SIGKILL)
		var ended *exec.ExitError
		if err := run.Wait(); !errors.As(err, &ended) || out.Len() > 0 {
			t.Fatalf("run %d: %v: %s", i, err, &out)
		}
		if i%10 == 9 {
			checkWhole(t, dir, src, wanted)
		}
	}
	if given < rows/2 {
		t.Errorf("%d of %d rows were fetched by those that were killed: want more", given, rows)
	}
	k, stop := running(t, Config{Dir: filepath.Join(dir, "pins"), Params: src.params, Source: src2(t, dir)})
	for id := range wanted {
		awaitStatus(t, k, id, Pinned)
	}
	if s := k.Status(); s.Pinned != blobs || s.Requests != blobs || s.Queued+s.Failing != 0 {
		t.Errorf("counts at the end: %+v", s)
	}
	if err := k.Verify(t.Context(), wanted[anyKey(wanted)]); err != nil {
		t.Error(err)
	}
	stop()
	checkWhole(t, dir, src, wanted)
	fetched := countLines(t, notes)
	twice := fetched - rows
	t.Logf("%d rows of %d blobs, %d fetched, %d of them again after %d kills", rows, blobs, fetched, twice, kills)
	if most := kills * 2 * perQueue; twice < 0 || twice > most {
		t.Errorf("%d rows were fetched again: at most %d were on their way", twice, most)
	}
}

func anyKey(m map[string]shards.BlobID) (key string) {
	for key = range m {
		break
	}
	return key
}

// src2 is the source of the last run, which notes rows too.
func src2(t *testing.T, dir string) *diskSource {
	t.Helper()
	notes, err := os.OpenFile(filepath.Join(dir, "rows"), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = notes.Close() })
	src, err := newDiskSource(dir, notes)
	if err != nil {
		t.Fatal(err)
	}
	return src
}

// checkWhole opens the pins and compares every copy that counts as pinned with its content.
func checkWhole(t *testing.T, dir string, src *diskSource, wanted map[string]shards.BlobID) {
	t.Helper()
	k, err := Open(Config{Dir: filepath.Join(dir, "pins"), Params: src.params, Source: src})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := k.Close(); err != nil {
			t.Error(err)
		}
	}()
	pins := 0
	for id, blob := range wanted {
		r, err := k.Request(id)
		if err != nil {
			t.Fatalf("request %s is lost: %v", id, err)
		}
		if r.Status != Pinned {
			continue
		}
		pins++
		c, err := k.openCopy(blob)
		if err != nil {
			t.Fatalf("pinned blob %s: %v", blob, err)
		}
		want, err := os.ReadFile(filepath.Join(dir, blob.String()+ContentExt))
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(want))
		if _, err := c.blob().ReadAt(got, 0); err != nil || string(got) != string(want) {
			t.Fatalf("pinned blob %s is not whole: %v", blob, err)
		}
		_ = c.Close()
	}
	if s := k.Status(); s.Pinned != pins || s.Requests != len(wanted) {
		t.Errorf("counts %+v: %d of %d are pinned", s, pins, len(wanted))
	}
}

func countLines(t *testing.T, name string) (n int) {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	for s := bufio.NewScanner(f); s.Scan(); {
		n++
	}
	return n
}
