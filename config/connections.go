package config

import (
	"fmt"

	"walrus/p2p"
)

// Connections is the section of node.yaml about connections of strangers. A stranger is a peer that the ledger does not
// name.
type Connections struct {
	// Strangers bounds the connections that strangers make, 20 to 20000. Default 600.
	Strangers int `yaml:"strangers"`
	// PerAddress bounds their connections from one IPv4 address or IPv6 /56. Default 32.
	PerAddress int `yaml:"perAddress"`
	// PerNetwork bounds their connections from one IPv4 /24 or IPv6 /48; an IPv6 /32 may have twice as many. Default 64.
	PerNetwork int `yaml:"perNetwork"`
	// LimitPrivate applies the limits per address and network to private and loopback addresses, too. Default false.
	LimitPrivate bool `yaml:"limitPrivate"`
}

// Bounds of Connections.Strangers.
const minStrangers, maxStrangers = 20, 20_000

func defaultConnections() Connections {
	l := p2p.DefaultConnLimits()
	return Connections{Strangers: l.Strangers, PerAddress: l.PerIP, PerNetwork: l.PerNet}
}

func (c Connections) validate() error {
	switch {
	case c.Strangers < minStrangers || c.Strangers > maxStrangers:
		return fmt.Errorf("key \"connections.strangers\" is %d: want %d to %d", c.Strangers, minStrangers, maxStrangers)
	case c.PerAddress < 1 || c.PerAddress > c.PerNetwork:
		return fmt.Errorf("key \"connections.perAddress\" is %d: want 1 to perNetwork, which is %d",
			c.PerAddress, c.PerNetwork)
	case c.PerNetwork > c.Strangers:
		return fmt.Errorf("key \"connections.perNetwork\" is %d: want at most strangers, which is %d",
			c.PerNetwork, c.Strangers)
	}
	return nil
}

// Limits returns the limits of the node's host. Trimming stops when two thirds of the strangers' connections are left.
func (c Connections) Limits() p2p.Limits {
	l := p2p.DefaultLimits()
	l.Conns.Strangers, l.Conns.StrangersOut = c.Strangers, c.Strangers/2
	l.Conns.High, l.Conns.Low = c.Strangers, c.Strangers*2/3
	l.Conns.PerIP, l.Conns.PerNet, l.Conns.PerBlock = c.PerAddress, c.PerNetwork, 2*c.PerNetwork
	l.Conns.LimitPrivate = c.LimitPrivate
	return l
}
