package engine

import (
	stded25519 "crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/cometbft/cometbft/crypto/ed25519"
	cmtjson "github.com/cometbft/cometbft/libs/json"
	"github.com/cometbft/cometbft/privval"
	"github.com/cometbft/cometbft/types"
)

// maxSignState bounds the file with a validator's last signature, in bytes; usually it has a few hundred.
const maxSignState = 64 << 10

// signer returns the signer of votes and proposals with key. It writes each signature to file before it returns it,
// so that the node never signs two different things for one step of consensus, even after a crash: that would look
// like an attack. The file must outlive the ledger's directory, so keep it beside the keys. fresh means that the
// ledger has no blocks yet: only then, and if anew is true, may the file be missing.
func signer(key stded25519.PrivateKey, file string, fresh, anew bool) (types.PrivValidator, error) {
	pv, err := loadSigner(key, file, fresh, anew)
	if err != nil {
		return nil, err
	}
	return newWitness(pv), nil
}

// lostSignature tells operators how a node can vote again after losing the file of its last signature. An old copy of
// the file would be worse than none: the node could contradict its later signatures.
const lostSignature = "do not restore an old copy, or this node could sign twice; make sure that no other process uses its keys, " +
	`then write {"height":"N","round":0,"step":3} into the file, where N is 10 more than the height that walrus info shows; ` +
	"the node votes again once the ledger is past N"

// neverSigned tells operators what a missing file means for a node without blocks: nothing here shows whether its key
// has signed.
const neverSigned = "nothing shows what this node's consensus key has signed, so the node does not start; if the key has " +
	"never been used, or if no other process uses it any more and the ledger has gone on for ten blocks since, start the node " +
	"once with --new-consensus-state; a key that signs twice at one height counts as an attacker's"

// loadSigner reads or creates the file of the last signature.
func loadSigner(key stded25519.PrivateKey, file string, fresh, anew bool) (*privval.FilePV, error) {
	pv := privval.NewFilePV(ed25519.PrivKey(key), "", file)
	b, err := readAtMost(file, maxSignState)
	switch {
	case errors.Is(err, fs.ErrNotExist) && fresh && !anew:
		return nil, fmt.Errorf("validator: %s is missing: %s", file, neverSigned)
	case errors.Is(err, fs.ErrNotExist) && fresh:
		if err := saveSignState(pv); err != nil {
			return nil, err
		}
		return pv, nil
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("validator: %s is missing, but the ledger has blocks: %s", file, lostSignature)
	case err != nil:
		return nil, fmt.Errorf("validator: %w", err)
	}
	last := &pv.LastSignState
	if err := errors.Join(cmtjson.Unmarshal(b, last), complete(b)); err != nil {
		return nil, fmt.Errorf("validator: %s is damaged (%v): %s", file, err, lostSignature)
	}
	if last.Height < 0 || last.Round < 0 || last.Step < 0 || last.Step > 3 || len(last.SignBytes) > 0 &&
		len(last.Signature) != ed25519.SignatureSize {
		return nil, fmt.Errorf("validator: %s is damaged: height %d, round %d, step %d: %s",
			file, last.Height, last.Round, last.Step, lostSignature)
	}
	return pv, nil
}

// complete checks that a file of the last signature has a height, a round and a step. Height 0 is valid: the node was
// stopped before it had its first blocks. A missing height is not.
func complete(file []byte) error {
	var at struct{ Height, Round, Step *json.RawMessage }
	if err := json.Unmarshal(file, &at); err != nil {
		return err
	}
	if at.Height == nil || at.Round == nil || at.Step == nil {
		return errors.New("height, round or step is missing")
	}
	return nil
}

// saveSignState writes the file for the first time. It returns an error where CometBFT panics.
func saveSignState(pv *privval.FilePV) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("validator: write the file of its last signature: %v", r)
		}
	}()
	pv.LastSignState.Save()
	return nil
}

// follower returns a signer for a node without a vote: its key belongs to no validator.
func follower() types.PrivValidator {
	return types.NewMockPVWithParams(ed25519.GenPrivKey(), false, false)
}

// readAtMost reads a file and refuses one larger than most bytes.
func readAtMost(file string, most int64) ([]byte, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	if info.Size() > most {
		return nil, fmt.Errorf("%s has %d bytes: must be at most %d", file, info.Size(), most)
	}
	return os.ReadFile(file)
}
