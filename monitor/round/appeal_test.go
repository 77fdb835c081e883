package round

import (
	"slices"
	"testing"
)

func TestAppeals(t *testing.T) {
	key := func(i int) Key { return Key{byte(i), byte(i >> 8), 1} }
	keys := func(from, to int) (list []Key) {
		for i := from; i < to; i++ {
			list = append(list, key(i))
		}
		return list
	}
	accusers := func(from, to int) (list []Monitor) {
		for i := from; i < to; i++ {
			list = append(list, Monitor{key(i), uint64(1 + i)})
		}
		return list
	}
	self, seed := key(0), Seed{7}
	for name, tt := range map[string]struct {
		accusers []Monitor
		members  []Key
		made     []Appeal
		want     []int // accusers by number
		tries    int   // members for each
	}{
		"nobody accuses":          {nil, keys(0, 40), nil, nil, 0},
		"one accuses":             {accusers(1, 2), keys(0, 40), nil, []int{1}, AppealTries},
		"an outsider accuses":     {accusers(900, 901), keys(0, 40), nil, []int{900}, AppealTries},
		"without weight":          {[]Monitor{{key(1), 0}}, keys(0, 40), nil, nil, 0},
		"the heaviest come first": {accusers(1, 20), keys(0, 80), nil, []int{19, 18, 17, 16, 15, 14, 13, 12}, AppealTries},
		"few members are left":    {accusers(1, 4), keys(0, 6), nil, []int{3, 2}, 1},
		"all accuse":              {accusers(1, 40), keys(0, 40), nil, nil, 0},
		"one was made before":     {accusers(1, 3), keys(0, 40), []Appeal{{key(2), keys(30, 33)}}, []int{1}, AppealTries},
		"enough were made":        {accusers(1, 30), keys(0, 99), make([]Appeal, MaxAppeals), nil, 0},
	} {
		list := Appeals(seed, self, tt.accusers, tt.members, tt.made)
		asked := map[Key]bool{self: true, {}: true}
		for _, a := range tt.accusers {
			asked[a.Key] = true
		}
		for _, a := range tt.made {
			for _, m := range a.Members {
				asked[m] = true
			}
		}
		var got []Key
		for _, a := range list {
			got = append(got, a.Accuser)
			if len(a.Members) != tt.tries {
				t.Errorf("%s: %d members for %v, want %d", name, len(a.Members), a.Accuser, tt.tries)
			}
			for _, m := range a.Members {
				if asked[m] || !slices.Contains(tt.members, m) {
					t.Errorf("%s: %v is asked, who accuses, was asked before or is no member", name, m)
				}
				asked[m] = true
			}
		}
		var want []Key
		for _, i := range tt.want {
			want = append(want, key(i))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: appeals against %v, want %v", name, got, want)
		}
	}
	one := Appeals(seed, self, accusers(1, 2), keys(0, 1000), nil)
	other := Appeals(Seed{8}, self, accusers(1, 2), keys(0, 1000), nil)
	if slices.Equal(one[0].Members, other[0].Members) {
		t.Error("the same members relay in each round")
	}
}
