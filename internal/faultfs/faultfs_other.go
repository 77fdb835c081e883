//go:build !linux

package faultfs

import (
	"errors"
	"testing"
)

// FS is a mounted file system.
type FS struct{}

var errLinux = errors.New("faultfs: Linux only")

// Main does nothing here.
func Main() {}

// Mount skips the test.
func Mount(t testing.TB) *FS {
	t.Helper()
	t.Skip(errLinux)
	return nil
}

// Dir returns nothing here.
func (*FS) Dir() string { return "" }

// PowerLoss fails.
func (*FS) PowerLoss(string, uint64) error { return errLinux }

// Set fails.
func (*FS) Set(...Fault) error { return errLinux }

// SetSize fails.
func (*FS) SetSize(int64) error { return errLinux }

// Ops fails.
func (*FS) Ops() (int64, error) { return 0, errLinux }
