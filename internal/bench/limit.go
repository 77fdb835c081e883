package bench

import (
	"sync"
	"time"

	"walrus/shards"
)

// limit measures how many seconds a unit of a kernel takes on cores processors together, over at least a given time.
func limit(kernel func() shards.Kernel, cores int, least time.Duration) float64 {
	type speed struct{ units, seconds float64 }
	speeds := make([]speed, cores)
	var wg sync.WaitGroup
	for i := range speeds {
		wg.Go(func() {
			k := kernel()
			k.Run() // warms up
			start := time.Now()
			for {
				k.Run()
				speeds[i].units += float64(k.Units)
				if took := time.Since(start); took >= least {
					speeds[i].seconds = took.Seconds()
					return
				}
			}
		})
	}
	wg.Wait()
	perSecond := 0.0
	for _, s := range speeds {
		perSecond += s.units / s.seconds
	}
	return 1 / perSecond
}
