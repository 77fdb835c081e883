//go:build !linux

package userfile

func isMountPoint(string) bool { return false }
