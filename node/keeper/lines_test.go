package keeper

import (
	"testing"
	"testing/synctest"
	"time"

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

// TestLinesAge: after some seconds a line is read from the disk again, however often it is asked for. While it is still
// being sent, the one read anew is not kept.
func TestLinesAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, ref := newLines(), store.Ref{Blob: blob(1)}
		old := &line{bytes: 1000}
		l.put(ref, old)
		for range 9 {
			time.Sleep(lineLife / 10)
			if l.get(ref) != old {
				t.Fatal("a line is not kept")
			}
			l.done(old)
		}
		time.Sleep(lineLife / 10)
		if l.get(ref) != nil {
			t.Error("a line is answered from memory for ever")
		}
		second := &line{bytes: 1000}
		l.put(ref, second)
		l.done(second)
		if l.get(ref) != nil || l.bytes != 1000 {
			t.Errorf("a line in use was replaced: %d bytes", l.bytes)
		}
		l.done(old)
		l.put(ref, second)
		if l.get(ref) != second || l.bytes != 1000 {
			t.Errorf("a line read anew is not kept: %d bytes", l.bytes)
		}
	})
}
