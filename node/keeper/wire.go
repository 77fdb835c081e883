package keeper

import (
	"errors"
	"fmt"

	"walrus/p2p"
	"walrus/store"
)

// wireError wraps an error of the store with the sentinel of package p2p that peers understand.
func wireError(err error) error {
	switch {
	case errors.Is(err, store.ErrNotFound):
		return fmt.Errorf("%w: %w", p2p.ErrNotFound, err)
	case errors.Is(err, store.ErrCorrupt):
		return fmt.Errorf("%w: %w", p2p.ErrCorrupt, err)
	case errors.Is(err, store.ErrFull):
		return &fullError{refusal(err)}
	case errors.Is(err, store.ErrClosed), errors.Is(err, store.ErrUnsynced):
		return fmt.Errorf("%w: %w", p2p.ErrUnavailable, err)
	}
	return err
}

// fullError tells a peer why its data was not taken. It gives the reason and hides the names of our folders.
type fullError struct{ reason string }

func (e *fullError) Error() string {
	return fmt.Sprintf("%v: this node takes no new data: %s", p2p.ErrUnavailable, e.reason)
}

func (e *fullError) Unwrap() []error { return []error{p2p.ErrUnavailable, store.ErrFull} }
