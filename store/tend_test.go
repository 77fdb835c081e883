package store

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"walrus/internal/badgerdisk"
)

// TestTend leaves a store that was killed to the work in the background.
func TestTend(t *testing.T) {
	dir, killed := t.TempDir(), t.TempDir()
	s := mustOpen(t, small(dir))
	fillSmall(t, s, 3000)
	left, err := s.Create(Ref{Blob: blobIDIn(s, t, 1)}, 2*extentSize)
	check(t, err)
	_, err = left.Write(make([]byte, extentSize))
	check(t, err)
	check(t, s.Sync())
	copyTree(t, killed, dir)
	synctest.Test(t, func(t *testing.T) {
		s, err := Open(small(killed))
		check(t, err)
		s.catalog.db.suspect()
		s.space.usage.add(1 << 40)
		ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
		defer cancel()
		check(t, s.Tend(ctx, nil))
		if wantCounts(t, s) > 0 || len(doubted(s)) > 0 {
			t.Error("there is still something to do")
		}
		used, err := badgerdisk.Used(killed)
		check(t, err)
		if st, err := s.Stats(); err != nil || st.Bytes < used/2 || st.Bytes > 2*used {
			t.Errorf("counts %d bytes of disk space, measured %d: %v", st.Bytes, used, err)
		}
		check(t, s.Close())
	})
}
