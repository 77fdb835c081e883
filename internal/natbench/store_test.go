package natbench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"time"

	"walrus/internal/pause"
)

const blobSize = 50_000_000

// transferTime bounds storing or reading the blob with everything on one busy machine.
const transferTime = 3 * time.Minute

// store lets a home behind a cone store a blob, and another one behind a symmetric router read it.
func (b *bench) store() [][]string {
	t := b.t
	data := make([]byte, blobSize)
	chacha := rand.NewChaCha8([32]byte{1})
	_, _ = chacha.Read(data) // never fails
	in, out := filepath.Join(b.dir, "in"), filepath.Join(b.dir, "out")
	if err := os.WriteFile(in, data, 0o644); err != nil {
		t.Fatal(err)
	}
	writer, reader := b.home("writer", cone), b.home("reader", symmetric)
	var raw any
	_, took, err := b.ask(writer, transferTime, &raw, "store", in)
	if err != nil {
		t.Error(err)
		return nil
	}
	table := [][]string{{"TRANSFER", "TOOK"}, {"a home stores 50 MB", fmt.Sprintf("%.1f s", took.Seconds())}}
	id := blobID(raw)
	var got any
	if _, took, err = b.ask(reader, transferTime, &got, "--log-level", "debug", "read", id, "-o", out); err != nil {
		t.Error(err)
		return table
	}
	back, err := os.ReadFile(out)
	if err != nil || !bytes.Equal(back, data) {
		t.Errorf("read %d bytes that differ from the %d stored: %v", len(back), len(data), err)
	}
	table = append(table, []string{"another home reads them", fmt.Sprintf("%.1f s", took.Seconds())})
	return append(append(table, b.serve(writer, id, data)...), nil)
}

// serve lets a home pin the blob, the writer delete it, and another home read it from the pinner. Rows never go through
// relays, so that is through a hole.
func (b *bench) serve(writer *host, id string, data []byte) (table [][]string) {
	t := b.t
	pinner, reader := b.home("pinner", cone), b.home("far-reader", cone)
	home, out := filepath.Join(b.dir, "pins"), filepath.Join(b.dir, "from-pinner")
	p := pinner.start("pinner-run", b.walrus, "--config", b.clientOf(pinner), "--json", "pin", "run", "--home", home)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var ready struct {
		PeerID string `json:"peerId"`
	}
	if _, _, err := p.await(ctx, 0, func(line string) bool { return json.Unmarshal([]byte(line), &ready) == nil && ready.PeerID != "" }); err != nil {
		t.Error(err)
		return nil
	}
	var any any
	code, took, err := b.ask(pinner, transferTime, &any, "pin", "add", id, "--home", home, "--wait")
	if err != nil || code != 0 {
		t.Errorf("pin: exit code %d, %v: %s", code, err, p.tail())
		return nil
	}
	// Others find the pin once it is announced.
	for announced := false; !announced; {
		var pins []struct {
			Announced string `json:"announced"`
		}
		if _, _, err := b.ask(pinner, patience, &pins, "pin", "status", id, "--home", home); err != nil || !pause.For(ctx, 300*time.Millisecond) {
			t.Errorf("the pin is not announced: %v\n%s", err, p.tail())
			return table
		}
		announced = len(pins) == 1 && pins[0].Announced != ""
	}
	table = append(table, []string{"a home pins them", fmt.Sprintf("%.1f s", took.Seconds())})
	if code, _, err = b.ask(writer, patience, &any, "delete", id, "--yes"); err != nil || code != 0 {
		t.Errorf("delete: exit code %d, %v, %v", code, err, any)
		return table
	}
	var got struct {
		Pinned  uint64   `json:"pinned"`
		Pinners []string `json:"pinners"`
	}
	if code, took, err = b.ask(reader, transferTime, &got, "--log-level", "debug", "read", id, "-o", out); err != nil || code != 0 {
		t.Errorf("read from the pinner: exit code %d, %v\n%s", code, err, p.tail())
		return table
	}
	back, err := os.ReadFile(out)
	if err != nil || !bytes.Equal(back, data) || got.Pinned < blobSize || !slices.Contains(got.Pinners, ready.PeerID) {
		t.Errorf("read %d bytes, %d of them from pinners %v, %v: want at least %d from %s", len(back), got.Pinned, got.Pinners, err, blobSize, ready.PeerID)
	}
	return append(table, []string{"a home reads them from the pinner at home", fmt.Sprintf("%.1f s", took.Seconds())})
}

// blobID finds the blob ID in the output of walrus store.
func blobID(v any) string {
	switch v := v.(type) {
	case map[string]any:
		if id, ok := v["blobId"].(string); ok {
			return id
		}
		for _, w := range v {
			if id := blobID(w); id != "" {
				return id
			}
		}
	case []any:
		for _, w := range v {
			if id := blobID(w); id != "" {
				return id
			}
		}
	}
	return ""
}
