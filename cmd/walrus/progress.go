package main

import (
	"io"
	"os"

	"github.com/cheggaaa/pb/v3"
	"golang.org/x/term"

	"walrus/client"
)

const barTemplate = `{{string . "prefix"}} {{bar . "[" "=" ">" " " "]"}} {{percent .}} {{counters .}} {{speed .}} {{rtime . "%s left"}}`

// bars shows the stages of one operation on stderr, one bar after the other.
type bars struct {
	app   *app
	what  string
	stage client.Stage
	bar   *pb.ProgressBar // nil before the first report
}

// newBars returns nil, which shows nothing, unless a person is looking.
func (a *app) newBars(what string) *bars {
	if a.global.json || !isTerminal(a.stderr) {
		return nil
	}
	return &bars{app: a, what: what}
}

// progress is what the client calls.
func (b *bars) progress() client.Progress {
	if b == nil {
		return nil
	}
	return func(stage client.Stage, done, total int64) {
		if b.bar == nil || b.stage != stage {
			b.finish()
			b.stage = stage
			b.bar = pb.New64(total).Set(pb.Bytes, true).Set("prefix", stage.String()+" "+visible(b.what)).
				SetTemplateString(barTemplate).SetWriter(b.app.stderr).SetWidth(barWidth(b.app.stderr)).Set(pb.CleanOnFinish, true).Start()
		}
		b.bar.SetTotal(total).SetCurrent(done)
	}
}

// plainWidth is taken for the width of a terminal that does not know its own, as in a container or on a serial line.
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

// finish removes the bar that is on the screen.
func (b *bars) finish() {
	if b != nil && b.bar != nil {
		b.bar.Finish()
		b.bar = nil
	}
}

// encoding is progress for those who encode without a client.
func (b *bars) encoding() func(done, total int64) {
	if b == nil {
		return nil
	}
	report := b.progress()
	return func(done, total int64) { report(client.Encoding, done, total) }
}
