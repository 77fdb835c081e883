package engine

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
)

func vote(height int64, round int32, block byte) *cmtproto.Vote {
	hash := make([]byte, 32)
	hash[0] = block
	return &cmtproto.Vote{
		Type: cmtproto.PrevoteType, Height: height, Round: round, Timestamp: time.Unix(1_700_000_000, 0),
		BlockID: cmtproto.BlockID{Hash: hash, PartSetHeader: cmtproto.PartSetHeader{Total: 1, Hash: hash}},
	}
}

// A restarted validator signs nothing that contradicts its earlier signatures.
func TestSignerRemembers(t *testing.T) {
	file := filepath.Join(t.TempDir(), "last-signature")
	key := seed("validator", 0)
	pv, err := signer(key, file, true, true)
	if err != nil {
		t.Fatal(err)
	}
	if err := pv.SignVote("chain", vote(5, 1, 1)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if pv, err = signer(key, file, false, true); err != nil {
			t.Fatal(err)
		}
		for _, v := range []*cmtproto.Vote{vote(5, 1, 2), vote(5, 0, 1), vote(4, 7, 1)} {
			if err := pv.SignVote("chain", v); err == nil {
				t.Errorf("signed another vote at height %d, round %d", v.Height, v.Round)
			}
		}
		if err := pv.SignVote("chain", vote(5, 1, 1)); err != nil {
			t.Errorf("the same vote again: %v", err)
		}
	}
	if err := pv.SignVote("chain", vote(5, 2, 2)); err != nil {
		t.Errorf("the next round: %v", err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode of the file: %v, %v", info.Mode(), err)
	}
}

func TestSignerRefuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "last-signature")
	key := seed("validator", 0)
	if _, err := signer(key, file, false, true); err == nil || !strings.Contains(err.Error(), "sign twice") {
		t.Errorf("a missing file of a ledger with blocks: %v", err)
	}
	if _, err := signer(key, filepath.Join(file, "nowhere"), true, true); err == nil {
		t.Error("a file that cannot be written")
	}
	for name, text := range map[string]string{
		"empty":          "",
		"nothing":        "null",
		"no fields":      "{}",
		"no step":        `{"height": "0", "round": 0}`,
		"cut":            `{"height": "12", "round": 0, "st`,
		"negative":       `{"height": "-1", "round": 0, "step": 1}`,
		"no such step":   `{"height": "1", "round": 0, "step": 9}`,
		"bytes unsigned": `{"height": "1", "round": 0, "step": 1, "signbytes": "0102"}`,
		"huge":           strings.Repeat(" ", maxSignState+1),
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := signer(key, file, true, true); err == nil {
			t.Errorf("%s: a damaged file was taken", name)
		}
	}
}

// A key without its last signature does not sign by itself, not even in a new ledger.
func TestSignerWithoutState(t *testing.T) {
	file := filepath.Join(t.TempDir(), "last-signature")
	if _, err := signer(seed("validator", 0), file, true, false); err == nil || !strings.Contains(err.Error(), "--new-consensus-state") {
		t.Errorf("signs: %v", err)
	}
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file was made: %v", err)
	}
}

// A node stopped while it fetched its first blocks has signed nothing, and may start signing.
func TestSignerBeforeFirst(t *testing.T) {
	file := filepath.Join(t.TempDir(), "last-signature")
	for _, fresh := range []bool{true, false} {
		if _, err := signer(seed("validator", 0), file, fresh, fresh); err != nil {
			t.Errorf("fresh %v: %v", fresh, err)
		}
	}
}
