package ledger

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// field holds a value with a text form. It reports the line of an unreadable value, which the decoder does not, and
// whether the field was there.
type field[T any] struct {
	value T
	set   bool
	bad   bool // there, but unreadable
}

func is[T any](v T) field[T] { return field[T]{value: v, set: true} }

// or returns the value, or other if there was none.
func (f field[T]) or(other T) T {
	if f.set {
		return f.value
	}
	return other
}

// UnmarshalYAML implements yaml.Unmarshaler. The decoder goes on after its errors.
func (f *field[T]) UnmarshalYAML(n *yaml.Node) error {
	f.bad = true
	if n.Kind != yaml.ScalarNode {
		return unreadable("line %d: expected text", n.Line)
	}
	text, ok := any(&f.value).(interface{ UnmarshalText([]byte) error })
	if !ok {
		return unreadable("line %d: %T has no text form", n.Line, f.value)
	}
	if err := text.UnmarshalText([]byte(n.Value)); err != nil {
		return unreadable("line %d: %v", n.Line, err)
	}
	f.set, f.bad = true, false
	return nil
}

func unreadable(format string, args ...any) error {
	return &yaml.TypeError{Errors: []string{fmt.Sprintf(format, args...)}}
}

// MarshalYAML implements yaml.Marshaler.
func (f field[T]) MarshalYAML() (any, error) { return f.value, nil }

// IsZero implements yaml.IsZeroer.
func (f field[T]) IsZero() bool { return !f.set }

// shardList lists the shards of a member, in the text form of formatRanges.
type shardList []int

func (l shardList) MarshalText() ([]byte, error) { return []byte(formatRanges(l)), nil }

func (l *shardList) UnmarshalText(b []byte) (err error) {
	*l, err = parseRanges(string(b))
	return err
}

// timeText is a time in the format of RFC 3339, UTC when read.
type timeText struct{ time.Time }

func (t timeText) MarshalText() ([]byte, error) { return []byte(t.Format(time.RFC3339Nano)), nil }

func (t *timeText) UnmarshalText(b []byte) error {
	v, err := time.Parse(time.RFC3339, string(b))
	if err != nil {
		return fmt.Errorf("time %.40q: write it like 2026-01-31T12:00:00Z", b)
	}
	t.Time = v.UTC()
	return nil
}

// periodText is a duration like 24h.
type periodText struct{ time.Duration }

func (p periodText) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

func (p *periodText) UnmarshalText(b []byte) (err error) {
	if p.Duration, err = time.ParseDuration(string(b)); err != nil {
		return fmt.Errorf("duration %.40q: write it like 336h, 90m or 10s", b)
	}
	return nil
}

// priceText is an Amount with a mandatory unit, so that WAL and FROST are not confused.
type priceText Amount

func (p priceText) MarshalText() ([]byte, error) {
	if Amount(p) < WAL/1000 {
		return fmt.Appendf(nil, "%d FROST", p), nil
	}
	return []byte(Amount(p).String()), nil
}

func (p *priceText) UnmarshalText(b []byte) error {
	text := string(b)
	if !strings.HasSuffix(text, "WAL") && !strings.HasSuffix(text, "FROST") {
		return fmt.Errorf("amount %.40q: add the unit, like 1.5 WAL or 1500 FROST", b)
	}
	a, err := ParseAmount(text)
	*p = priceText(a)
	return err
}

// sizeText is a number of bytes, such as 1PiB, or without a unit.
type sizeText uint64

// sizeUnits lists the units by power of 1024.
var sizeUnits = [...]string{"", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}

func (s sizeText) MarshalText() ([]byte, error) {
	unit := 0
	if s > 0 {
		unit = min(bits.TrailingZeros64(uint64(s))/10, len(sizeUnits)-1)
	}
	return fmt.Appendf(nil, "%d%s", uint64(s)>>(10*unit), sizeUnits[unit]), nil
}

func (s *sizeText) UnmarshalText(b []byte) error {
	number, shift := string(b), 0
	for i, unit := range sizeUnits[1:] {
		if digits, ok := strings.CutSuffix(string(b), unit); ok {
			number, shift = strings.TrimSpace(digits), 10*(i+1)
		}
	}
	v, err := strconv.ParseUint(number, 10, 64-shift)
	if err != nil {
		return fmt.Errorf("size %.40q: write bytes, or a whole number of KiB to EiB like 1PiB", b)
	}
	*s = sizeText(v << shift)
	return nil
}
