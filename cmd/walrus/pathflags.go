package main

import (
	"slices"

	"github.com/spf13/pflag"

	"walrus/internal/userfile"
)

// pathNames lists the value names of flags that are paths.
var pathNames = []string{"FILE", "FOLDER", "DIR", "PATHS"}

// expandPaths replaces ~ by the user's home in flags such as --flag=~/x, which shells do not expand.
func expandPaths(flags *pflag.FlagSet) (err error) {
	flags.Visit(func(f *pflag.Flag) {
		name, _ := pflag.UnquoteUsage(f)
		if err != nil || !slices.Contains(pathNames, name) {
			return
		}
		if err = expandPath(f.Value); err != nil {
			err = usagef("--%s %w", f.Name, err)
		}
	})
	return err
}

func expandPath(v pflag.Value) error {
	list, ok := v.(pflag.SliceValue)
	if !ok {
		path, err := userfile.Expand(v.String())
		if err != nil || path == v.String() {
			return err
		}
		return v.Set(path)
	}
	paths := list.GetSlice()
	for i, path := range paths {
		var err error
		if paths[i], err = userfile.Expand(path); err != nil {
			return err
		}
	}
	return list.Replace(paths)
}
