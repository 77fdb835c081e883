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

// maxSignState bounds the file of a validator's last signature, in bytes; it has a few hundred.
const maxSignState = 64 << 10

// signer is what votes and proposes with key. The last signature is in file, written before it is given out, so that the
// node never signs two different things for one step of consensus, whatever happened to it in between: that would be seen
// as an attack. The file is kept beside the keys since it must outlive the ledger's directory. fresh says that the ledger
// has no blocks yet: only then may the file be missing.
func signer(key stded25519.PrivateKey, file string, fresh bool) (types.PrivValidator, error) {
	pv, err := loadSigner(key, file, fresh)
	if err != nil {
		return nil, err
	}
	return newWitness(pv), nil
}

// lostSignature is how a node votes again whose file of the last signature is lost. An old copy of the file would be worse
// than none: the node could contradict what it has signed since.
const lostSignature = "do not restore an old copy, with which this node could sign twice: make sure that no other process runs with its keys, " +
	`and write {"height":"N","round":0,"step":3} into the file, where N is 10 more than the height that walrus info shows now; ` +
	"the node votes again when the ledger is past N"

// loadSigner reads or makes the file of the last signature.
func loadSigner(key stded25519.PrivateKey, file string, fresh bool) (*privval.FilePV, error) {
	pv := privval.NewFilePV(ed25519.PrivKey(key), "", file)
	b, err := readAtMost(file, maxSignState)
	switch {
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
	if last.Height < 0 || last.Round < 0 || last.Step < 0 || last.Step > 3 || len(last.SignBytes) > 0 && len(last.Signature) != ed25519.SignatureSize {
		return nil, fmt.Errorf("validator: %s is damaged: height %d, round %d, step %d: %s",
			file, last.Height, last.Round, last.Step, lostSignature)
	}
	return pv, nil
}

// complete checks that a file of the last signature says when that was. Height 0 is right for a node that was stopped before
// it had the first blocks of others; that the file says nothing is not.
func complete(file []byte) error {
	var at struct{ Height, Round, Step *json.RawMessage }
	if err := json.Unmarshal(file, &at); err != nil {
		return err
	}
	if at.Height == nil || at.Round == nil || at.Step == nil {
		return errors.New("it has no height, round or step")
	}
	return nil
}

// saveSignState writes the file for the first time. CometBFT panics when it cannot.
func saveSignState(pv *privval.FilePV) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("validator: write its last signature: %v", r)
		}
	}()
	pv.LastSignState.Save()
	return nil
}

// follower signs nothing that counts: its key belongs to no validator.
func follower() types.PrivValidator {
	return types.NewMockPVWithParams(ed25519.GenPrivKey(), false, false)
}

// readAtMost reads a file of at most most bytes.
func readAtMost(file string, most int64) ([]byte, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	if info.Size() > most {
		return nil, fmt.Errorf("%s has %d bytes: more than %d", file, info.Size(), most)
	}
	return os.ReadFile(file)
}
