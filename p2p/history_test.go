package p2p

import (
	"encoding/binary"
	"reflect"
	"testing"
	"time"

	"walrus/p2p/internal/wire"
)

func TestHistory(t *testing.T) {
	good := MarshalHistory(testHistory)
	if got, err := UnmarshalHistory(good); err != nil || !reflect.DeepEqual(got, testHistory) {
		t.Errorf("%+v, %v", got, err)
	}
	change := func(at int, v uint64) []byte {
		b := append([]byte{}, good...)
		binary.LittleEndian.PutUint64(b[8*at:], v)
		return b
	}
	for name, b := range map[string][]byte{
		"cut":          good[:len(good)-1],
		"too many":     make([]byte, (MaxHistory+1)*wire.HistoryPointSize),
		"out of order": change(8, 1),
		"far future":   change(8, 1<<40),
		"up too long":  change(2, 301),
		"long":         change(1, 1<<40),
		"years long":   change(1, maxPointSeconds+1),
		"large":        change(5, 1<<54),
	} {
		if got, err := UnmarshalHistory(b); err == nil {
			t.Errorf("%s: %+v", name, got)
		}
	}
	var up time.Duration
	for range MaxHistory { // all that one node can say
		if up += maxPointSeconds * time.Second; up < 0 {
			t.Fatal("the times of a history overflow")
		}
	}
}

// TestTraffic counts the bytes of a request and its answer.
func TestTraffic(t *testing.T) {
	server, client := newHost(t, nil), newHost(t, nil)
	if err := server.Serve(t.Context(), newMemory()); err != nil {
		t.Fatal(err)
	}
	connect(t, client, server)
	if _, err := client.PutMetadata(t.Context(), server.ID(), testID, testToken, mebibyte[:100_000]); err != nil {
		t.Fatal(err)
	}
	asked, answered := client.Traffic()
	if received, sent := server.Traffic(); received < 100_000 || received > 101_000 || sent == 0 || asked != sent || answered != received {
		t.Errorf("the server received %d and sent %d, the client %d and %d", received, sent, asked, answered)
	}
}
