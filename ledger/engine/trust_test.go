package engine

import (
	"errors"
	"strings"
	"testing"
	"time"

	"walrus/ledger/light"
)

// Whether a node may follow the chain from its newest block.
func TestGoOn(t *testing.T) {
	now := time.Unix(1e9, 0)
	const period = 24 * time.Hour
	hashes := map[uint64][32]byte{90: {9}, 100: {10}}
	hashAt := func(h uint64) ([32]byte, bool) { v, ok := hashes[h]; return v, ok }
	at := func(height uint64, first byte, stalled bool) *light.Checkpoint {
		return &light.Checkpoint{Height: height, Hash: [32]byte{first}, Stalled: stalled}
	}
	for name, tt := range map[string]struct {
		height uint64
		age    time.Duration
		trust  *light.Checkpoint
		want   error
		says   string
	}{
		"fresh":                                {100, time.Hour, nil, nil, ""},
		"fresh genesis":                        {0, time.Hour, nil, nil, ""},
		"old":                                  {100, 48 * time.Hour, nil, light.ErrExpired, "--trust 100:0a0000"},
		"old genesis":                          {0, 48 * time.Hour, nil, light.ErrExpired, "--trust genesis"},
		"old genesis, vouched for":             {0, 48 * time.Hour, at(0, 0, true), nil, ""},
		"old, with the genesis":                {100, 48 * time.Hour, at(0, 0, true), light.ErrExpired, "block"},
		"old, with a newer checkpoint":         {100, 48 * time.Hour, at(200, 1, false), nil, ""},
		"old genesis, with a checkpoint":       {0, 48 * time.Hour, at(200, 1, false), nil, ""},
		"old, with its own block":              {100, 48 * time.Hour, at(100, 10, false), light.ErrExpired, ":stalled"},
		"old, with its own block, stood still": {100, 48 * time.Hour, at(100, 10, true), nil, ""},
		"old, with an older block":             {100, 48 * time.Hour, at(90, 9, true), nil, ""},
		"old, with a block that is not kept":   {100, 48 * time.Hour, at(80, 8, true), light.ErrExpired, ""},
		"old, with another block":              {100, 48 * time.Hour, at(90, 1, true), errOtherChain, "move its ledger folder away"},
		"fresh, with another block":            {100, time.Hour, at(90, 1, false), errOtherChain, "ask for the checkpoint again"},
	} {
		own := light.Point{Height: tt.height, Hash: hashes[tt.height], Time: now.Add(-tt.age)}
		err := goOn(own, period, now, tt.trust, hashAt)
		if !errors.Is(err, tt.want) || err != nil && !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
