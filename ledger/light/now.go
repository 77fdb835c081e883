//go:build !clockshift

package light

import "time"

// systemNow returns the time by this machine's clock, for comparisons with others' clocks. To try a wrong clock,
// build with the tag clockshift: it is then wrong by $WALRUS_CLOCK_SHIFT.
func systemNow() time.Time { return time.Now() }
