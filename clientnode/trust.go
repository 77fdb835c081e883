package clientnode

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"walrus/internal/userfile"
	"walrus/ledger"
	"walrus/ledger/light"
)

// Trust tells where a client's trust in the ledger starts. The zero Trust starts at the genesis.
type Trust struct {
	// Checkpoint is a block that somebody trusted vouches for. Default nil: none.
	Checkpoint *light.Checkpoint
	// File keeps the newest believed header between runs. Default "": each run starts anew.
	File string
	// Own returns the newest header of a storage node in the same process. Default nil: there is none.
	Own func() (light.Point, bool)
}

// maxTrustFile bounds the file, in bytes; it has some 400.
const maxTrustFile = 4 << 10

// trustFile is the form of Trust.File.
type trustFile struct {
	Network string    `json:"network"` // ID in hexadecimal
	From    string    `json:"from"`    // the checkpoint from which the header was reached, or "genesis"
	Height  uint64    `json:"height"`
	Hash    string    `json:"hash"` // in hexadecimal, as is Next
	Time    time.Time `json:"time"`
	Next    string    `json:"next"` // of the next height's validators
}

// apply sets the trust of a light client. A checkpoint other than the one from which the file came starts anew.
func (t Trust) apply(cfg *light.Config) {
	f := t.kept(cfg.Genesis, cfg.Logger)
	kept, known := f.load(t.Checkpoint == nil)
	if cfg.Trust = t.Checkpoint; known {
		age := time.Since(kept.Time)
		if t.Checkpoint != nil && age <= light.TrustPeriod(cfg.Genesis.EpochDuration) {
			cfg.Trust = nil
		}
	}
	cfg.Known = func() (light.Point, bool) {
		if t.Own != nil {
			if p, ok := t.Own(); ok && (!known || p.Height > kept.Height) {
				return p, ok
			}
		}
		return kept, known
	}
	if t.File != "" {
		cfg.Keep = f.save
	}
}

// kept returns the file's place and origin.
func (t Trust) kept(g *ledger.Genesis, log *slog.Logger) keptTrust {
	id, from := g.NetworkID(), light.Checkpoint{}
	if t.Checkpoint != nil {
		from = *t.Checkpoint
	}
	return keptTrust{t.File, hex.EncodeToString(id[:]), from.String(), log}
}

// keptTrust is a header in a file.
type keptTrust struct {
	path, network, from string
	log                 *slog.Logger
}

// load reads the header. The file counts only for its network, and for its checkpoint unless any will do.
func (k keptTrust) load(any bool) (p light.Point, ok bool) {
	if k.path == "" {
		return p, false
	}
	f, err := readTrust(k.path)
	if errors.Is(err, fs.ErrNotExist) {
		return p, false
	}
	if err == nil && (f.Network != k.network || f.From != k.from && !any) {
		return p, false
	}
	if err == nil {
		p, err = f.point()
	}
	if err != nil {
		k.log.Warn("the file that keeps the newest verified block is damaged; it is made anew", "file", k.path, "err", err)
		return p, false
	}
	return p, true
}

func readTrust(path string) (f trustFile, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return f, err
	}
	if info.Size() > maxTrustFile {
		return f, fmt.Errorf("%d bytes: at most %d", info.Size(), maxTrustFile)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return f, err
	}
	return f, json.Unmarshal(raw, &f)
}

func (f trustFile) point() (light.Point, error) {
	p := light.Point{Height: f.Height, Time: f.Time}
	for _, h := range []struct {
		text string
		to   *[32]byte
	}{{f.Hash, &p.Hash}, {f.Next, &p.Next}} {
		raw, err := hex.DecodeString(h.text)
		if err != nil || len(raw) != len(h.to) {
			return p, fmt.Errorf("%.80q is not a hash", h.text)
		}
		*h.to = [32]byte(raw)
	}
	if p.Height == 0 || p.Height > 1<<62 {
		return p, fmt.Errorf("height %d", p.Height)
	}
	return p, nil
}

// save replaces the file.
func (k keptTrust) save(p light.Point) {
	if err := k.write(p); err != nil {
		k.log.Warn("could not keep the newest verified block; the next run starts from an older one", "file", k.path, "err", err)
	}
}

// Keep writes a header to File, from which the next run starts.
func (t Trust) Keep(g *ledger.Genesis, p light.Point) error {
	k := t.kept(g, nil)
	if k.path == "" {
		return nil
	}
	return k.write(p)
}

func (k keptTrust) write(p light.Point) error {
	raw, err := json.Marshal(trustFile{k.network, k.from, p.Height, hex.EncodeToString(p.Hash[:]), p.Time.UTC(),
		hex.EncodeToString(p.Next[:])})
	if err != nil {
		return err
	}
	return userfile.Replace(k.path, append(raw, '\n'))
}
