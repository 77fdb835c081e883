package p2p

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// starve makes a pacer see a machine that is short of CPU, or one that has enough, until end is called.
func starve(p *pacer, short func() bool) (end func()) {
	stop := make(chan struct{})
	go func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(senseEvery / 2):
			}
			p.mu.Lock()
			if short() && !p.due.IsZero() {
				p.due = p.due.Add(-10 * shortDelay)
			}
			p.mu.Unlock()
		}
	}()
	return func() {
		close(stop)
		time.Sleep(time.Second)
		p.close()
	}
}

// flood lets a group ask without end, some requests at once. It counts those that pass.
func flood(ctx context.Context, p *pacer, id peer.ID, atOnce int, work time.Duration) *atomic.Int64 {
	var passed atomic.Int64
	for range atOnce {
		go func() {
			for ctx.Err() == nil {
				if p.enter(ctx, id, origin{}, work) == nil {
					passed.Add(1)
				}
				time.Sleep(time.Millisecond)
			}
		}()
	}
	return &passed
}

// spend uses up what strangers may have at once.
func spend(t *testing.T, p *pacer) {
	for range burstWork / maxWork {
		if err := p.enter(t.Context(), "a stranger", origin{}, maxWork); err != nil {
			t.Error(err)
		}
	}
}

// TestPacer: strangers get all that they want while there is CPU, and little while it is short. Who asks for little is
// served soon, whoever else asks.
func TestPacer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPacer()
		var short atomic.Bool
		end := starve(p, short.Load)
		ctx, cancel := context.WithCancel(t.Context())
		passed := flood(ctx, p, "greedy", maxPacedPerGroup, time.Millisecond)
		rate := func(d time.Duration) float64 {
			from := passed.Load()
			time.Sleep(d)
			return float64(passed.Load()-from) / d.Seconds()
		}
		if r := rate(time.Second); r < 1000 {
			t.Errorf("with enough CPU, %.0f requests a second pass", r)
		}
		short.Store(true)
		time.Sleep(5 * time.Second)
		if r := rate(10 * time.Second); r < 500*leastPart || r > 1500*leastPart { // of 1 ms each
			t.Errorf("while the CPU is short, %.0f requests a second pass, want %.0f", r, 1000*leastPart)
		}
		for range 20 {
			begin := time.Now()
			if err := p.enter(ctx, "modest", origin{}, requestWork); err != nil {
				t.Error(err)
			}
			if took := time.Since(begin); took > 200*time.Millisecond {
				t.Errorf("a modest stranger waits %v", took)
			}
			time.Sleep(time.Second)
		}
		short.Store(false)
		time.Sleep(10 * time.Second)
		if r := rate(time.Second); r < 1000 {
			t.Errorf("with enough CPU again, %.0f requests a second pass", r)
		}
		cancel()
		time.Sleep(time.Second)
		end()
	})
}

// TestPacerBurst: a reader that comes after a pause is not paced while the CPU is short, if it reads no more than
// burstWork; one that goes on is.
func TestPacerBurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPacer()
		end := starve(p, func() bool { return true })
		for range 200 { // until the strangers' part is small
			_ = p.enter(t.Context(), "a stranger", origin{}, requestWork)
			time.Sleep(senseEvery)
		}
		time.Sleep(time.Duration(float64(burstWork) / leastPart))
		const work = 10 * time.Millisecond
		took := func(n int) time.Duration {
			begin := time.Now()
			for range n {
				if err := p.enter(t.Context(), "reader", origin{}, work); err != nil {
					t.Error(err)
				}
			}
			return time.Since(begin)
		}
		if d := took(int(burstWork / work)); d > senseEvery {
			t.Errorf("the first requests after a pause took %v", d)
		}
		const more = 10
		if d, want := took(more), time.Duration(more*float64(work)/leastPart); d < want/2 || d > 2*want {
			t.Errorf("%d requests more took %v, want about %v", more, d, want)
		}
		end()
	})
}

// TestPacerBusy: a request waits for a bounded time, in a bounded queue.
func TestPacerBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPacer()
		end := starve(p, func() bool { return true })
		for range 200 { // until the strangers' part is small
			_ = p.enter(t.Context(), "a stranger", origin{}, requestWork)
			time.Sleep(senseEvery)
		}
		spend(t, p)
		ctx, cancel := context.WithCancel(t.Context())
		var busy, others atomic.Int64
		for range 2 * maxPacedPerGroup {
			go func() {
				if err := p.enter(ctx, "greedy", origin{}, maxWork); errors.Is(err, ErrBusy) {
					busy.Add(1)
				} else {
					others.Add(1)
				}
			}()
		}
		synctest.Wait()
		if n := busy.Load(); n < maxPacedPerGroup-2 || n > maxPacedPerGroup {
			t.Errorf("%d of %d are refused at once", n, 2*maxPacedPerGroup)
		}
		time.Sleep(paceTime)
		synctest.Wait()
		if n := busy.Load() + others.Load(); n != 2*maxPacedPerGroup {
			t.Errorf("%d have an answer after %v", n, paceTime)
		}
		if n := others.Load(); n == 0 || n > 10 { // each takes a second
			t.Errorf("%d pass", n)
		}
		cancel()
		end()
	})
}

// TestPacerFull: some networks that take all places leave one to the next network.
func TestPacerFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPacer()
		end := starve(p, func() bool { return true })
		for range 200 { // until the strangers' part is small
			_ = p.enter(t.Context(), "a stranger", origin{}, requestWork)
			time.Sleep(senseEvery)
		}
		spend(t, p)
		ctx, cancel := context.WithCancel(t.Context())
		for i := range maxPaced/maxPacedPerGroup + 1 {
			flood(ctx, p, peer.ID([]byte{byte(i)}), maxPacedPerGroup, maxWork)
		}
		time.Sleep(50 * time.Millisecond)
		p.mu.Lock()
		if n := len(p.queue); n != maxPaced {
			t.Errorf("%d requests wait, want %d", n, maxPaced)
		}
		p.mu.Unlock()
		begin := time.Now()
		if err := p.enter(ctx, "modest", origin{}, requestWork); err != nil {
			t.Errorf("a modest stranger after %v: %v", time.Since(begin), err)
		}
		cancel()
		time.Sleep(time.Second)
		end()
	})
}
