package p2p

import (
	"fmt"
	"sync/atomic"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// allowList tells who may have a connection in a private network; nil: everybody.
type allowList func(peer.ID) bool

// allowed holds the allow list of now.
type allowed struct{ list atomic.Pointer[allowList] }

func (a *allowed) set(list allowList) { a.list.Store(&list) }

func (a *allowed) now() allowList {
	if list := a.list.Load(); list != nil {
		return *list
	}
	return nil
}

// NotAllowedError reports a peer that a private network does not admit.
type NotAllowedError struct{ Peer peer.ID }

func (e *NotAllowedError) Error() string {
	return fmt.Sprintf("peer %s is not on the allow list: add it to \"allow\" in the configuration, here and at the nodes", e.Peer)
}

// admit returns a *NotAllowedError for a peer that is neither allowed nor protected: consensus and storage need the
// members that the ledger names.
func (d *door) admit(id peer.ID) error {
	if list := d.private.now(); list == nil || list(id) || d.members.has(id) {
		return nil
	}
	return &NotAllowedError{id}
}

// SetAllowed replaces a host's Config.Allow and closes the connections of peers that the new list does not admit. It
// returns how many peers lost theirs. A connection that is being made meanwhile is closed too.
func SetAllowed(h *Host, list func(peer.ID) bool) (closed int) {
	h.door.private.set(list)
	for _, id := range h.host.Network().Peers() {
		if h.door.admit(id) != nil {
			_ = h.host.Network().ClosePeer(id) // it is gone either way
			closed++
		}
	}
	return closed
}

// late closes a connection whose peer lost its permission between the handshake and now.
func (d *door) late(c network.Conn) {
	if d.admit(c.RemotePeer()) != nil {
		d.closing.Go(func() { _ = c.CloseWithError(network.ConnGated) })
	}
}
