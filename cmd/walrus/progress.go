package main

import (
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/cheggaaa/pb/v3"
	"golang.org/x/term"

	"walrus/client"
)

const barTemplate = `{{string . "prefix"}} {{bar . "[" "=" ">" " " "]"}} {{percent .}} {{counters .}} {{speed .}} {{rtime . "%s left"}}`

// bars shows the stages of one operation on stderr, one bar after the other.
type bars struct {
	terminal *terminal
	what     string
	stage    client.Stage
	bar      *pb.ProgressBar // nil before the first report
}

// newBars returns nil, which shows nothing, unless stderr is a terminal.
func (a *terminal) newBars(what string) *bars {
	if a.global.json || !isTerminal(a.stderr) {
		return nil
	}
	return &bars{terminal: a, what: what}
}

// progress returns the function for the client to call.
func (b *bars) progress() client.Progress {
	if b == nil {
		return nil
	}
	return func(stage client.Stage, done, total int64) {
		if b.bar == nil || b.stage != stage {
			b.finish()
			b.stage = stage
			b.bar = pb.New64(total).Set(pb.Bytes, true).Set("prefix", stage.String()+" "+visible(b.what)).
				SetTemplateString(barTemplate).SetWriter(b.terminal.stderr).SetWidth(barWidth(b.terminal.stderr)).Set(
				pb.CleanOnFinish, true).Start()
		}
		b.bar.SetTotal(total).SetCurrent(done)
	}
}

// plainWidth is the assumed width of a terminal that does not report its own, as in a container or on a serial line.
const plainWidth = 80

// barWidth returns the columns of a bar on w, or 0 to let the bar follow a terminal that knows its width.
func barWidth(w io.Writer) int {
	if f, ok := w.(*os.File); ok {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
			return 0
		}
	}
	return plainWidth
}

func (b *bars) finish() {
	if b != nil && b.bar != nil {
		b.bar.Finish()
		b.bar = nil
	}
}

// encoding returns the progress function for encoding without a client.
func (b *bars) encoding() func(done, total int64) {
	if b == nil {
		return nil
	}
	report := b.progress()
	return func(done, total int64) { report(client.Encoding, done, total) }
}

// fileBars shows the progress of storing files: the stages of one file, or one bar for several at once.
type fileBars struct {
	one      *bars     // for a single file
	terminal *terminal // constant

	mu     sync.Mutex
	sizes  []int64 // as known beforehand; guarded by mu, as the rest
	sent   []int64 // of sizes
	all    int64   // the sum of sizes
	gone   int64   // the sum of sent
	ended  int
	stored *pb.ProgressBar // nil while it is hidden
}

// newFileBars returns nil, which shows nothing, unless stderr is a terminal.
func (a *terminal) newFileBars(paths []string) *fileBars {
	if len(paths) == 1 {
		return &fileBars{one: a.newBars(paths[0])}
	}
	if a.newBars("") == nil {
		return nil
	}
	f := &fileBars{terminal: a, sizes: make([]int64, len(paths)), sent: make([]int64, len(paths))}
	for i, path := range paths {
		f.sizes[i] = 1 // for an empty file, and one of unknown size
		if st, err := os.Stat(path); err == nil && st.Mode().IsRegular() {
			f.sizes[i] += st.Size()
		}
		f.all += f.sizes[i]
	}
	return f
}

// progress returns the function for the client to call about the i-th file.
func (f *fileBars) progress(i int) client.Progress {
	if f == nil {
		return nil
	}
	if f.terminal == nil {
		return f.one.progress()
	}
	return func(stage client.Stage, done, total int64) {
		f.mu.Lock()
		defer f.mu.Unlock()
		if stage == client.Uploading && total > 0 {
			f.showLocked(i, int64(float64(f.sizes[i])*float64(done)/float64(total)))
		}
	}
}

// done is called when the i-th file is stored or given up.
func (f *fileBars) done(i int) {
	if f == nil || f.terminal == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ended++
	f.showLocked(i, f.sizes[i])
}

// showLocked updates the bar. sent counts the bytes of the i-th file sent so far.
func (f *fileBars) showLocked(i int, sent int64) {
	f.gone += sent - f.sent[i]
	f.sent[i] = sent
	if f.stored == nil {
		f.stored = pb.New64(f.all).Set(pb.Bytes, true).SetTemplateString(barTemplate).SetWriter(f.terminal.stderr).SetWidth(
			barWidth(f.terminal.stderr)).Set(pb.CleanOnFinish, true).Start()
	}
	f.stored.Set("prefix", fmt.Sprintf("storing: %d of %d files", f.ended, len(f.sizes))).SetCurrent(f.gone)
}

// aside hides the bar and calls write, which prints in its place.
func (f *fileBars) aside(write func() error) error {
	if f == nil {
		return write()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.finishLocked()
	return write()
}

func (f *fileBars) finish() {
	if f != nil {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.finishLocked()
	}
}

func (f *fileBars) finishLocked() {
	f.one.finish()
	if f.stored != nil {
		f.stored.Finish()
		f.stored = nil
	}
}
