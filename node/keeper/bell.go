package keeper

// bell wakes one waiting task. Rings while nobody waits are kept as one.
type bell chan struct{}

func newBell() bell { return make(bell, 1) }

func (b bell) ring() {
	select {
	case b <- struct{}{}:
	default:
	}
}
