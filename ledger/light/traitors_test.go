package light

import (
	"errors"
	"fmt"
	"testing"

	"github.com/cometbft/cometbft/types"

	"walrus/ledger"
)

// Nothing is believed that two thirds or less of the validators have signed, and no lie makes a client refuse the
// honest nodes afterwards. The traitors name themselves as the only validators of a false block, and sign it.
func TestTraitors(t *testing.T) {
	ten, hundred := newWorldOf(t, 10, newKeys(t, 1, 10)), newWorldOf(t, 100, newKeys(t, 1, 100))
	for _, tt := range []struct {
		*world
		traitors, of int
	}{
		{ten, 3, 10}, {ten, 4, 10}, {ten, 6, 10}, {ten, 7, 10},
		{hundred, 33, 100}, {hundred, 34, 100}, {hundred, 66, 100}, {hundred, 67, 100},
	} {
		t.Run(fmt.Sprintf("%d of %d", tt.traitors, tt.of), func(t *testing.T) {
			w := tt.world
			rich := put(ledger.KeyAccount(alice), ledger.Account{Balance: 1 << 50}.Marshal())
			all := w.blocks[0].next
			few := make(map[string]bool)
			for _, v := range all.Validators[:tt.traitors] {
				few[string(v.Address)] = true
			}
			signs := func(v *types.Validator) bool { return few[string(v.Address)] }
			alone := types.NewValidatorSet(types.NewValidatorSet(all.Validators[:tt.traitors]).Copy().Validators)
			quorum := 3*tt.traitors > 2*tt.of
			for name, forged := range map[string]*chain{
				"they alone": w.forge(t, rich, alone, nil), "the whole set": w.forge(t, rich, all, signs),
			} {
				w.tale.Store(&source{Source: forged})
				c := w.asking(t, w.liar)
				a, err := c.Account(limited(t), alice)
				if believed := err == nil; believed != (quorum && name == "the whole set") || !believed && !errors.Is(err, ErrLied) {
					t.Errorf("%s: account %+v, %v", name, a, err)
				}
				if quorum {
					continue
				}
				c.cfg.Peers = w.asking(t, w.honest).cfg.Peers
				if a, err := c.Account(limited(t), alice); err != nil || a.Balance != 0 {
					t.Errorf("%s: then the honest node is refused: %+v, %v", name, a, err)
				}
			}
		})
	}
}
