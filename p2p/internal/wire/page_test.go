package wire

import (
	"bytes"
	"encoding/hex"
	"os"
	"strings"
	"testing"
)

// TestPage compares the frames that docs/protocol.md prints with those that are sent.
func TestPage(t *testing.T) {
	page, err := os.ReadFile("../../../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	blob := bytes.Repeat([]byte{0xbb}, HashSize)
	signature, err := hex.DecodeString("7aa47c8c0373b70eb675fa9e2e8bf8ff2805548ccf30c521bcef66efdc0374068dbf727c11c0da41f6db1b6625943909a9ba5e297671f72da721e5e111fc100c")
	if err != nil {
		t.Fatal(err)
	}
	for label, m := range map[string]Message{
		"read sliver, request": &Request{BlobId: blob, Op: &Request_ReadSliver{ReadSliver: &ReadSliver{Axis: 1, Index: 3, Length: 1000}}},
		"read sliver, answer":  &Response{Payload: 1000, Result: &Response_Sliver{Sliver: &SliverInfo{Size: 2000}}},
		"node status, request": &Request{Op: &Request_GetNodeStatus{GetNodeStatus: new(GetNodeStatus)}},
		"done, answer":         new(Response),
		"busy, answer":         &Response{Code: 2, Error: "busy"},
		"question, request": &Request{BlobId: blob, Op: &Request_GetSymbols{GetSymbols: &GetSymbols{
			Axis: 1, Index: 3, Targets: []uint32{5}, SymbolSize: 4, Nonce: bytes.Repeat([]byte{0xcc}, NonceSize), Height: 1000,
		}}},
		"signed answer":   &Response{Payload: 4 + SignatureSize},
		"refusal, answer": &Response{Code: 1, Lacks: 3, Signature: signature},
	} {
		frame, err := AppendHeader(nil, m)
		if err != nil {
			t.Fatal(err)
		}
		_, section, _ := strings.Cut(string(page), "\n## Blob and node streams\n")
		_, rest, found := strings.Cut(section, "\n"+label+" ")
		line, _, _ := strings.Cut(rest, "\n")
		printed, _, _ := strings.Cut(strings.TrimSpace(line), "  ") // words follow after two spaces
		if want := hex.EncodeToString(frame); !found || strings.ReplaceAll(printed, " ", "") != want {
			t.Errorf("%s: the page has %q, want %s", label, printed, want)
		}
	}
}
