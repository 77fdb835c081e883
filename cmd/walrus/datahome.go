package main

import (
	"path/filepath"

	"walrus/internal/userfile"
)

// dataHome returns the absolute path of the home of pins or of a monitor: that of the flag, else that of an environment
// variable, else the folder name among the user's data.
func (a *app) dataHome(flag, variable, name string) (string, error) {
	home := flag
	if home == "" {
		home = a.env(variable)
	}
	switch data := a.env("XDG_DATA_HOME"); {
	case home != "":
	case data != "":
		home = filepath.Join(data, "walrus", name)
	case a.env("HOME") != "":
		home = filepath.Join(a.env("HOME"), ".local", "share", "walrus", name)
	default:
		return "", usagef("where is the home of the %s? give --home FOLDER or set $%s", name, variable)
	}
	home, err := userfile.Expand(home)
	if err != nil {
		return "", usagef("home of the %s: %w", name, err)
	}
	return filepath.Abs(home)
}
