package config

import (
	"errors"
	"fmt"
	"net"

	"walrus/ledger/wallet"
	"walrus/shards"
)

// Gateway is the section of node.yaml that makes the node a gateway too.
type Gateway struct {
	// Bind is the address to serve HTTP on, such as 127.0.0.1:31415. Default "": no gateway.
	Bind string `yaml:"bind"`
	// Wallet is the file with the key that pays for blobs stored through the gateway. Default "": the gateway only
	// reads.
	Wallet string `yaml:"wallet"`
	// MaxFee bounds the fee of a transaction, in multiples of the least fee, as in a client's configuration. Default 0:
	// 10.
	MaxFee uint64 `yaml:"maxFee"`
	// MaxBody bounds blobs, and quilt forms, stored through the gateway, such as 1GiB. Default "": the original's
	// limits, 10 MiB for a blob and 100 MiB for a quilt.
	MaxBody string `yaml:"maxBody"`
	// Metrics is the address of the gateway's Prometheus metrics, at /metrics. Default "": 127.0.0.1:27182 if it is
	// free. "none" turns them off.
	Metrics string `yaml:"metrics"`
}

// MaxBodyBytes returns MaxBody in bytes; 0 if it is not set.
func (g *Gateway) MaxBodyBytes() (int64, error) {
	if g.MaxBody == "" {
		return 0, nil
	}
	n, err := ParseSize(g.MaxBody)
	if err == nil && n > shards.MaxLength {
		err = fmt.Errorf("%q exceeds the largest possible blob", g.MaxBody)
	}
	if err != nil {
		return 0, fmt.Errorf("key \"gateway.maxBody\": %w", err)
	}
	return n, nil
}

// LoadWallet reads the wallet that pays.
func (g *Gateway) LoadWallet() (*wallet.Wallet, error) {
	w, err := wallet.Load(g.Wallet)
	if err != nil || g.MaxFee == 0 {
		return w, err
	}
	return w.MaxFee(g.MaxFee), nil
}

func (g *Gateway) validate() error {
	if g.Bind == "" {
		if g.Wallet != "" {
			return errors.New("key \"gateway.wallet\" is set but \"gateway.bind\" is not: set the address to serve HTTP on")
		}
		return nil
	}
	if _, _, err := net.SplitHostPort(g.Bind); err != nil {
		return fmt.Errorf("key \"gateway.bind\" is %q: want an address and a port, such as 127.0.0.1:31415", g.Bind)
	}
	if _, _, err := net.SplitHostPort(g.Metrics); err != nil && g.Metrics != "" && g.Metrics != "none" {
		return fmt.Errorf("key \"gateway.metrics\" is %q: want an address and a port, such as 127.0.0.1:27182, or none",
			g.Metrics)
	}
	_, err := g.MaxBodyBytes()
	return err
}
