package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/spf13/cobra"

	"walrus/compose"
)

// TestJWTSecret: a flag meant to close a publisher never leaves it open.
func TestJWTSecret(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("of a file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	marked := filepath.Join(t.TempDir(), "marked")
	if err := os.WriteFile(marked, []byte("\xef\xbb\xbfof a file\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	wide := filepath.Join(t.TempDir(), "wide")
	if err := os.WriteFile(wide, []byte("\xff\xfeo\x00f\x00"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		args      []string
		env, want string
		usage     bool
	}{
		"none":                 {nil, "", "", false},
		"flag":                 {[]string{"--jwt-decode-secret", "of a flag"}, "of the environment", "of a flag", false},
		"file":                 {[]string{"--jwt-decode-secret-file", file}, "", "of a file", false},
		"environment":          {nil, "of the environment", "of the environment", false},
		"a variable not set":   {[]string{"--jwt-decode-secret", ""}, "", "", true},
		"a file name not set":  {[]string{"--jwt-decode-secret-file="}, "", "", true},
		"a marked file":        {[]string{"--jwt-decode-secret-file", marked}, "", "of a file", false},
		"a file in UTF-16":     {[]string{"--jwt-decode-secret-file", wide}, "", "", true},
		"an empty file":        {[]string{"--jwt-decode-secret-file", empty}, "", "", true},
		"one of two is enough": {[]string{"--jwt-decode-secret", "x", "--jwt-decode-secret-file", file}, "", "", true},
	} {
		var f gatewayFlags
		c := &cobra.Command{}
		f.add(c, true, true)
		if err := c.ParseFlags(tt.args); err != nil {
			t.Fatal(err)
		}
		gw := compose.DefaultGateway()
		err := f.apply(gw, func(string) string { return tt.env })
		if usage := (*usageError)(nil); errors.As(err, &usage) != tt.usage || err != nil && !tt.usage ||
			gw.Site.Guard.JWT.Secret != tt.want {
			t.Errorf("%s: secret %q, %v", name, gw.Site.Guard.JWT.Secret, err)
		}
	}
}
