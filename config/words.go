package config

import (
	"slices"
	"strings"
)

func sortedList(names []string) string {
	slices.Sort(names)
	return strings.Join(names, ", ")
}

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

// editDistance counts the insertions, deletions and replacements of bytes that make a into b.
func editDistance(a, b string) int {
	const far = 1 << 10
	if len(a) > 64 || len(b) > 64 { // all known keys are shorter
		return far
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
