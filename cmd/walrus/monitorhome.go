package main

import "github.com/spf13/cobra"

// envMonitorHome names the home of a monitor.
const envMonitorHome = "WALRUS_MONITOR_HOME"

// monitorHomeFlag adds the flag --home, which has a default.
func monitorHomeFlag(c *cobra.Command, home *string) {
	c.Flags().StringVar(home, "home", "",
		"home `FOLDER` of the monitor (default: $"+envMonitorHome+", else ~/.local/share/walrus/monitor)")
}

// monitorHome returns the absolute path of the monitor's home.
func (a monitorApp) monitorHome(flag string) (string, error) {
	return dataHome(a.env, flag, envMonitorHome, "monitor")
}
