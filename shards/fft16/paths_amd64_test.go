package fft16

import "testing"

// eachPath runs f with each implementation that the processor can run.
func eachPath[T interface {
	testing.TB
	Run(string, func(T)) bool
}](t T, f func(T)) {
	was := hasGFNI
	defer func() { hasGFNI = was }()
	if was {
		t.Run("gfni", f)
	}
	hasGFNI = false
	t.Run("generic", f)
}
