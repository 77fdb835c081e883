package pin

import (
	"context"
	"errors"
	"io"
	"testing"

	"walrus/p2p"
	"walrus/shards"
)

// TestSlowReaders: readers that take their bytes slowly keep nobody from having slivers and symbols encoded.
func TestSlowReaders(t *testing.T) {
	src := newSource(t, 7)
	id := src.add(t, randomBytes(3, 4_000_000))
	k, _ := running(t, Config{Dir: t.TempDir(), Params: src.params, Source: src})
	r, err := k.Add(t.Context(), Request{Blob: id})
	if err != nil {
		t.Fatal(err)
	}
	awaitStatus(t, k, r.ID, Pinned)
	open := func() p2p.SliverReader {
		s, err := k.OpenSliver(t.Context(), id, shards.Primary, src.params.Shards()-1)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.ReadAt(make([]byte, 1), 0); err != nil {
			t.Fatal(err)
		}
		return s
	}
	symbolSize := k.cfg.Params.Layout(shards.Primary, 4_000_000).SymbolSize
	query := p2p.SymbolRequest{}
	query.Blob, query.Axis, query.Slivers, query.Targets = id, shards.Primary, []int{0, 1}, []int{src.params.Shards() - 1}
	query.SymbolSize, query.Length = symbolSize, symbolSize
	for range maxComputed {
		s := open() // and reads no more
		defer s.Close()
	}
	ctx, cancel := context.WithCancel(t.Context())
	waiting := make(chan error, maxComputed)
	for range maxComputed {
		from, to := io.Pipe()
		go func() {
			defer context.AfterFunc(ctx, func() { _ = to.Close() })()
			waiting <- k.Symbols(ctx, query, to)
		}()
		if _, err := io.ReadFull(from, make([]byte, 1)); err != nil { // and takes no more
			t.Fatal(err)
		}
	}
	s := open()
	if n, err := s.ReadAt(make([]byte, s.Size()), 0); err != nil || int64(n) != s.Size() {
		t.Errorf("a quick reader got %d of %d bytes: %v", n, s.Size(), err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := k.Symbols(t.Context(), query, io.Discard); err != nil {
		t.Errorf("symbols beside slow readers: %v", err)
	}
	cancel()
	for range maxComputed {
		if err := <-waiting; err == nil || errors.Is(err, p2p.ErrBusy) {
			t.Errorf("the slow reader: %v", err)
		}
	}
	if len(k.files.slot) != 0 {
		t.Errorf("%d slots are still held", len(k.files.slot))
	}
}
