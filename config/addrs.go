package config

import (
	"fmt"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
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
