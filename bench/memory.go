package bench

import (
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"time"
)

// memorySample is how often memory is looked at.
const memorySample = 2 * time.Millisecond

// watchMemory starts to look at the memory that the process has from the system. The function that it returns ends that and
// says how much more, in bytes, it was at most than at the start.
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

// memory is what the Go runtime has from the system and has not given back.
func memory() uint64 {
	samples := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(samples)
	return samples[0].Value.Uint64() - min(samples[0].Value.Uint64(), samples[1].Value.Uint64())
}
