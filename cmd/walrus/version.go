package main

import (
	"runtime"

	"github.com/spf13/cobra"
)

func versionCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "print the version",
		Long: `Print the version of this program, the Go version that built it, and its platform.

--json prints {"version","go","platform"}.`,
		Example: "  walrus version",
		Args:    args(cobra.NoArgs, "no arguments"),
		RunE: func(*cobra.Command, []string) error {
			platform := runtime.GOOS + "/" + runtime.GOARCH
			return a.result(map[string]string{"version": version, "go": runtime.Version(), "platform": platform},
				"walrus %s (%s, %s)\n", version, runtime.Version(), platform)
		},
	}
}
