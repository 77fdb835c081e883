package p2p

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// checkEveryOperation runs every operation against a fresh memory and checks the data that arrives on both sides.
func checkEveryOperation(t *testing.T, client *Host, to peer.ID, m *memory) {
	t.Helper()
	want := everyResult(m)
	for i, op := range everyOperation {
		got, err := op.call(t.Context(), client, to)
		if err != nil {
			t.Fatalf("%s: %v", op.name, err)
		}
		if !reflect.DeepEqual(got, want[i]) {
			t.Errorf("%s: got %.200v, want %.200v", op.name, got, want[i])
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if !bytes.Equal(m.meta[testID], []byte("metadata")) {
		t.Error("metadata did not arrive")
	}
	if !bytes.Equal(m.stored[testID], pattern(300_000)) || !reflect.DeepEqual(m.pairs[testID], []int{3, 1}) {
		t.Error("pairs did not arrive")
	}
	if len(m.certs) != 1 || string(m.certs[0]) != "certificate" {
		t.Error("certificate did not arrive")
	}
}

func TestOperations(t *testing.T) {
	for _, transport := range []string{"/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"} {
		t.Run(transport, func(t *testing.T) {
			m := newMemory()
			only := func(c *Config) { c.Listen = []string{transport} }
			client, server := serving(t, m, only, only)
			checkEveryOperation(t, client, server.ID(), m)
			held, err := client.PutMetadata(t.Context(), server.ID(), testID, testToken, []byte("again"))
			if err != nil || !reflect.DeepEqual(held, []int{3, 1}) {
				t.Errorf("held pairs %v, %v; want [3 1]", held, err)
			}
		})
	}
}

func TestErrorsKeepTheirIdentity(t *testing.T) {
	m := newMemory()
	client, server := serving(t, m, nil, nil)
	for _, sentinel := range codes {
		if sentinel == nil {
			continue
		}
		m.on(func(context.Context, string) error {
			return fmt.Errorf("shelf 4: %w: \x1b[31m%s", sentinel, strings.Repeat("long ", 500))
		})
		for _, op := range everyOperation {
			_, err := op.call(t.Context(), client, server.ID())
			if !errors.Is(err, sentinel) {
				t.Fatalf("%s: got %v, want %v", op.name, err, sentinel)
			}
			for _, other := range append(codes[:], ErrProtocol) {
				if other != nil && other != sentinel && errors.Is(err, other) {
					t.Errorf("%s: %v is also %v", op.name, err, other)
				}
			}
			if sentinel != ErrInternal && !strings.Contains(err.Error(), "shelf 4") {
				t.Errorf("%s: %q lacks the node's text", op.name, err)
			}
			if sentinel == ErrInternal && strings.Contains(err.Error(), "shelf 4") {
				t.Errorf("%s: %q gives away details", op.name, err)
			}
			if strings.Contains(err.Error(), "\x1b") || len(err.Error()) > 1000 {
				t.Errorf("%s: error text is not printable or not bounded: %q", op.name, err)
			}
		}
	}
	m.on(func(context.Context, string) error { return errors.New("secret path") })
	for _, op := range everyOperation {
		if _, err := op.call(t.Context(), client, server.ID()); !errors.Is(err, ErrInternal) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: got %v, want a bare internal error", op.name, err)
		}
	}
	m.on(func(context.Context, string) error { panic("ouch") })
	for _, op := range everyOperation {
		if _, err := op.call(t.Context(), client, server.ID()); !errors.Is(err, ErrInternal) {
			t.Errorf("%s: got %v, want an internal error after a panic", op.name, err)
		}
	}
	m.on(nil)
	for _, op := range everyOperation {
		if _, err := op.call(t.Context(), client, server.ID()); err != nil && !strings.Contains(op.name, "Metadata") {
			t.Errorf("%s after errors: %v", op.name, err)
		}
	}
}
