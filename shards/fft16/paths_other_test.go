//go:build !amd64

package fft16

import "testing"

// eachPath runs f with each implementation that the processor can run.
func eachPath[T interface {
	testing.TB
	Run(string, func(T)) bool
}](t T, f func(T)) {
	t.Run("generic", f)
}
