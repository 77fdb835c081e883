package config

import "strings"

// Nearest returns the name that word was probably meant to be, "" if none is near.
func Nearest(word string, names []string) (best string) {
	distance := min(3, len(word)/2+1) // at least half of the word must match
	for _, name := range names {
		if d := editDistance(strings.ToLower(word), strings.ToLower(name)); d < distance || d == distance && name < best {
			best, distance = name, d
		}
	}
	return best
}

// editDistance counts the insertions, deletions, replacements and swaps of neighbouring bytes that make a into b.
func editDistance(a, b string) int {
	const far = 1 << 10
	if len(a) > 64 || len(b) > 64 { // all known keys are shorter
		return far
	}
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before, last, row = last, row, before
		row[0] = i + 1
		for j := range len(b) {
			replaced := last[j]
			if a[i] != b[j] {
				replaced++
			}
			row[j+1] = min(replaced, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
	}
	return row[len(b)]
}
