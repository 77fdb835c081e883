package main

import (
	"path/filepath"

	"walrus/config"
	"walrus/internal/userfile"
)

// dataHome returns the absolute path of the home of pins or of a monitor: that of the flag, else that of an environment
// variable, else the folder name among the user's data.
func dataHome(env config.Env, flag, variable, name string) (string, error) {
	home := flag
	if home == "" {
		home = env(variable)
	}
	switch data := env("XDG_DATA_HOME"); {
	case home != "":
	case data != "":
		home = filepath.Join(data, "walrus", name)
	case env("HOME") != "":
		home = filepath.Join(env("HOME"), ".local", "share", "walrus", name)
	default:
		return "", usagef("where is the home of the %s? give --home FOLDER or set $%s", name, variable)
	}
	home, err := userfile.Expand(home)
	if err != nil {
		return "", usagef("home of the %s: %w", name, err)
	}
	return filepath.Abs(home)
}
