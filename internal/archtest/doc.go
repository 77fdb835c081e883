// Package archtest holds the import table of the project as a failing test: which package may import which, and which
// third-party modules stay where. The table is in table_test.go. To change it is to change the design: give the reason
// in the commit.
//
// It also keeps the pages true. A page names code as `dir/file.go` or `dir/file.go:Name`, where Name is a function, a
// type, a constant, a variable or Type.Method; the test fails if it is gone. docs/protocol.md must state the messages
// of wire.proto and the values of the constants in its table.
//
// It also measures: the methods of a type, the fields of a struct, the width of an interface, the length of a function,
// and how comments begin and how wide they are. sizes_test.go has the limits, and the exceptions with their reasons.
package archtest
