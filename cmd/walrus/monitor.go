package main

import "github.com/spf13/cobra"

// monitorApp runs the commands about monitors.
type monitorApp struct{ *app }

func monitorCommand(app *app) *cobra.Command {
	a := monitorApp{app}
	c := group(&cobra.Command{
		Use:   "monitor",
		Short: "test whether storage nodes keep what they owe, and judge evidence",
		Long: `A monitor asks storage nodes for a few random symbols of random blobs, again and again. Nodes sign what they answer. A
signed wrong answer convicts its node by itself, and so does a signed "I do not have it": anybody can check that, offline.
Once in a round, each monitor tells everybody what it saw. docs/monitors.md says who is believed how much.

A monitor lives in a folder, its home: --home FOLDER, else $WALRUS_MONITOR_HOME, else ~/.local/share/walrus/monitor. A
monitor beside a storage node (monitor.enabled in node.yaml) has the node's home.`,
		Example: "  walrus monitor run --home /srv/monitor &\n  walrus monitor status --home /srv/monitor\n  walrus monitor bond --amount 100 --home /srv/monitor\n  walrus monitor verify evidence.json",
	})
	c.AddCommand(monitorRunCommand(a), monitorStatusCommand(a), monitorVerifyCommand(a), monitorBondCommand(a),
		monitorUnbondCommand(a), monitorBondsCommand(a), monitorAgreeCommand(a))
	return c
}
