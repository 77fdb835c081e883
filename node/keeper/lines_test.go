package keeper

import (
	"testing"

	"walrus/store"
)

// TestLinesInUse: lines that are being sent to slow peers count, and are not replaced by others.
func TestLinesInUse(t *testing.T) {
	l := newLines()
	const size = lineCache / 8
	ref := func(i int) store.Ref { return store.Ref{Blob: blob(i)} }
	for i := range 10 {
		x := &line{bytes: size}
		l.put(ref(i), x)
		l.done(x)
	}
	if l.get(ref(1)) != nil || l.bytes != lineCache {
		t.Errorf("%d bytes are kept, want those of the last eight lines", l.bytes)
	}
	var slow []*line
	for i := 2; i < 10; i++ {
		slow = append(slow, l.get(ref(i)))
	}
	for i := 10; i < 30; i++ {
		x := &line{bytes: size}
		l.put(ref(i), x)
		l.done(x)
	}
	if l.get(ref(29)) != nil || l.bytes != lineCache {
		t.Errorf("besides lines in use others are kept: %d bytes in all", l.bytes)
	}
	for _, x := range slow {
		if x == nil {
			t.Fatal("a line that was kept is gone")
		}
		l.done(x)
	}
	l.put(ref(30), &line{bytes: size})
	if l.get(ref(30)) == nil || l.get(ref(2)) != nil || l.get(ref(3)) == nil {
		t.Error("the line that was not used for the longest time was not replaced")
	}
}
