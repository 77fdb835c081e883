package natbench

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"
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
	if _, took, err = b.ask(reader, transferTime, &got, "read", id, "-o", out); err != nil {
		t.Error(err)
		return table
	}
	back, err := os.ReadFile(out)
	if err != nil || !bytes.Equal(back, data) {
		t.Errorf("read %d bytes that differ from the %d stored: %v", len(back), len(data), err)
	}
	return append(table, []string{"another home reads them", fmt.Sprintf("%.1f s", took.Seconds())}, nil)
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
