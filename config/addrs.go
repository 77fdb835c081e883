package config

import (
	"errors"
	"fmt"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"walrus/p2p"
)

// maxAddrs bounds each list of addresses, far above any need.
const maxAddrs = 64

func checkAddrs(key string, addrs []string) error {
	if len(addrs) > maxAddrs {
		return fmt.Errorf("key %q: %d addresses: at most %d", key, len(addrs), maxAddrs)
	}
	for _, s := range addrs {
		if _, err := multiaddr.NewMultiaddr(s); err != nil {
			return fmt.Errorf("key %q: %q is not a multiaddr: write it like /ip4/192.0.2.1/tcp/4001", key, s)
		}
	}
	return nil
}

// checkAnnounce refuses addresses at which nobody can dial the node.
func checkAnnounce(addrs []string, only bool) error {
	if err := checkAddrs("announce", addrs); err != nil {
		return err
	}
	if only && len(addrs) == 0 {
		return errors.New("key \"announceOnly\" is true, but \"announce\" is empty: name an address")
	}
	for _, s := range addrs {
		a, err := multiaddr.NewMultiaddr(s)
		if err != nil {
			return err
		}
		switch first := a[0].Protocol().Code; {
		case p2p.Announceable(a):
		case first == multiaddr.P_IP4 || first == multiaddr.P_IP6 || first == multiaddr.P_DNS || first == multiaddr.P_DNS4 || first == multiaddr.P_DNS6:
			return fmt.Errorf("key \"announce\": nobody can dial %q: want a TCP port, or a UDP port and /quic-v1, and nothing behind", s)
		default:
			return fmt.Errorf("key \"announce\": %q does not begin with an address or a name: want /ip4, /ip6, /dns4, /dns6 or /dns", s)
		}
	}
	return nil
}

// onMachine reports whether all addresses are of this machine alone.
func onMachine(addrs []string) bool {
	for _, s := range addrs {
		a, err := multiaddr.NewMultiaddr(s)
		if err != nil || !p2p.IsLoopback(a) {
			return false
		}
	}
	return true
}

func checkPeerAddrs(key string, addrs []string) error {
	if err := checkAddrs(key, addrs); err != nil {
		return err
	}
	for _, s := range addrs {
		if info, err := peer.AddrInfoFromString(s); err != nil || len(info.Addrs) == 0 {
			return fmt.Errorf("key %q: %q names no peer: write it like /ip4/192.0.2.1/tcp/4001/p2p/12D3Koo…", key, s)
		}
	}
	return nil
}
