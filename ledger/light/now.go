//go:build !clockshift

package light

import "time"

// systemNow is this machine's clock, where it is compared with others'. Built with the tag clockshift it is wrong by
// $WALRUS_CLOCK_SHIFT: to see what that does.
func systemNow() time.Time { return time.Now() }
