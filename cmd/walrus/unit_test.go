package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestUnit: the systemd unit starts an existing command, and gives an intruder few rights. Where systemd is installed,
// the test also asks for its verdict.
func TestUnit(t *testing.T) {
	const unit = "../../docs/walrus-node.service"
	b, err := os.ReadFile(unit)
	if err != nil {
		t.Fatal(err)
	}
	set := map[string]string{}
	for line := range strings.Lines(string(b)) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(key, "#") {
			set[key] = value
		}
	}
	command := strings.Fields(set["ExecStart"])
	if len(command) != 5 {
		t.Fatalf("starts %q", command)
	}
	c, rest, err := newRoot(&app{}).Find(command[1:])
	if err != nil || c.CommandPath() != "walrus node run" || c.ParseFlags(rest) != nil {
		t.Errorf("there is no command %q", command)
	}
	if home := c.Flag("home").Value.String(); home != set["WorkingDirectory"] ||
		home != "/var/lib/"+set["StateDirectory"] {
		t.Errorf("the home is %s: the unit may write to /var/lib/%s", home, set["StateDirectory"])
	}
	for key, want := range map[string]string{
		"DynamicUser": "yes", "CapabilityBoundingSet": "", "ProtectSystem": "strict", "StateDirectoryMode": "0700",
		"RestrictAddressFamilies": "AF_INET AF_INET6 AF_UNIX AF_NETLINK",
	} {
		if got, ok := set[key]; !ok || got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("there is no systemd-analyze: the rest is not checked")
	}
	out, err := exec.CommandContext(t.Context(), analyze, "security", "--offline=true", "--threshold=15", "--no-pager",
		unit).CombinedOutput()
	if err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
