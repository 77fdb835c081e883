package light

import (
	"bytes"
	"encoding/hex"
	"os"
	"strings"
	"testing"
	"time"

	"walrus/certs"
)

// TestPage compares the frames that docs/protocol.md prints with those that are sent.
func TestPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	network := certs.NetworkID(bytes.Repeat([]byte{0xaa}, 32))
	request := func(m message) []byte {
		b, err := encodeRequest(network, m)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	answer := func(code byte, m message) []byte {
		b, err := encodeAnswer(code, m)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	noon := time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)
	code, refused := refuse(ErrBusy)
	for label, frame := range map[string][]byte{
		"clock, request":   request(new(clockRequest)),
		"clock, answer":    answer(0, &clockAnswer{uint64(noon.UnixNano())}),
		"block 7, request": request(&blockRequest{7}),
		"busy, answer":     answer(code, refused),
	} {
		_, section, _ := strings.Cut(string(page), "\n## Questions to the ledger\n")
		_, rest, found := strings.Cut(section, "\n"+label+" ")
		line, _, _ := strings.Cut(rest, "\n")
		printed, _, _ := strings.Cut(strings.TrimSpace(line), "  ") // words follow after two spaces
		if want := hex.EncodeToString(frame); !found || strings.ReplaceAll(printed, " ", "") != want {
			t.Errorf("%s: the page has %q, want %s", label, printed, want)
		}
	}
}
