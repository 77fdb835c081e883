package main

import (
	"path/filepath"

	"github.com/spf13/cobra"

	"walrus/internal/userfile"
)

// envMonitorHome names the home of a monitor.
const envMonitorHome = "WALRUS_MONITOR_HOME"

// monitorHomeFlag adds the flag --home, which has a default.
func monitorHomeFlag(c *cobra.Command, home *string) {
	c.Flags().StringVar(home, "home", "",
		"home `FOLDER` of the monitor (default: $"+envMonitorHome+", else ~/.local/share/walrus/monitor)")
}

// monitorHome returns the absolute path of the monitor's home.
func (a monitorApp) monitorHome(flag string) (string, error) {
	home := flag
	if home == "" {
		home = a.env(envMonitorHome)
	}
	switch data := a.env("XDG_DATA_HOME"); {
	case home != "":
	case data != "":
		home = filepath.Join(data, "walrus", "monitor")
	case a.env("HOME") != "":
		home = filepath.Join(a.env("HOME"), ".local", "share", "walrus", "monitor")
	default:
		return "", usagef("where is the monitor? give --home FOLDER or set $%s", envMonitorHome)
	}
	home, err := userfile.Expand(home)
	if err != nil {
		return "", usagef("home of the monitor: %w", err)
	}
	return filepath.Abs(home)
}
