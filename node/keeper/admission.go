package keeper

import (
	"context"
	"fmt"
	"time"

	"walrus/p2p"
)

// admissionPoll separates two looks whether the node may serve.
const admissionPoll = 250 * time.Millisecond

// admission tells whether this node may serve as a member. Package node decides that.
type admission struct{ refusal func() error } // nil: always; constant

// check returns an error wrapping ErrUnavailable while the node must not take uploads or confirm.
func (a *admission) check() error {
	if why := a.why(); why != "" {
		return fmt.Errorf("%w: this node is not admitted yet: %s", p2p.ErrUnavailable, why)
	}
	return nil
}

// why returns the reason why the node must not serve; empty if it may.
func (a *admission) why() string {
	if a == nil || a.refusal == nil {
		return ""
	}
	if err := a.refusal(); err != nil {
		return err.Error()
	}
	return ""
}

// wait returns once the node may serve, or ctx has ended.
func (a *admission) wait(ctx context.Context) {
	poll := time.NewTicker(admissionPoll)
	defer poll.Stop()
	for a.why() != "" {
		select {
		case <-poll.C:
		case <-ctx.Done():
			return
		}
	}
}
