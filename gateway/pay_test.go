package gateway

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"walrus/client"
)

// noting implements Limits by a function that is told of every reservation.
type noting func(frost uint64) (settle func(paid uint64))

func (n noting) Reserve(_ context.Context, frost uint64) (func(uint64), error) { return n(frost), nil }
func (n noting) CheckSize(context.Context, int64) error                        { return nil }

func TestBill(t *testing.T) {
	for name, tt := range map[string]struct {
		end  func(*bill)
		paid uint64
	}{
		"paid in part":           {func(b *bill) { b.paid(client.Cost{Storage: 3}) }, 3},
		"failed":                 {func(b *bill) { b.failed(errors.New("refused")) }, 0},
		"not known":              {func(b *bill) { b.failed(fmt.Errorf("cut: %w", client.ErrUnknown)) }, 70},
		"may still be committed": {func(b *bill) { b.failed(fmt.Errorf("late: %w", client.ErrStalled)) }, 70},
	} {
		var held, paid []uint64
		var b bill
		approve := b.approve(t.Context(), noting(func(frost uint64) func(uint64) {
			held = append(held, frost)
			return func(p uint64) { paid = append(paid, p) }
		}))
		for _, plan := range []client.Cost{{Storage: 50}, {Storage: 60, Fee: 10}} { // the second replaces the first
			if err := approve(plan); err != nil {
				t.Fatal(err)
			}
		}
		tt.end(&b)
		if len(paid) != 2 || paid[0] != 0 || paid[1] != tt.paid {
			t.Errorf("%s: settled %v of %v", name, paid, held)
		}
	}
}
