package keeper

import (
	"bytes"
	"slices"
	"testing"

	"walrus/shards"
)

// TestDraw draws from a few blobs and from many, from every place: each blob comes equally often, and once in a run.
func TestDraw(t *testing.T) {
	for _, count := range []int{0, 1, 10, checkRun, 250} {
		var ids []shards.BlobID
		for i := range count {
			ids = append(ids, shards.BlobID{byte(i + 1)})
		}
		list := func(after shards.BlobID, limit int) (page []shards.BlobID, err error) {
			for _, id := range ids {
				if bytes.Compare(id[:], after[:]) > 0 && len(page) < limit {
					page = append(page, id)
				}
			}
			return page, nil
		}
		times := map[shards.BlobID]int{}
		for _, after := range ids {
			run, err := draw(list, after)
			if err != nil || len(run) != min(count, checkRun) {
				t.Fatalf("%d of %d blobs, %v", len(run), count, err)
			}
			for i, id := range run {
				if times[id]++; slices.Contains(run[:i], id) {
					t.Errorf("of %d blobs, one comes twice in a run", count)
				}
			}
		}
		for _, id := range ids {
			if times[id] != min(count, checkRun) {
				t.Errorf("of %d blobs, one comes %d times, want %d", count, times[id], min(count, checkRun))
			}
		}
	}
}
