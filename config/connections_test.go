package config

import (
	"path/filepath"
	"strings"
	"testing"

	"walrus/p2p"
)

func TestConnections(t *testing.T) {
	if got := defaultConnections().Limits(); got != p2p.DefaultLimits() {
		t.Errorf("the defaults differ from the host's: %+v", got)
	}
	for text, want := range map[string]string{
		"{strangers: 19}":    `"connections.strangers" is 19`,
		"{strangers: 20001}": `"connections.strangers" is 20001`,
		"{perAddress: 0}":    `"connections.perAddress" is 0`,
		"{perAddress: 65}":   `"connections.perAddress" is 65`,
		"{strangers: 20}":    `"connections.perNetwork" is 64`,
		"{perAdress: 9}":     `did you mean "perAddress"?`,
		"{strangers: 20, perAddress: 5, perNetwork: 5}": "",
		"{strangers: 9000, perNetwork: 900}":            "",
		"{perAddress: 64, limitPrivate: true}":          "",
	} {
		home := t.TempDir()
		write(t, filepath.Join(home, NodeFile), "listen: [/ip4/127.0.0.1/tcp/4001]\nconnections: "+text+"\n")
		n, err := LoadNode(home)
		if want != "" {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: got %v, want an error with %s", text, err, want)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if err := n.Connections.Limits().Validate(); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}
