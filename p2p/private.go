package p2p

import (
	"fmt"

	"github.com/libp2p/go-libp2p/core/peer"
)

// allowList tells who may have a connection in a private network; nil: everybody.
type allowList func(peer.ID) bool

// NotAllowedError reports a peer that a private network does not admit.
type NotAllowedError struct{ Peer peer.ID }

func (e *NotAllowedError) Error() string {
	return fmt.Sprintf("peer %s is not on the allow list: add it to \"allow\" in the configuration, here and at the nodes", e.Peer)
}

// admit returns a *NotAllowedError for a peer that is neither allowed nor protected: consensus and storage need the
// members that the ledger names.
func (d *door) admit(id peer.ID) error {
	if d.private == nil || d.private(id) || d.members.has(id) {
		return nil
	}
	return &NotAllowedError{id}
}
