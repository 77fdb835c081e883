package faultfs

import (
	"strings"
	"syscall"
	"time"
)

// Op is a kind of operation.
type Op string

// Operations that can fail. Reads and writes through memory maps are Read and Write too, when the kernel fetches or
// writes back a page.
const (
	Read   Op = "read"
	Write  Op = "write"
	Sync   Op = "sync"    // fsync and msync of a file
	DirOp  Op = "dir"     // make, rename or remove a file or directory
	SyncOp Op = "dirsync" // fsync of a directory
	Resize Op = "resize"
	Open   Op = "open"
)

// Fault makes operations fail or wait.
type Fault struct {
	Op    Op            // the kind; empty means all
	Path  string        // only files whose path ends in it; empty means all
	After int           // that many operations succeed first
	Times int           // that many fail then; 0 means all
	Errno syscall.Errno // what they return; 0: they succeed, after Delay
	Delay time.Duration // each waits this long first
}

// faults decides about each operation. It is not safe for concurrent use.
type faults struct {
	list []Fault
	seen []int // operations that matched, by fault
}

func (f *faults) set(list []Fault) { f.list, f.seen = list, make([]int, len(list)) }

// decide counts an operation and returns what happens to it.
func (f *faults) decide(op Op, path string) (syscall.Errno, time.Duration) {
	for i, fault := range f.list {
		if fault.Op != "" && fault.Op != op || !strings.HasSuffix(path, fault.Path) {
			continue
		}
		f.seen[i]++
		n := f.seen[i] - fault.After
		if n > 0 && (fault.Times == 0 || n <= fault.Times) {
			return fault.Errno, fault.Delay
		}
	}
	return 0, 0
}
