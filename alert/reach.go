package alert

// UnreachableRounds: after so many rounds in a row in which monitors could not reach the node, it counts as
// unreachable. Shorter outages are restarts and upgrades.
const UnreachableRounds = 3

// Reach follows whether monitors reach the node, round by round. It is pure. The zero Reach has heard of no round.
type Reach struct {
	last uint64 // newest round counted
	bad  int    // rounds in a row
	told bool
}

// Round takes the outcome of a round by the weighted median, and reports what became of it: down after
// UnreachableRounds in a row, and up with the first good round after that. Rounds without data are not told: they
// neither count nor break a row. Old and repeated rounds are ignored.
func (r *Reach) Round(number uint64, reached bool) (down, up bool) {
	if number <= r.last {
		return false, false
	}
	r.last = number
	if reached {
		up, r.bad, r.told = r.told, 0, false
		return false, up
	}
	if r.bad++; r.bad >= UnreachableRounds && !r.told {
		r.told = true
		return true, false
	}
	return false, false
}

// Since continues after a restart: down tells that the operator knows of trouble that is not over.
func (r *Reach) Since(down bool) { r.told = down }
