//go:build !linux

package doctor

import (
	"context"
	"net/netip"

	"github.com/libp2p/go-libp2p/core/peer"
)

// fileLimit is not known on this system.
func fileLimit() uint64 { return 0 }

// hops are not known on this system.
func hops(context.Context, []peer.AddrInfo) []netip.Addr { return nil }
