// Package archtest holds the import table of the project as a failing test: which package may import which, and which
// third-party modules stay where. The table is in table_test.go. To change it is to change the design: give the reason
// in the commit.
//
// It also keeps the pages true. A page names code as `dir/file.go` or `dir/file.go:Name`, where Name is a function, a
// type, a constant, a variable or Type.Method; the test fails if it is gone. docs/protocol.md must state the messages
// of wire.proto and the values of the constants in its table.
package archtest
