package p2p

import (
	"bufio"
	"io"
	"sync"
	"time"
)

// watchAfter is the age at which a request is worth a goroutine that notices when its peer leaves.
const watchAfter = 20 * time.Millisecond

// watch calls gone once the peer resets the stream, or the connection breaks, while a request without payload is
// served. The peer may have closed its side: it still waits for the reply. The caller must call stop before it reads
// from r.
func watch(st duplex, r *bufio.Reader, gone func()) (stop func()) {
	w := &watcher{st: st, done: make(chan struct{})}
	timer := time.AfterFunc(watchAfter, func() {
		defer close(w.done)
		if !w.arm() {
			return
		}
		// A bare io.EOF is the end of the peer's side. The error of a broken connection may wrap io.EOF.
		if _, err := r.Peek(1); err != nil && err != io.EOF && !w.isStopped() {
			gone()
		}
	})
	return func() {
		if !timer.Stop() {
			w.stop()
			<-w.done
		}
	}
}

// watcher coordinates the goroutine of watch with its stop.
type watcher struct {
	st   duplex
	done chan struct{} // closed when the goroutine no longer reads

	mu      sync.Mutex
	stopped bool // guarded by mu
}

// arm lets the watcher read without a deadline, unless it is stopped already. The deadline fails only on a dead stream,
// whose reads end by themselves.
func (w *watcher) arm() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.stopped {
		_ = w.st.SetReadDeadline(time.Time{})
	}
	return !w.stopped
}

func (w *watcher) isStopped() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.stopped
}

// stop wakes the watcher.
func (w *watcher) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopped = true
	_ = w.st.SetReadDeadline(time.Unix(1, 0))
}
