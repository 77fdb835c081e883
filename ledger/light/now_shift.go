//go:build clockshift

package light

import (
	"os"
	"time"
)

// systemNow returns the time by a clock that is wrong by $WALRUS_CLOCK_SHIFT, such as -10m.
func systemNow() time.Time {
	shift, _ := time.ParseDuration(os.Getenv("WALRUS_CLOCK_SHIFT")) // 0 if it is not a duration
	return time.Now().Add(shift)
}
