package main

import (
	"errors"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"walrus/config"
)

// flagError returns a usage error for a flag, with the flag that was probably meant.
func flagError(c *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) {
		var names []string
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if !f.Hidden {
				names = append(names, f.Name)
			}
		})
		if near := config.Nearest(unknown.GetSpecifiedName(), names); near != "" {
			return usagef("%w: did you mean --%s? (see %s --help)", err, near, c.CommandPath())
		}
	}
	return usagef("%w (see %s --help)", err, c.CommandPath())
}
