package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestAlertsWebhookFile reads the address from a file that only its owner can read, and never shows it.
func TestAlertsWebhookFile(t *testing.T) {
	const address = "https://hooks.example.org/s3cr3t"
	for name, tt := range map[string]struct {
		content string
		mode    os.FileMode
		want    string // in the error
	}{
		"good":         {address + "\n", 0o600, ""},
		"others read":  {address, 0o640, "chmod 600"},
		"no address":   {"hooks.example.org/s3cr3t", 0o600, "holds no address"},
		"no host":      {"https:///s3cr3t", 0o600, "not an address"},
		"missing":      {"", 0, "no file webhook.url"},
		"with a mark":  {"\ufeff" + address, 0o600, "byte order mark"},
		"much too big": {address + strings.Repeat("a", maxKeyFile), 0o600, "larger than"},
	} {
		home := t.TempDir()
		if tt.mode != 0 {
			path := write(t, filepath.Join(home, "webhook.url"), tt.content)
			chmod(t, path, tt.mode)
		}
		overwrite(t, filepath.Join(home, NodeFile),
			"listen: [/ip4/127.0.0.1/tcp/4001]\nalerts: {webhook: webhook.url, command: [./notify.sh, a]}\n")
		n, err := LoadNode(home)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if want := filepath.Join(home, "notify.sh"); n.Alerts.Command[0] != want {
			t.Errorf("%s: command %q, want %q", name, n.Alerts.Command[0], want)
		}
		c, err := n.Alerts.Compose()
		if tt.want == "" {
			if err != nil || c.Webhook != address {
				t.Errorf("%s: %q, %v", name, c.Webhook, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), `key "alerts.webhook"`) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
		if strings.Contains(fmt.Sprint(err), "s3cr3t") {
			t.Errorf("%s: the error shows the address: %v", name, err)
		}
	}
}
