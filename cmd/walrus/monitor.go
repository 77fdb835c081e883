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
signed wrong answer convicts its node by itself, and so does a signed "I do not have it": anybody can check that, offline.`,
		Example: "  walrus monitor verify evidence.json",
	})
	c.AddCommand(monitorVerifyCommand(a))
	return c
}
