package machine

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"walrus/ledger"
)

// args are the words after a command: some with a name, some without.
type args struct {
	t     testing.TB
	words []string
	used  map[string]bool
}

func newArgs(t testing.TB, words []string) args { return args{t, words, map[string]bool{}} }

// text of name=text, or of a word +text or -text if name is that sign.
func (a args) text(name, otherwise string) string {
	for _, w := range a.words {
		if value, ok := strings.CutPrefix(w, name+"="); ok {
			a.used[w] = true
			return value
		}
		if value, ok := strings.CutPrefix(w, name); ok && name == "+" {
			return value
		}
	}
	return otherwise
}

// has a word, with a value or without.
func (a args) has(name string) bool {
	for _, w := range a.words {
		if w == name || strings.HasPrefix(w, name+"=") {
			a.used[w] = true
			return true
		}
	}
	return false
}

// at is the i-th word.
func (a args) at(i int) string {
	a.t.Helper()
	if i >= len(a.words) {
		a.t.Fatalf("operation %q: it takes more", a.words)
	}
	a.used[a.words[i]] = true
	return a.words[i]
}

// rest are the names of those not asked for.
func (a args) rest() []string {
	var rest []string
	for _, w := range a.words {
		if !a.used[w] {
			name, _, _ := strings.Cut(w, "=")
			rest = append(rest, name)
		}
	}
	return rest
}

func (a args) number(name string, otherwise uint64) uint64 {
	a.t.Helper()
	text := a.text(name, "")
	if text == "" {
		return otherwise
	}
	return parseNumber(a.t, text)
}

// offset is the number itself, or with a sign what it is off from expected.
func (a args) offset(name string, expected uint64) uint64 {
	a.t.Helper()
	text := a.text(name, "+0")
	n := parseNumber(a.t, strings.TrimLeft(text, "+-"))
	switch text[0] {
	case '+':
		return expected + n
	case '-':
		return expected - n
	}
	return n
}

func (a args) epoch(name string, otherwise uint32) uint32 {
	return uint32(a.number(name, uint64(otherwise)))
}

func (a args) bytes(name string, otherwise uint64) uint64 { return a.number(name, otherwise) }

func (a args) amount(name string, otherwise ledger.Amount) ledger.Amount {
	a.t.Helper()
	text := a.text(name, "")
	if text == "" {
		return otherwise
	}
	return parseAmount(a.t, text)
}

func (a args) duration(name string, otherwise time.Duration) time.Duration {
	a.t.Helper()
	text := a.text(name, "")
	if text == "" {
		return otherwise
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		a.t.Fatal(err)
	}
	return d
}

// parseNumber reads 12, 3KiB, 10MiB or max.
func parseNumber(t testing.TB, text string) uint64 {
	t.Helper()
	if text == "max" {
		return 1<<64 - 1
	}
	unit := uint64(1)
	for i, suffix := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if digits, ok := strings.CutSuffix(text, suffix); ok {
			text, unit = digits, 1<<(10*(i+1))
		}
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n * unit
}

func parseAmount(t testing.TB, text string) ledger.Amount {
	t.Helper()
	if text == "max" {
		return 1<<64 - 1
	}
	a, err := ledger.ParseAmount(text)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func sortedAttributes(pairs []string) (all []ledger.Attribute) {
	for _, pair := range pairs {
		key, value, _ := strings.Cut(pair, ":")
		all = append(all, ledger.Attribute{Key: key, Value: value})
	}
	slices.SortFunc(all, func(a, b ledger.Attribute) int { return strings.Compare(a.Key, b.Key) })
	return all
}
