package engine

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/cometbft/cometbft/libs/log"
)

// levelTrace is CometBFT's debug level: every packet and vote.
const levelTrace = slog.LevelDebug - 4

// halt says what a line of CometBFT's log means with which it has stopped for good, though the process lives on; empty for
// any other line. The text of the error tells a state that went its own way from a peer's bad block: blocks are checked
// against it only once more than 2/3 have signed them.
func halt(msg, err string) string {
	forked := strings.Contains(err, "wrong Block.Header.AppHash") || strings.Contains(err, "wrong Block.Header.LastResultsHash")
	failed := strings.HasPrefix(msg, "CONSENSUS FAILURE")
	switch {
	case forked && (failed || msg == "Error in validation"):
		return "the state here differs from what the validators agreed on; it is damaged, or this program differs from theirs"
	case failed:
		return "consensus cannot go on"
	}
	return ""
}

// harmless are errors to CometBFT that happen whenever things start and stop.
var harmless = map[string]bool{
	"Error stopping pool":                                    true,
	"Error stopping consensus state":                         true,
	"Not stopping State service -- has not been started yet": true,
	"Connection failed @ sendRoutine":                        true, // links know
	"Failed to add block":                                    true, // one that came from two peers
}

// logger passes CometBFT's log on, a level lower than it is meant: what it calls info is of no concern to an operator.
// The lines that halt knows become a call of fail.
type logger struct {
	log  *slog.Logger
	with []any // keys and values of every line
	fail func(error) (first bool)
}

var _ log.Logger = (*logger)(nil)

// Debug implements log.Logger.
func (l *logger) Debug(msg string, args ...any) { l.write(levelTrace, msg, args) }

// Info implements log.Logger.
func (l *logger) Info(msg string, args ...any) { l.write(slog.LevelDebug, msg, args) }

// Warn implements log.Logger.
func (l *logger) Warn(msg string, args ...any) { l.write(slog.LevelInfo, msg, args) }

// Error implements log.Logger.
func (l *logger) Error(msg string, args ...any) {
	text := fmt.Sprint(value(args, "err"))
	if why := halt(msg, text); why != "" {
		if l.fail(fmt.Errorf("%w: %s: %s", ErrHalted, why, text)) {
			l.log.Debug("consensus has halted", "err", text, "stack", fmt.Sprint(value(args, "stack")))
		}
		return
	}
	level := slog.LevelWarn
	if harmless[msg] {
		level = slog.LevelDebug
	}
	l.write(level, msg, args)
}

// With implements log.Logger. CometBFT makes loggers for lines that are hardly ever written, many for each vote and each
// peer: what they would add costs nothing before there is a line.
func (l *logger) With(args ...any) log.Logger {
	return &logger{l.log, append(slices.Clip(l.with), args...), l.fail}
}

func (l *logger) write(level slog.Level, msg string, args []any) {
	// No context: CometBFT logs from goroutines of its own.
	if ctx := context.TODO(); l.log.Enabled(ctx, level) {
		l.log.With(l.with...).Log(ctx, level, msg, args...)
	}
}

// value finds key in a list of keys and values.
func value(args []any, key string) any {
	for i := 0; i+1 < len(args); i += 2 {
		if args[i] == key {
			return args[i+1]
		}
	}
	return nil
}
