package engine

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/cometbft/cometbft/libs/log"
)

// levelTrace is CometBFT's debug level: a line for every packet and vote.
const levelTrace = slog.LevelDebug - 4

// halt returns the reason if a line of CometBFT's log means that consensus has stopped for good while the process
// lives on; empty for other lines. The error in the line tells a diverged state from a peer's bad block: a block is
// checked against the state only after more than 2/3 have signed it.
func halt(msg, err string) string {
	forked := strings.Contains(err, "wrong Block.Header.AppHash") ||
		strings.Contains(err, "wrong Block.Header.LastResultsHash")
	failed := strings.HasPrefix(msg, "CONSENSUS FAILURE")
	switch {
	case forked && (failed || msg == "Error in validation"):
		return "the state here differs from what the validators agreed on: it is damaged, or this program differs from theirs"
	case failed:
		return "consensus cannot go on"
	}
	return ""
}

// harmless lists lines that CometBFT logs as errors whenever parts start and stop.
var harmless = map[string]bool{
	"Error stopping pool":                                    true,
	"Error stopping consensus state":                         true,
	"Not stopping State service -- has not been started yet": true,
	"Connection failed @ sendRoutine":                        true, // links handle it
	"SendTimeout":                                            true, // another peer is asked, or block sync is over
	"Failed to add block":                                    true, // the block came from two peers
}

// logger writes CometBFT's log one level lower: its info lines do not concern an operator. Lines that halt knows
// become a call of fail.
type logger struct {
	log  func(level slog.Level, with []any, msg string, args ...any)
	with []any // keys and values added to every line
	fail func(error) (first bool)
}

// newLogger returns a logger that writes to log. CometBFT logs from its own goroutines and passes no context, so all
// lines have ctx, in which the chain is opened.
func newLogger(ctx context.Context, log *slog.Logger, fail func(error) bool) *logger {
	write := func(level slog.Level, with []any, msg string, args ...any) {
		if log.Enabled(ctx, level) {
			log.With(with...).Log(ctx, level, msg, args...)
		}
	}
	return &logger{log: write, fail: fail}
}

var _ log.Logger = (*logger)(nil)

func (l *logger) Debug(msg string, args ...any) { l.log(levelTrace, l.with, msg, args...) }

func (l *logger) Info(msg string, args ...any) { l.log(slog.LevelDebug, l.with, msg, args...) }

func (l *logger) Warn(msg string, args ...any) { l.log(slog.LevelInfo, l.with, msg, args...) }

func (l *logger) Error(msg string, args ...any) {
	text := fmt.Sprint(value(args, "err"))
	if why := halt(msg, text); why != "" {
		if l.fail(fmt.Errorf("%w: %s: %s", ErrHalted, why, text)) {
			l.log(slog.LevelDebug, nil, "consensus has halted", "err", text, "stack", fmt.Sprint(value(args, "stack")))
		}
		return
	}
	level := slog.LevelWarn
	if harmless[msg] {
		level = slog.LevelDebug
	}
	l.log(level, l.with, msg, args...)
}

// With implements log.Logger. CometBFT makes many loggers for each vote and peer whose lines are hardly ever written,
// so their keys and values are formatted only with a line.
func (l *logger) With(args ...any) log.Logger {
	return &logger{l.log, append(slices.Clip(l.with), args...), l.fail}
}

// value returns the value of key in a list of keys and values.
func value(args []any, key string) any {
	for i := 0; i+1 < len(args); i += 2 {
		if args[i] == key {
			return args[i+1]
		}
	}
	return nil
}
