package config

import (
	"crypto/ed25519"
	"fmt"
)

// Monitor is the section of node.yaml that lets the node probe others, too.
type Monitor struct {
	// Enabled starts the monitor with the node. Default false.
	Enabled bool `yaml:"enabled"`
	// Receipts bounds the disk that signed answers of probed nodes take, such as 1GiB; they are kept for at most 30 days.
	// Default "": 1 GiB.
	Receipts string `yaml:"receipts"`
}

// ReceiptBytes returns Receipts in bytes; 0 means the default.
func (m *Monitor) ReceiptBytes() (int64, error) {
	if m.Receipts == "" {
		return 0, nil
	}
	n, err := ParseSize(m.Receipts)
	if err != nil {
		return 0, fmt.Errorf("key \"monitor.receipts\": %w", err)
	}
	return n, nil
}

func (m *Monitor) validate() error {
	_, err := m.ReceiptBytes()
	return err
}

// MonitorKey reads the identity of the monitor at home, with which it signs. The first call makes it, and the home.
func MonitorKey(home string) (ed25519.PrivateKey, error) { return PinKey(home) }
