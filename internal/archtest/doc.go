// Package archtest holds the import table of the project as a failing test: which package may import which, and which
// third-party modules stay where. There is nothing to import here; the table is in table_test.go. Whoever changes it
// changes the design, and says why in the commit.
package archtest
