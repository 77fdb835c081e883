// Package faultfs is a file system for tests that loses whatever was not synced, and fails when told to. Mount mounts
// it through FUSE, so programs under test use it with ordinary system calls and memory maps, and the kernel's page
// cache lies between, as on a disk. PowerLoss writes into a directory what the disk would hold if the power failed now.
// Set makes operations fail, wait or run out of space. Linux as root only; elsewhere Mount skips the test.
//
// # What survives a loss of power
//
//   - Of a file: its content and length at its last fsync or msync.
//   - Of a directory: its entries at its last fsync. A new, renamed or removed file is known only to its directory.
//   - Of everything since: nothing, or with PowerLoss's seed any part. Writes survive in any order, by sectors of 512
//     bytes, and entries survive one without the other.
//
// After a failed fsync of a file nothing written before it survives, even if a later fsync succeeds, as on Linux.
//
// That is the least that POSIX promises. Linux's file systems promise more: most keep the entry of a new file that was
// synced itself. A program that survives here does not depend on it.
//
// The file system runs in a process of its own. In the test's own process, a thread that waits for a page could block
// the goroutine that serves the page. Call Main at the start of TestMain.
package faultfs
