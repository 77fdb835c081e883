package gather

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"walrus/p2p"
	"walrus/shards"
)

// TestPinners: a read among many pinners ends if one of them is honest, whatever the others do, and asks each liar for
// no more than one row.
func TestPinners(t *testing.T) {
	for seed := range uint64(2000) {
		random := rand.New(rand.NewPCG(seed, 0))
		const rows = 20
		n := 1 + random.IntN(8)
		honest := random.IntN(n)
		kind := make([]int, n) // 0 honest, 1 wrong bytes, 2 silent, 3 lacks it, 4 busy at first
		for i := range kind {
			if i != honest {
				kind[i] = 1 + random.IntN(4)
			}
		}
		p := NewPinners(0, rows, 6, n, time.Second)
		now := time.Unix(0, 0)
		type request struct {
			Ask
			at time.Time
		}
		var flying []request
		asked, busy := make([]int, n), make([]int, n)
		for step := 0; !p.Done(); step++ {
			if step > 10_000 {
				t.Fatalf("seed %d: pinners %v: row %d of %d after %d steps", seed, kind, p.Next, rows, step)
			}
			if p.Impossible() {
				t.Fatalf("seed %d: pinners %v: impossible at row %d", seed, kind, p.Next)
			}
			for _, a := range p.Fetch(now) {
				flying = append(flying, request{a, now})
				asked[a.Pinner]++
			}
			now = now.Add(50 * time.Millisecond)
			if len(flying) > 0 {
				i := random.IntN(len(flying))
				a := flying[i]
				switch k := kind[a.Pinner]; {
				case k == 2:
				case k == 1:
					p.Failed(now, a.Row, a.Pinner, shards.ErrSliver)
				case k == 3:
					p.Failed(now, a.Row, a.Pinner, p2p.ErrNotFound)
				case k == 4 && busy[a.Pinner] < 2:
					busy[a.Pinner]++
					p.Failed(now, a.Row, a.Pinner, p2p.ErrBusy)
				case p.Has(a.Row) || a.Row < p.Next:
					p.Deliver(a.Pinner)
					p.Ended(a.Row, a.Pinner)
				default:
					p.Arrived(now, a.Row, a.Pinner)
				}
				if kind[a.Pinner] != 2 {
					flying = append(flying[:i], flying[i+1:]...)
				}
			}
			p.Look(now, func(row int) Motion {
				for _, f := range flying {
					if f.Row == row && kind[f.Pinner] == 2 {
						return Motion{Connected: true, Moved: f.at}
					}
				}
				return Motion{Connected: true, Moved: now}
			})
			for !p.Done() && p.Has(p.Next) {
				p.Wrote()
			}
		}
		for _, f := range flying { // the read did not wait for them
			asked[f.Pinner] = 0
		}
		for i, k := range kind {
			if (k == 1 || k == 3) && asked[i] > 1 {
				t.Errorf("seed %d: pinner %d of kind %d was asked %d times", seed, i, k, asked[i])
			}
			if k == 1 && asked[i] > 0 && p.Lie(i) == nil {
				t.Errorf("seed %d: the lie of pinner %d is forgotten", seed, i)
			}
		}
	}
}

// TestNoPinner: when all have failed, the read says so.
func TestNoPinner(t *testing.T) {
	p := NewPinners(0, 3, 4, 2, time.Second)
	now := time.Unix(0, 0)
	for _, a := range p.Fetch(now) {
		p.Failed(now, a.Row, a.Pinner, errors.New("gone"))
	}
	if got := p.Fetch(now); len(got) > 0 || !p.Impossible() {
		t.Errorf("asked %v; impossible: %v", got, p.Impossible())
	}
}

// TestSpreadOut: of a hundred addresses in one network two are asked; neighbours at home all are.
func TestSpreadOut(t *testing.T) {
	var found []peer.AddrInfo
	add := func(id, ip string) {
		at := netip.MustParseAddr(ip)
		found = append(found, peer.AddrInfo{ID: peer.ID(id), Addrs: []multiaddr.Multiaddr{multiaddr.StringCast(fmt.Sprintf("/ip4/%s/tcp/1", at))}})
	}
	for i := range 100 {
		add(fmt.Sprint("crowd ", i), fmt.Sprint("44.1.2.", i+1))
	}
	add("other", "44.1.3.1")
	for i := range 5 {
		add(fmt.Sprint("home ", i), "192.168.1.1")
	}
	count := map[string]int{}
	for _, f := range SpreadOut(found) {
		count[string(f.ID)[:4]]++
	}
	if count["crow"] != 2 || count["othe"] != 1 || count["home"] != 5 {
		t.Errorf("asked %v", count)
	}
}
