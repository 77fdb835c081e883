package machine

import (
	"sync"
	"sync/atomic"
)

// minParallel: fewer transactions than this run in order.
const minParallel = 64

// execute runs the transactions. Any two with a record in common run in the block's order.
func (k *block) execute(o Options) {
	workers, least := o.workers(), minParallel
	if o.eager {
		least = 2
	}
	for from := 0; from < len(k.runs); {
		to := from
		for to < len(k.runs) && !k.runs[to].alone {
			to++
		}
		if workers < 2 || to-from < least {
			k.executeInOrder(from, to)
		} else {
			k.executeInParallel(from, to, workers)
		}
		if to < len(k.runs) {
			k.executeInOrder(to, to+1)
		}
		from = to + 1
	}
}

func (k *block) executeInOrder(from, to int) {
	for i := from; i < to; i++ {
		k.runs[i].execute()
		k.release(i, 0, nil)
	}
}

// executeInParallel starts each transaction once all that it waits for are done.
func (k *block) executeInParallel(from, to, workers int) {
	ready := make(chan int, to-from) // room for all: no send waits
	var left atomic.Int64
	left.Store(int64(to - from))
	for i := from; i < to; i++ {
		if k.runs[i].waits.Load() == 0 {
			ready <- i
		}
	}
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for i := range ready {
				for i >= 0 {
					k.runs[i].execute()
					i = k.release(i, to, ready)
					if left.Add(-1) == 0 {
						close(ready)
					}
				}
			}
		})
	}
	all.Wait()
}

// release tells the transactions waiting for i that it is done. Some of them, below to, may be ready now: release
// returns one for the caller to run, or −1, and sends the others.
func (k *block) release(i, to int, ready chan<- int) int {
	mine := -1
	for _, j := range k.runs[i].next {
		switch {
		case k.runs[j].waits.Add(-1) > 0 || j >= to:
		case mine < 0:
			mine = j
		default:
			ready <- j
		}
	}
	return mine
}
