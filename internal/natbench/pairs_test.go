package natbench

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// class of the connection between two homes.
type class string

const (
	direct  class = "direct"
	relayed class = "relayed"
)

// pairs lists the kinds of two routers, and the class that is possible between them.
var pairs = []struct {
	a, b kind
	want class
}{
	{cone, cone, direct},
	{fullCone, cone, direct},
	{cone, symmetric, relayed},
	{symmetric, symmetric, relayed},
	{noUDP, cone, direct},
	{nested, cone, direct},
}

// stayed is a line of walrus doctor --stay.
type stayed struct {
	PeerID    string   `json:"peerId"`
	Addresses []string `json:"addresses"`
}

// hole is another line of walrus doctor --stay.
type hole struct {
	Punched string   `json:"punched"`
	OK      bool     `json:"ok"`
	Seconds float64  `json:"seconds"`
	RTT     float64  `json:"rttSeconds"`
	Addrs   []string `json:"addresses"`
	Why     string   `json:"why"`
}

// way is the output of walrus doctor --peer.
type way struct {
	PeerID    string  `json:"peerId"`
	Class     class   `json:"class"`
	Address   string  `json:"address"`
	Relayed   float64 `json:"relayedSeconds"`
	Direct    float64 `json:"directSeconds"`
	Transport string  `json:"transport"`
	Attempts  []hole  `json:"attempts"`
}

// pairs lets a home behind one router call a home behind another.
func (b *bench) pairs() (table [][]string) {
	t := b.t
	begin := time.Now()
	homes := map[string]*host{}
	at := func(side string, k kind) *host {
		name := strings.ReplaceAll(side+"-"+string(k), " ", "")
		if homes[name] == nil {
			homes[name] = b.home(name, k)
		}
		return homes[name]
	}
	stay := map[*host]*process{}
	since := map[*host]time.Time{}
	for _, p := range pairs {
		at("b", p.b)
		if h := at("a", p.a); stay[h] == nil {
			since[h] = time.Now()
			stay[h] = h.start(h.name+"-stay", b.walrus, "--config", b.clientOf(h), "--json", "doctor", "--stay")
		}
	}
	table = append(table, []string{"ROUTERS", "EXPECTED", "GOT", "RELAY ADDRESS", "RELAYED", "DIRECT", "PUNCH", "OVER"})
	rows := make([][]string, len(pairs))
	var mu sync.Mutex
	var punches []time.Duration // over TCP; guarded by mu
	all(len(pairs), func(i int) {
		p := pairs[i]
		a, c := at("a", p.a), at("b", p.b)
		name := fmt.Sprintf("%s × %s", p.a, p.b)
		row := []string{name, string(p.want), "-", "-", "-", "-", "-", "-"}
		defer func() { rows[i] = row }()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		var s stayed
		_, when, err := stay[a].await(ctx, 0, func(line string) bool {
			// A full cone needs no relay: it is dialled directly.
			return json.Unmarshal([]byte(line), &s) == nil && (strings.Contains(line, "/p2p-circuit") || p.a == fullCone && strings.Contains(line, "/ip4/44."))
		})
		if err != nil {
			t.Errorf("%s: no relay address: %v", name, err)
			return
		}
		wait := when.Sub(since[a])
		row[3] = fmt.Sprintf("%.1f s", wait.Seconds())
		if wait > relayTime {
			t.Errorf("%s: a relay address after %s: want at most %s", name, wait.Round(time.Millisecond), relayTime)
		}
		w, took, err := b.call(c, stay[a], s, row)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		if w.Class != p.want {
			t.Errorf("%s: %s: want %s\nthis side: %+v\nthe other side: %s", name, w.Class, p.want, w, stay[a].said())
		}
		if w.Transport == "tcp" && took > 0 {
			mu.Lock()
			defer mu.Unlock()
			punches = append(punches, took)
		}
	})
	table = append(table, rows...)
	slices.Sort(punches)
	// On a busy machine one of them may have waited for a processor.
	if n := len(punches); n == 0 || punches[n/2] > punchTime {
		t.Errorf("TCP punches took %v: want a median of at most %s", punches, punchTime)
	}
	took := time.Since(begin)
	if took > pairTime {
		t.Errorf("all pairs took %s: want at most %s", took.Round(time.Second), pairTime)
	}
	return append(table, []string{"all pairs", "", fmt.Sprintf("%.0f s", took.Seconds())}, nil)
}

// call lets home c call the home that stays, once, and fills in a row.
// took is the time of the punch; 0 if none was needed, or none is possible.
func (b *bench) call(c *host, stays *process, s stayed, row []string) (w way, took time.Duration, err error) {
	if _, _, err := b.ask(c, patience, &w, "doctor", "--peer", s.PeerID); err != nil {
		return w, 0, err
	}
	row[2], row[7] = string(w.Class), w.Transport
	for j, v := range []float64{w.Relayed, w.Direct} {
		if v > 0 {
			row[4+j] = fmt.Sprintf("%.0f ms", 1000*v)
		}
	}
	if w.Class != direct || w.Relayed == 0 {
		return w, 0, nil
	}
	// The other side calls for the punch, and knows how long it took from the moment at which both dialled.
	ctx, cancel := context.WithTimeout(b.t.Context(), patience)
	defer cancel()
	var h hole
	if _, _, err := stays.await(ctx, 0, func(line string) bool {
		return json.Unmarshal([]byte(line), &h) == nil && h.Punched == w.PeerID && h.OK
	}); err != nil {
		return w, 0, fmt.Errorf("no punch was reported: %w", err)
	}
	row[6] = fmt.Sprintf("%.0f ms", 1000*h.Seconds)
	return w, time.Duration(h.Seconds * float64(time.Second)), nil
}
