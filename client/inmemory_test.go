package client

import (
	"fmt"
	"testing"
)

// InMemory returns a client of seven nodes and a ledger in memory, for the examples. Its wallet holds 1000 WAL.
func InMemory() *Client {
	_, c := newFake(unattended{}, 7, 28)
	return c
}

// unattended panics where a test would fail.
type unattended struct{ testing.TB }

func (unattended) Helper()                           {}
func (unattended) TempDir() string                   { return "" }
func (unattended) Errorf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
func (unattended) Fatal(args ...any)                 { panic(fmt.Sprint(args...)) }
