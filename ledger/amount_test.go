package ledger

import (
	"errors"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestAmountText(t *testing.T) {
	for _, tt := range []struct {
		amount Amount
		text   string
	}{
		{0, "0 WAL"}, {1, "0.000000001 WAL"}, {1_500_000_000, "1.5 WAL"}, {WAL, "1 WAL"}, {10 * WAL, "10 WAL"},
		{100_000, "0.0001 WAL"}, {TotalSupply, "5000000000 WAL"}, {math.MaxUint64, "18446744073.709551615 WAL"},
	} {
		if got := tt.amount.String(); got != tt.text {
			t.Errorf("%d FROST is %s, want %s", uint64(tt.amount), got, tt.text)
		}
		if back, err := ParseAmount(tt.text); err != nil || back != tt.amount {
			t.Errorf("%s is read as %d, %v", tt.text, uint64(back), err)
		}
	}
}

func TestParseAmount(t *testing.T) {
	for text, want := range map[string]Amount{
		"1.5": 3 * WAL / 2, "1.5WAL": 3 * WAL / 2, " 1.5  WAL ": 3 * WAL / 2, "1500FROST": 1500, "1500 FROST": 1500,
		"0": 0, "0.0": 0, "007": 7 * WAL, "1.500000000": 3 * WAL / 2, "0.000000001": 1,
		"18446744073709551615FROST": math.MaxUint64,
	} {
		if got, err := ParseAmount(text); err != nil || got != want {
			t.Errorf("%q is %d FROST, %v: want %d", text, uint64(got), err, uint64(want))
		}
	}
	for text, want := range map[string]error{
		"": ErrFormat, "WAL": ErrFormat, "FROST": ErrFormat, ".5": ErrFormat, "1.": ErrFormat,
		"1.5.5": ErrFormat, "-1": ErrFormat,
		"+1": ErrFormat, "1e9": ErrFormat, "0x10": ErrFormat, "1_000": ErrFormat, "1,5": ErrFormat, "1.5FROST": ErrFormat,
		"1.0000000001": ErrFormat, "1.-5": ErrFormat, "1 000": ErrFormat, "1.5 wal": ErrFormat,
		"1 WAL FROST": ErrFormat, "٣": ErrFormat,
		"18446744074": ErrOverflow, "18446744073.709551616": ErrOverflow, "18446744073709551616FROST": ErrOverflow,
		"99999999999999999999999": ErrOverflow,
	} {
		if got, err := ParseAmount(text); !errors.Is(err, want) || got != 0 {
			t.Errorf("%q is %d FROST, %v: want %v", text, uint64(got), err, want)
		} else if want == ErrFormat && text != "" && !strings.Contains(err.Error(), text) {
			t.Errorf("%q: the error does not quote it: %v", text, err)
		}
	}
	if _, err := ParseAmount(strings.Repeat("x", 1<<20)); err == nil || len(err.Error()) > 200 {
		t.Errorf("an error of %d bytes", len(err.Error()))
	}
}

func TestAmountRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := Amount(rapid.Uint64().Draw(t, "amount"))
		if back, err := ParseAmount(a.String()); err != nil || back != a {
			t.Fatalf("%d is written %s and read as %d, %v", uint64(a), a, uint64(back), err)
		}
	})
}

func TestAmountArithmetic(t *testing.T) {
	const most = Amount(math.MaxUint64)
	for _, tt := range []struct {
		what string
		got  func() (Amount, error)
		want Amount
		err  error
	}{
		{"greatest sum", func() (Amount, error) { return (most - 1).Add(1) }, most, nil},
		{"sum too large", func() (Amount, error) { return most.Add(1) }, 0, ErrOverflow},
		{"two supplies", func() (Amount, error) { return TotalSupply.Add(TotalSupply) }, 2 * TotalSupply, nil},
		{"difference zero", func() (Amount, error) { return most.Sub(most) }, 0, nil},
		{"below zero", func() (Amount, error) { return Amount(0).Sub(1) }, 0, ErrOverflow},
		{"greatest product", func() (Amount, error) { return (most / 5).Times(5) }, most, nil},
		{"product too large", func() (Amount, error) { return (most/5 + 1).Times(5) }, 0, ErrOverflow},
		{"far too large", func() (Amount, error) { return most.Times(math.MaxUint64) }, 0, ErrOverflow},
		{"times zero", func() (Amount, error) { return most.Times(0) }, 0, nil},
	} {
		if got, err := tt.got(); got != tt.want || !errors.Is(err, tt.err) {
			t.Errorf("%s: %d, %v: want %d, %v", tt.what, uint64(got), err, uint64(tt.want), tt.err)
		}
	}
}

func TestPrices(t *testing.T) {
	p := &Params{StoragePrice: 100_000, WritePrice: 20_000, FeeTx: 1000, FeeByte: 10}
	for _, tt := range []struct{ bytes, units uint64 }{
		{0, 0}, {1, 1}, {UnitSize, 1}, {UnitSize + 1, 2}, {66034000, 63}, {math.MaxUint64, 1 << 44},
	} {
		if got := p.Units(tt.bytes); got != tt.units {
			t.Errorf("%d bytes are %d units, want %d", tt.bytes, got, tt.units)
		}
	}
	if got, err := p.StorageCost(66034000, 2); got != 63*100_000*2 || err != nil {
		t.Errorf("storage costs %d, %v", got, err)
	}
	if got, err := p.WriteCost(66034000); got != 63*20_000 || err != nil {
		t.Errorf("a write costs %d, %v", got, err)
	}
	if got := p.MinFee(300, nil); got != 4000 {
		t.Errorf("the fee is %d", got)
	}
	p.FeePerWork = 7
	if got := p.MinFee(300, []Op{Transfer{}, Transfer{}}); got != 4000+7*(60+2+2*20) {
		t.Errorf("the fee with work is %d", got)
	}
	if got := p.OpsFee(80, []Op{Transfer{}, Transfer{}}); got != 80*10+7*2*20 {
		t.Errorf("the operations' part of a fee is %d", got)
	}
	dear := &Params{StoragePrice: 1 << 20, WritePrice: 1 << 20, FeeTx: 1, FeeByte: 1 << 60}
	if _, err := dear.StorageCost(math.MaxUint64, 1); !errors.Is(err, ErrOverflow) {
		t.Errorf("storage: %v, want ErrOverflow", err)
	}
	if got, err := dear.StorageCost(math.MaxUint64/2+1, 1); got != 1<<63 || err != nil {
		t.Errorf("storage: %d, %v", got, err)
	}
	if _, err := dear.StorageCost(math.MaxUint64/2+1, 2); !errors.Is(err, ErrOverflow) {
		t.Errorf("storage of two epochs: %v, want ErrOverflow", err)
	}
	if _, err := dear.WriteCost(math.MaxUint64); !errors.Is(err, ErrOverflow) {
		t.Errorf("write: %v, want ErrOverflow", err)
	}
	dear.FeeTx = math.MaxUint64
	if a, b, c := dear.MinFee(1<<10, nil), dear.MinFee(1, nil), dear.MinFee(-1, nil); a != math.MaxUint64 || b != math.MaxUint64 ||
		c != math.MaxUint64 {
		t.Errorf("fees are %d, %d and %d", a, b, c)
	}
}
