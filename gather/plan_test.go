package gather

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"walrus/p2p"
	"walrus/shards"
)

// TestPlanHolds plays random networks. A plan ends in every one: done if enough slivers can be had, impossible
// otherwise. On the way it never asks a holder that is out or rests, and never counts on more than the window allows.
func TestPlanHolds(t *testing.T) {
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	for range 1000 {
		g := newGame(random)
		if err := g.run(); err != nil {
			t.Fatalf("seed %d: %v: %+v", seed, err, g)
		}
	}
}

// game is a plan and the network it asks.
type game struct {
	random *rand.Rand
	now    time.Time
	plan   *plan
	nature []error // of each holder: how it answers; nil: well
	can    int     // slivers that can be had
}

var errHang = errors.New("never answers")

func newGame(random *rand.Rand) *game {
	g := &game{random: random, now: time.Unix(0, 0)}
	for range 1 + random.IntN(8) {
		natures := []error{nil, nil, nil, p2p.ErrBusy, p2p.ErrNotFound, p2p.ErrUnavailable, shards.ErrSymbol, errHang}
		g.nature = append(g.nature, natures[random.IntN(len(natures))])
	}
	owner := make([]int, 1+random.IntN(30))
	for i := range owner {
		owner[i] = random.IntN(len(g.nature))
		if g.nature[owner[i]] == nil {
			g.can++
		}
	}
	g.plan = newPlan(1+random.IntN(len(owner)), 1+random.IntN(8), 1+random.IntN(4), random.IntN(len(g.nature)+1)-1, owner,
		random.Perm(len(owner)), NewHolders(len(g.nature)))
	return g
}

func (g *game) run() error {
	for d := g.plan.look(g.now); ; {
		if err := g.check(d); err != nil {
			return err
		}
		if d.end != open {
			return g.judge(d.end)
		}
		var answering []int
		for sliver := range g.plan.flying {
			if g.nature[g.plan.owner[sliver]] != errHang {
				answering = append(answering, sliver)
			}
		}
		slices.Sort(answering) // a seed gives the same game again
		switch {
		case len(answering) > 0 && (d.wake.IsZero() || g.random.IntN(3) > 0):
			g.now = g.now.Add(time.Duration(g.random.IntN(200)) * time.Millisecond)
			sliver := answering[g.random.IntN(len(answering))]
			if err := g.nature[g.plan.owner[sliver]]; err != nil {
				d = g.plan.failed(g.now, sliver, err)
			} else {
				d = g.plan.delivered(g.now, sliver)
			}
		case !d.wake.IsZero():
			g.now = d.wake
			d = g.plan.look(g.now)
		default: // all that is left hangs: the runner's limit on a request ends one
			for sliver := range g.plan.flying {
				d = g.plan.failed(g.now, sliver, p2p.ErrUnavailable)
				break
			}
		}
	}
}

// coming counts the slivers counted on.
func (g *game) coming() (n int) {
	for _, r := range g.plan.flying {
		if !r.late {
			n += len(r.slivers)
		}
	}
	return n
}

// check looks for what a plan must never do.
func (g *game) check(d decision) error {
	counted := 0
	for _, r := range g.plan.flying {
		if !r.late {
			counted++
		}
	}
	if counted > g.plan.window {
		return errors.New("counts on more than the window")
	}
	for _, slivers := range d.ask {
		h := g.plan.holders[g.plan.owner[slivers[0]]]
		if h.out || g.now.Before(h.until) {
			return errors.New("asks a holder that is out or rests")
		}
		for _, sliver := range slivers {
			if g.plan.owner[sliver] != g.plan.owner[slivers[0]] || len(slivers) > 1 &&
				(g.plan.alone[sliver] || g.plan.owner[sliver] == g.plan.local) {
				return errors.New("asks for slivers together that are not to be")
			}
		}
		if len(slivers) > g.plan.batch {
			return errors.New("asks for too many slivers together")
		}
	}
	if len(d.ask) > 0 && g.plan.got+g.coming() > g.plan.need {
		return errors.New("asks for more slivers than it needs")
	}
	if d.end == open && len(g.plan.flying) == 0 && d.wake.IsZero() {
		return errors.New("waits for nothing")
	}
	return nil
}

func (g *game) judge(e end) error {
	if want := g.can >= g.plan.need; want != (e == done) {
		return errors.New("ended otherwise than it should")
	}
	return nil
}
