package clientnode

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"walrus/ledger"
	"walrus/ledger/light"
)

// The newest header is kept between runs, for one network and one checkpoint.
func TestTrustFile(t *testing.T) {
	var logged bytes.Buffer
	log := slog.New(slog.NewTextHandler(&logged, nil))
	g := &ledger.Genesis{Network: "a", Shards: 10, Time: time.Now(), EpochDuration: time.Hour}
	file := filepath.Join(t.TempDir(), "trust.json")
	apply := func(trust Trust, g *ledger.Genesis) *light.Config {
		cfg := &light.Config{Genesis: g, Logger: log}
		trust.apply(cfg)
		return cfg
	}
	knows := func(name string, cfg *light.Config, want light.Point) {
		t.Helper()
		p, ok := cfg.Known()
		if ok != (want.Height > 0) || p.Height != want.Height || p.Hash != want.Hash || p.Next != want.Next || !p.Time.Equal(want.Time) {
			t.Errorf("%s: %+v, %v; want %+v", name, p, ok, want)
		}
	}
	knows("no file", apply(Trust{File: file}, g), light.Point{})
	at := light.Point{Height: 7, Hash: [32]byte{1}, Next: [32]byte{2}, Time: time.Now()}
	apply(Trust{File: file}, g).Keep(at)
	if info, err := os.Stat(file); err != nil || info.Mode().Perm()&0o022 != 0 {
		t.Fatalf("%v, %v", info, err)
	}
	knows("the next run", apply(Trust{File: file}, g), at)
	if cfg := apply(Trust{}, g); cfg.Keep != nil {
		t.Error("without a file something is kept")
	}
	other := *g
	other.Network = "b"
	knows("another network", apply(Trust{File: file}, &other), light.Point{})
	point := light.Checkpoint{Height: 9, Hash: [32]byte{3}}
	with := Trust{Checkpoint: &point, File: file}
	cfg := apply(with, g)
	knows("a new checkpoint starts anew", cfg, light.Point{})
	if cfg.Trust != &point {
		t.Error("a new checkpoint does not count")
	}
	at.Height = 12
	cfg.Keep(at)
	cfg = apply(with, g)
	knows("the same checkpoint goes on", cfg, at)
	if cfg.Trust != nil {
		t.Error("the same checkpoint starts anew")
	}
	knows("without a checkpoint the file counts", apply(Trust{File: file}, g), at)
	at.Time = time.Now().Add(-30 * time.Hour)
	cfg.Keep(at)
	if cfg = apply(with, g); cfg.Trust != &point {
		t.Error("a file that is too old hides the checkpoint")
	}
	own := light.Point{Height: 20, Hash: [32]byte{5}}
	knows("the node beside knows more", apply(Trust{File: file, Own: func() (light.Point, bool) { return own, true }}, g), own)
	if err := (Trust{File: file}).Keep(g, own); err != nil {
		t.Fatal(err)
	}
	knows("kept from outside", apply(Trust{File: file}, g), own)
	for _, bad := range []string{"", "{}", "{", strings.Repeat(" ", maxTrustFile+1)} {
		if err := os.WriteFile(file, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		knows("damaged", apply(Trust{File: file}, g), light.Point{})
	}
	if !strings.Contains(logged.String(), "damaged") {
		t.Errorf("a damaged file is not logged: %s", &logged)
	}
}
