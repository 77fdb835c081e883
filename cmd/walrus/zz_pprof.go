package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"time"
)

func init() {
	dir := os.Getenv("WALRUS_PPROF")
	if dir == "" {
		return
	}
	runtime.MemProfileRate = 64 << 10
	go func() {
		var most uint64
		for {
			time.Sleep(300 * time.Millisecond)
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			if m.HeapInuse > most+(10<<20) {
				most = m.HeapInuse
				f, _ := os.Create(fmt.Sprintf("%s/%d-%d.pb", dir, os.Getpid(), m.HeapInuse>>20))
				fmt.Fprintf(os.Stderr, "PPROF inuse %d alloc %d idle %d live-next %d stacks %d\n", m.HeapInuse>>20, m.HeapAlloc>>20, m.HeapIdle>>20, m.NextGC>>20, m.StackInuse>>20)
				_ = pprof.WriteHeapProfile(f)
				f.Close()
			}
		}
	}()
}
