package config

import (
	"errors"
	"fmt"
	"net"
)

// Pins is the section of node.yaml that lets the node keep pins too, in its home.
type Pins struct {
	// Enabled starts the pinner with the node. Default false.
	Enabled bool `yaml:"enabled"`
	// Limit bounds the disk that pins take, such as 500GiB. Required if Enabled: the store may be on the same disk.
	Limit string `yaml:"limit"`
	// Rate bounds what is sent to others in a second, and Daily in a day, such as 5MiB. Default "": no bound.
	Rate  string `yaml:"rate"`
	Daily string `yaml:"daily"`
	// Blocklist is a file with the IDs of blobs that are neither kept nor served. Default "": none are.
	Blocklist string `yaml:"blocklist"`
	// PinningAPI is the host:port at which the IPFS Pinning Service API is served, such as 127.0.0.1:5050. Default "": it
	// is not.
	PinningAPI string `yaml:"pinningApi"`
}

// Sizes returns Limit, Rate and Daily in bytes; 0 for those that are not set.
func (p *Pins) Sizes() (limit, rate, daily int64, err error) {
	for _, size := range []struct {
		key, text string
		to        *int64
	}{{"limit", p.Limit, &limit}, {"rate", p.Rate, &rate}, {"daily", p.Daily, &daily}} {
		if size.text == "" {
			continue
		}
		if *size.to, err = ParseSize(size.text); err != nil {
			return 0, 0, 0, fmt.Errorf("key \"pins.%s\": %w", size.key, err)
		}
	}
	return limit, rate, daily, nil
}

func (p *Pins) validate() error {
	if p.Enabled && p.Limit == "" {
		return errors.New("key \"pins.limit\" is empty: say how much disk the pins may take, such as 500GiB")
	}
	if p.PinningAPI != "" {
		if _, _, err := net.SplitHostPort(p.PinningAPI); err != nil {
			return fmt.Errorf("key \"pins.pinningApi\": %w: want host:port, such as 127.0.0.1:5050", err)
		}
	}
	_, _, _, err := p.Sizes()
	return err
}
