package pin

import (
	"strings"
	"sync"
	"testing"
	"time"
)

// TestStamps: requests made at the same time have times of their own, in whole milliseconds and in the order of their
// IDs, also after a restart in the same moment.
func TestStamps(t *testing.T) {
	source := newSource(t, 10)
	cfg := Config{Dir: t.TempDir(), Params: source.params, Source: source}
	seen := map[time.Time]bool{}
	for range 2 {
		k, err := Open(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if now := time.Now().Add(time.Minute); len(seen) == 0 { // as if many had been made in a burst
			k.stamp(now)
		} else if last := k.stamped; time.Until(last) < 50*time.Second {
			t.Errorf("after a restart the newest request is from %s", last)
		}
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				if _, err := k.Add(t.Context(), Request{CID: "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy", Name: strings.Repeat("ä", MaxName)}); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		list, _, err := k.List(Filter{Limit: 20})
		if err != nil || len(list) != 20 {
			t.Fatalf("%d requests: %v", len(list), err)
		}
		for i, r := range list {
			if seen[r.Created] || !r.Created.Equal(r.Created.Truncate(time.Millisecond)) || i > 0 && !(r.Created.Before(list[i-1].Created) && r.ID < list[i-1].ID) {
				t.Errorf("request %s is of %s, the one before of %s", r.ID, r.Created, list[max(i-1, 0)].Created)
			}
			seen[r.Created] = true
		}
		if err := k.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
