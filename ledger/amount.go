package ledger

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"
)

// Amount is a sum of WAL in FROST, its smallest unit: 1 WAL = 10⁹ FROST.
type Amount uint64

const (
	// WAL is one WAL in FROST.
	WAL Amount = 1_000_000_000
	// TotalSupply is the sum of all WAL: 5·10⁹ WAL, below 2⁶³ FROST.
	TotalSupply = 5_000_000_000 * WAL
	// walDigits is the number of decimals of WAL.
	walDigits = 9
)

// Add returns a+b; it fails on overflow.
func (a Amount) Add(b Amount) (Amount, error) {
	s, carry := bits.Add64(uint64(a), uint64(b), 0)
	if carry != 0 {
		return 0, fmt.Errorf("%w: %d + %d FROST", ErrOverflow, a, b)
	}
	return Amount(s), nil
}

// Sub returns a−b; it fails if b is greater.
func (a Amount) Sub(b Amount) (Amount, error) {
	if b > a {
		return 0, fmt.Errorf("%w: %d − %d FROST is below zero", ErrOverflow, a, b)
	}
	return a - b, nil
}

// Times returns a·k; it fails on overflow.
func (a Amount) Times(k uint64) (Amount, error) {
	hi, lo := bits.Mul64(uint64(a), k)
	if hi != 0 {
		return 0, fmt.Errorf("%w: %d FROST × %d", ErrOverflow, a, k)
	}
	return Amount(lo), nil
}

// Portion returns ⌊a·part/whole⌋; 0 if part is more than whole.
func (a Amount) Portion(part, whole uint64) Amount {
	if whole == 0 || part > whole {
		return 0
	}
	hi, lo := bits.Mul64(uint64(a), part)
	q, _ := bits.Div64(hi, lo, whole)
	return Amount(q)
}

// String returns the exact sum in WAL: "1.5 WAL".
func (a Amount) String() string {
	text := strconv.FormatUint(uint64(a/WAL), 10)
	if rest := a % WAL; rest > 0 {
		text += "." + strings.TrimRight(fmt.Sprintf("%0*d", walDigits, uint64(rest)), "0")
	}
	return text + " WAL"
}

// ParseAmount reads "1.5", "1.5 WAL" or "1500000000 FROST"; the space is optional. Errors wrap ErrFormat, or
// ErrOverflow beyond 64 bits.
func ParseAmount(s string) (Amount, error) {
	text := strings.TrimSpace(s)
	if digits, ok := strings.CutSuffix(text, "FROST"); ok {
		a, err := parseDigits(strings.TrimSpace(digits), s)
		return Amount(a), err
	}
	text = strings.TrimSpace(strings.TrimSuffix(text, "WAL"))
	whole, decimals, point := strings.Cut(text, ".")
	if point && (decimals == "" || len(decimals) > walDigits) {
		return 0, fmt.Errorf("%w: amount %.40q: WAL has 1 to %d digits after the point", ErrFormat, s, walDigits)
	}
	units, err := parseDigits(whole, s)
	if err != nil {
		return 0, err
	}
	a, err := WAL.Times(units)
	if err != nil || !point {
		return a, err
	}
	rest, err := parseDigits(decimals+strings.Repeat("0", walDigits-len(decimals)), s)
	if err != nil {
		return 0, err
	}
	return a.Add(Amount(rest))
}

// parseDigits reads a whole number, part of amount.
func parseDigits(digits, amount string) (uint64, error) {
	if digits == "" || strings.Trim(digits, "0123456789") != "" {
		return 0, fmt.Errorf("%w: amount %.40q: write it like 1.5, 1.5WAL or 1500FROST", ErrFormat, amount)
	}
	v, err := strconv.ParseUint(digits, 10, 64)
	if err != nil { // the only possible error is its range
		return 0, fmt.Errorf("%w: amount %.40q", ErrOverflow, amount)
	}
	return v, nil
}
