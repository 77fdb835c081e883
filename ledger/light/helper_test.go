package light

import (
	"context"
	"strings"
	"testing"
	"time"
)

type ctxt = context.Context

func contains(text string, parts ...string) bool {
	for _, p := range parts {
		if !strings.Contains(text, p) {
			return false
		}
	}
	return true
}

// sleep replaces the chain by one that stalled for age after its third block and then went on. It returns the
// chain of a node that did not notice that it went on.
func (w *world) sleep(t testing.TB, age time.Duration) *chain {
	t.Helper()
	w.blocks = w.blocks[:1]
	for i := range 3 {
		w.add(t, blockOf{time: time.Now().Add(-age + time.Duration(i-2)*time.Second)})
	}
	asleep := &chain{genesis: w.genesis, keys: w.chain.keys, grown: make(chan struct{}), blocks: w.blocks[:4:4]}
	w.grow(t)
	w.grow(t)
	return asleep
}
