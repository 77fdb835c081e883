package bench

import (
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"time"
)

// memorySample is the pause between looks at the memory.
const memorySample = 2 * time.Millisecond

// watchMemory samples the memory that the process has from the system. The returned function ends that, and returns
// the greatest increase since the start, in bytes.
func watchMemory() (stop func() uint64) {
	debug.FreeOSMemory()
	start, peak := memory(), uint64(0)
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		ticker := time.NewTicker(memorySample)
		defer ticker.Stop()
		for {
			peak = max(peak, memory())
			select {
			case <-ticker.C:
			case <-done:
				peak = max(peak, memory())
				return
			}
		}
	})
	return func() uint64 {
		close(done)
		wg.Wait()
		return peak - min(peak, start)
	}
}

// memory returns the bytes that the Go runtime has from the system and has not returned.
func memory() uint64 {
	samples := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(samples)
	return samples[0].Value.Uint64() - min(samples[0].Value.Uint64(), samples[1].Value.Uint64())
}
