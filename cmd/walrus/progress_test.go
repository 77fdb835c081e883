//go:build linux

package main

import (
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"walrus/client"
)

// newTerminal opens a terminal, which has no width until one is set.
func newTerminal(t *testing.T) *os.File {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { _ = master.Close() })
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Skip(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Skip(err)
	}
	terminal, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { _ = terminal.Close() })
	return terminal
}

// TestBarWidth draws a bar on a terminal of width 0.
func TestBarWidth(t *testing.T) {
	screen := newTerminal(t)
	b := (&terminal{stderr: screen}).newBars("a file")
	if b == nil {
		t.Fatal("no bar on a terminal")
	}
	b.progress()(client.Reading, 1, 2)
	if w := b.bar.Width(); w != plainWidth {
		t.Errorf("the bar has %d columns on a terminal of width 0, want %d", w, plainWidth)
	}
	b.finish()
	if err := unix.IoctlSetWinsize(int(screen.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 132}); err != nil {
		t.Fatal(err)
	}
	if w := barWidth(screen); w != 0 {
		t.Errorf("a bar on a terminal that knows its width has %d columns, want 0: as many as it has", w)
	}
}
