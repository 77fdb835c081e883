package probe

import (
	"bytes"
	"encoding/hex"
	"os"
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"walrus/certs"
	"walrus/shards"
)

// pageExample is the example of docs/protocol.md: what its words say.
func pageExample(t rapid.TB) (q Question, answer, refusal Receipt) {
	key, node := testNode(1)
	q = Question{
		Network: certs.NetworkID(bytes.Repeat([]byte{0xaa}, 32)), Shards: 7, Blob: shards.BlobID(bytes.Repeat([]byte{0xbb}, 32)),
		Axis: shards.Secondary, Slivers: []int{3}, Targets: []int{5}, SymbolSize: 4, Length: 4,
		Nonce: Nonce(bytes.Repeat([]byte{0xcc}, NonceSize)), Height: 1000,
	}
	answer = answered(t, key, node, q, []byte{1, 2, 3, 4})
	refusal = Receipt{Question: q, Node: node, Code: Missing, Lacks: 3, Signature: Refuse(key, &q, Missing, 3)}
	return q, answer, refusal
}

// TestProtocolPage compares the example of a signed answer in docs/protocol.md with the code.
func TestProtocolPage(t *testing.T) {
	page, err := os.ReadFile("../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	q, answer, refusal := pageExample(t)
	key, _ := testNode(1)
	sum := hashOf(answer.Cells[0].Leaf[:])
	for name, want := range map[string][]byte{
		"key of the node":      key[32:],
		"question":             q.appendForm(nil),
		"signed, answer":       message(&q, Answered, sum),
		"signature of answer":  answer.Signature[:],
		"signed, refusal":      message(&q, Missing, refusalSum(3)),
		"signature of refusal": refusal.Signature[:],
	} {
		line := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + `  +([0-9a-f ]+)$`).FindSubmatch(page)
		if line == nil {
			t.Errorf("%s: not on the page; it is %x", name, want)
			continue
		}
		got, err := hex.DecodeString(strings.ReplaceAll(string(line[1]), " ", ""))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: the page has %x, %v: want %x", name, got, err, want)
		}
	}
}
