package engine

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cometbft/cometbft/consensus"
	"github.com/cometbft/cometbft/libs/log"
)

// The write-ahead log stays as small as recovery allows over many blocks, also after a restart, and always contains
// the end of the last block.
func TestLogIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const file = 64 << 10
		c := newCluster(t, equal(1)...)
		defer c.stopAll()
		c.logFile = file
		n := c.nodes[0]
		said := &warnings{}
		n.log = slog.New(said)
		dir := filepath.Join(c.dir, "0", walDir)
		sent := 0
		for range 3 {
			c.start(0)
			<-n.caughtUp
			for range 40 {
				c.submit(0, fmt.Sprintf("tx %d %s", sent, strings.Repeat("x", 20_000)))
				sent++
				c.has(0, sent, 10*time.Second)
			}
			if begun := walGroup(n.node).MaxIndex(); begun < 5 {
				t.Errorf("the log is at file %d after 40 blocks of 20 kB", begun)
			}
			c.stop(0)
			if size := walSize(t, dir); size > 4*file {
				t.Errorf("after %d blocks of 20 kB the log has %d bytes: want %d at most", sent, size, 4*file)
			}
			height, _, _ := n.app.at()
			if !endOf(t, dir, height) {
				t.Errorf("the log does not have the end of block %d", height)
			}
		}
		if all := said.text(); strings.Contains(all, "replay") || strings.Contains(all, "keeps more") {
			t.Errorf("the log was not fit for recovery:\n%s", all)
		}
	})
}

// walSize returns the size of all files of a log.
func walSize(t *testing.T, dir string) (size int64) {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		info, err := f.Info()
		if err != nil {
			t.Fatal(err)
		}
		size += info.Size()
	}
	return size
}

// endOf reports whether a log has the end of a block, from which CometBFT recovers.
func endOf(t *testing.T, dir string, height int64) bool {
	t.Helper()
	w, err := consensus.NewWAL(filepath.Join(dir, "wal"))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Group().Head.Close()
	w.SetLogger(log.NewNopLogger())
	r, found, err := w.SearchForEndHeight(height, &consensus.WALSearchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if r != nil {
		r.Close()
	}
	return found
}

// warnings collects the warnings of a log.
type warnings struct {
	mu  sync.Mutex
	all []string
}

func (l *warnings) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelWarn }
func (l *warnings) WithAttrs([]slog.Attr) slog.Handler               { return l }
func (l *warnings) WithGroup(string) slog.Handler                    { return l }
func (l *warnings) Handle(_ context.Context, r slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, r.Message)
	return nil
}

func (l *warnings) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.all, "\n")
}

// Only full files of the log are removed, and only those before the first needed one.
func TestRemoveBefore(t *testing.T) {
	dir := t.TempDir()
	names := []string{"wal", "wal.000", "wal.007", "wal.008", "wal.1000", "wal.CORRUPTED", "wal.-01", "other.000"}
	for _, name := range names {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := removeBefore(filepath.Join(dir, "wal"), 8); err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		_, err := os.Stat(filepath.Join(dir, name))
		if gone := name == "wal.000" || name == "wal.007"; (err != nil) != gone {
			t.Errorf("%s: %v: gone should be %t", name, err, gone)
		}
	}
}
