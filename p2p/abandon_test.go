package p2p

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"walrus/shards"
)

// abandonable lists the requests that stop when their peer leaves.
var abandonable = []string{"Confirm", "Metadata", "OpenSliver", "Symbols", "BlobStatus", "NodeStatus", "NodeHistory", "Certificate", "Certificates"}

// A node stops working on a request as soon as its peer gives it up, or is gone altogether.
func TestRequestEndsWithItsPeer(t *testing.T) {
	m := newMemory()
	entered, ended := make(chan string, 9), make(chan time.Duration, 9)
	m.on(func(ctx context.Context, op string) error {
		start := time.Now()
		entered <- op
		select {
		case <-ctx.Done():
			ended <- time.Since(start)
		case <-time.After(30 * time.Second):
			ended <- -1
		}
		return ctx.Err()
	})
	client, server := serving(t, m, nil, nil)
	for _, op := range everyOperation {
		if !slices.Contains(abandonable, op.name) {
			continue
		}
		ctx, cancel := context.WithCancel(t.Context())
		failed := make(chan error, 1)
		go func() {
			_, err := op.call(ctx, client, server.ID())
			failed <- err
		}()
		<-entered
		left := time.Now()
		cancel()
		took := <-ended
		if took < 0 {
			t.Errorf("%s goes on after its peer left", op.name)
		}
		if err := <-failed; !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", op.name, err)
		}
		t.Logf("%s stopped %v after its peer left", op.name, time.Since(left).Round(time.Millisecond))
	}

	gone := newHost(t, nil)
	connect(t, gone, server)
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error, 1)
	go func() {
		_, err := gone.Symbols(ctx, server.ID(), testID, shards.Primary, 5, []int{1}, testSymbol, testProof)
		failed <- err
	}()
	<-entered
	if err := gone.host.Network().ClosePeer(server.ID()); err != nil {
		t.Fatal(err)
	}
	if <-ended < 0 {
		t.Error("the request goes on after its connection broke")
	}
	cancel() // it has asked again, over a new connection
	<-failed
}

// endedStream is a stream whose reads fail with err.
type endedStream struct {
	duplex
	err error
}

func (s endedStream) Read([]byte) (int, error)        { return 0, s.err }
func (s endedStream) SetReadDeadline(time.Time) error { return nil }

// A peer that has only closed its side waits for the reply. A broken connection may end in an error that wraps io.EOF:
// yamux does so when the socket ends in order.
func TestWatchTellsCloseFromBreak(t *testing.T) {
	for _, tt := range []struct {
		err  error
		gone bool
	}{
		{io.EOF, false},
		{fmt.Errorf("%w: connection closed: %w", network.ErrReset, io.EOF), true},
		{network.ErrReset, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			gone := false
			st := endedStream{err: tt.err}
			stop := watch(st, bufio.NewReader(st), func() { gone = true })
			time.Sleep(2 * watchAfter)
			synctest.Wait()
			stop()
			if gone != tt.gone {
				t.Errorf("after %q the peer counts as gone: %v, want %v", tt.err, gone, tt.gone)
			}
		})
	}
}

// Slow requests leave the stream usable for the next one.
func TestWatchedStreamIsReused(t *testing.T) {
	m := newMemory()
	m.on(func(ctx context.Context, op string) error {
		select {
		case <-ctx.Done():
		case <-time.After(3 * watchAfter):
		}
		return ctx.Err()
	})
	client, server := serving(t, m, nil, nil)
	for range 5 {
		if _, err := client.NodeStatus(t.Context(), server.ID()); err != nil {
			t.Fatal(err)
		}
	}
	conns := server.host.Network().ConnsToPeer(client.ID())
	streams := 0
	for _, c := range conns {
		for _, st := range c.GetStreams() {
			if st.Protocol() == protocolID("test", nodeProtocol) {
				streams++
			}
		}
	}
	if streams != 1 {
		t.Errorf("five requests used %d streams, want 1", streams)
	}
}
