package ledger

import (
	"fmt"
	"strconv"
	"strings"

	"walrus/shards"
)

// formatRanges writes ascending shards as "0-13,20".
func formatRanges(list []int) string {
	var b strings.Builder
	for i := 0; i < len(list); {
		j := i
		for j+1 < len(list) && list[j+1] == list[j]+1 {
			j++
		}
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.Itoa(list[i]))
		if j > i {
			b.WriteByte('-')
			b.WriteString(strconv.Itoa(list[j]))
		}
		i = j + 1
	}
	return b.String()
}

// parseRanges reads "0-13,20". Ranges must be ascending and disjoint, so that a short text never means more than
// MaxShards.
func parseRanges(text string) ([]int, error) {
	var list []int
	next := 0 // least shard that may follow
	for part := range strings.SplitSeq(text, ",") {
		from, to, isRange := strings.Cut(strings.TrimSpace(part), "-")
		first, err := parseShard(from)
		if err != nil {
			return nil, err
		}
		last := first
		if isRange {
			if last, err = parseShard(to); err != nil {
				return nil, err
			}
		}
		if first < next || last < first {
			return nil, fmt.Errorf("%q is not in ascending order", strings.TrimSpace(part))
		}
		for s := first; s <= last; s++ {
			list = append(list, s)
		}
		next = last + 1
	}
	return list, nil
}

func parseShard(text string) (int, error) {
	v, err := strconv.ParseUint(strings.TrimSpace(text), 10, 16)
	if err != nil || v >= shards.MaxShards {
		return 0, fmt.Errorf("%q is not a shard number: write them like 0-13,20", text)
	}
	return int(v), nil
}
