package p2p

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestPatientWriter writes over a line that needs four windows for one write. A client goes on as long as bytes move,
// since the slow line may be its own. A server gives up.
func TestPatientWriter(t *testing.T) {
	for _, patient := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			const window = 20 * time.Second
			near, far := net.Pipe()
			var reader sync.WaitGroup
			defer reader.Wait()
			defer near.Close()
			reader.Go(func() {
				for range 4 {
					<-time.After(window * 9 / 10)
					_, _ = io.ReadFull(far, make([]byte, writeSize/4))
				}
			})
			w := newPacedWriter(near, near.SetWriteDeadline, window)
			w.patient = patient
			n, err := w.Write(make([]byte, 2*writeSize)) // the peer never takes the second half
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("patient %v: %v", patient, err)
			}
			if want := map[bool]int{false: writeSize / 4, true: writeSize}[patient]; n != want {
				t.Errorf("patient %v: %d bytes were taken, want %d", patient, n, want)
			}
		})
	}
}
