package config

import (
	"errors"
	"fmt"
	"net"
)

// Gateway is the part of a node.yaml that makes the node a gateway too.
type Gateway struct {
	// Bind is the address to serve HTTP on, such as 127.0.0.1:31415. Default "": no gateway.
	Bind string `yaml:"bind"`
	// Wallet is the file with the key that pays for what is stored through the gateway. Default "": it only reads.
	Wallet string `yaml:"wallet"`
}

func (g *Gateway) validate() error {
	if g.Bind == "" {
		if g.Wallet != "" {
			return errors.New("key \"gateway.wallet\" is set and \"gateway.bind\" is not: name the address to serve HTTP on")
		}
		return nil
	}
	if _, _, err := net.SplitHostPort(g.Bind); err != nil {
		return fmt.Errorf("key \"gateway.bind\" is %q: want an address and a port, such as 127.0.0.1:31415", g.Bind)
	}
	return nil
}
