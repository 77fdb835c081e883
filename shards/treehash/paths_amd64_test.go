package treehash

import "testing"

// eachPath runs f with each implementation that the processor can run.
func eachPath[T interface {
	testing.TB
	Run(string, func(T)) bool
}](t T, f func(T)) {
	was512, was2 := hasAVX512, hasAVX2
	defer func() { hasAVX512, hasAVX2 = was512, was2 }()
	if was512 {
		t.Run("avx512", f)
	}
	if hasAVX512 = false; was2 {
		t.Run("avx2", f)
	}
	hasAVX2 = false
	t.Run("generic", f)
}
