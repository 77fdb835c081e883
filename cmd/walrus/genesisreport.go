package main

import (
	"fmt"
	"slices"
	"time"

	"walrus/certs"
	"walrus/ledger"
)

// genesisReport is the JSON output of genesis check.
type genesisReport struct {
	OK       bool     `json:"ok"`
	Problems []string `json:"problems"`
	Warnings []string `json:"warnings"`

	Network   string          `json:"network,omitempty"`
	ID        string          `json:"networkId,omitempty"`
	Ledger    string          `json:"ledgerId,omitempty"`
	Time      *time.Time      `json:"time,omitempty"`
	Epoch     string          `json:"epochDuration,omitempty"`
	Shards    int             `json:"shards,omitempty"`
	MaxFaulty int             `json:"maxFaultyShards,omitempty"`
	Quorum    int             `json:"quorumThreshold,omitempty"`
	MayFail   int             `json:"mayFail"`
	Members   []genesisMember `json:"members,omitempty"`
}

type genesisMember struct {
	Node   string `json:"node"`
	Name   string `json:"name"`
	Shards []int  `json:"shards"`
	Votes  bool   `json:"votes"`
}

func newGenesisMembers(g *ledger.Genesis) (list []genesisMember) {
	voters := g.Voters()
	for i := range g.Members {
		m := &g.Members[i]
		_, votes := slices.BinarySearch(voters, i)
		list = append(list, genesisMember{m.Node.String(), m.Name, append([]int{}, m.Shards...), votes})
	}
	return list
}

// latestStart bounds how many epochs before the check the first epoch should begin. The network's first blocks catch up
// on the epochs that passed before its start.
const latestStart = 2

// newGenesisReport describes the network that a valid genesis makes.
func newGenesisReport(g *ledger.Genesis, now time.Time) (*genesisReport, error) {
	com, err := g.Committee()
	if err != nil {
		return nil, err
	}
	r := &genesisReport{
		Problems: []string{}, Warnings: []string{}, Network: g.Network, ID: g.NetworkID().String(),
		Ledger: g.ChainID(), Time: &g.Time,
		Epoch: g.EpochDuration.String(), Shards: g.Shards, MaxFaulty: g.Shards - com.Quorum(), Quorum: com.Quorum(),
		MayFail: mayFail(com), Members: newGenesisMembers(g),
	}
	if r.MayFail == 0 {
		r.Warnings = append(r.Warnings, fmt.Sprintf("no node may be down: the largest has %s, and only %d may be missing",
			plural(slices.Max(weights(com)), "shard"), r.MaxFaulty))
	}
	voting, all := 0, 0
	for _, m := range r.Members {
		if all++; m.Votes {
			voting++
		}
	}
	if voting < min(all, 4) {
		r.Warnings = append(r.Warnings, fmt.Sprintf(
			"only %d of %d members have a consensus key: with fewer than 4, the ledger stalls when one is down", voting, all))
	}
	if passed := now.Sub(g.Time) / g.EpochDuration; passed > latestStart {
		r.Warnings = append(r.Warnings, fmt.Sprintf(
			"%d epochs have passed since its start time, %s: unless the network has started, set a new \"time\"", passed,
			g.Time.Format(time.RFC3339)))
	}
	return r, nil
}

// mayFail returns how many nodes, any of them, may be down while the others still store and read everything.
func mayFail(com *certs.Committee) (nodes int) {
	left := com.Params().Shards()
	for _, w := range slices.Backward(slices.Sorted(slices.Values(weights(com)))) {
		if left -= w; left < com.Quorum() {
			break
		}
		nodes++
	}
	return nodes
}

func weights(com *certs.Committee) (list []int) {
	for i := range com.Members() {
		list = append(list, com.Weight(i))
	}
	return list
}

func (a *terminal) printGenesis(g *ledger.Genesis, r *genesisReport) error {
	balances, err := g.Balances()
	if err != nil {
		return err
	}
	begins := "began " + time.Since(g.Time).Round(time.Second).String() + " ago"
	if wait := time.Until(g.Time); wait > 0 {
		begins = "begins in " + wait.Round(time.Second).String()
	}
	rows := [][]string{
		{"network", r.Network},
		{"network ID", r.ID},
		{"epochs", fmt.Sprintf("%s each; the first %s, at %s", g.EpochDuration, begins, g.Time.Format(time.RFC3339))},
		{"shards", fmt.Sprintf("%d: up to %d may be lost, %d must confirm a blob", r.Shards, r.MaxFaulty, r.Quorum)},
		{"nodes", fmt.Sprintf("%d: any %d may be down", len(r.Members), r.MayFail)},
		{"price", fmt.Sprintf("%s for each epoch and %s for writing, per MiB of encoded size; storage is sold up to %s ahead",
			g.StoragePrice, g.WritePrice, plural(g.MaxEpochsAhead, "epoch"))},
		{"fees", fmt.Sprintf("%s per transaction, %s for each of its bytes, and %s for each microsecond of its work",
			g.FeeTx, g.FeeByte, g.FeePerWork)},
		{"capacity", byteSize(g.Capacity) + " of encoded size"},
	}
	for _, b := range balances {
		who := b.Address.String()
		if b.Address == g.Treasury {
			who += ", the treasury"
		}
		rows = append(rows, []string{"account", b.Amount.String() + ": " + who})
		if len(rows) > maxListed {
			rows = append(rows, []string{"", plural(len(balances), "account") + " in all"})
			break
		}
	}
	if err := table(a.stdout, "", rows); err != nil {
		return err
	}
	if err := a.printMembers(r.Members); err != nil {
		return err
	}
	for _, w := range r.Warnings {
		a.warn("%s", w)
	}
	return nil
}

func (a *terminal) printMembers(members []genesisMember) error {
	rows := [][]string{{"node", "shards", "votes on blocks", "peer ID"}}
	for _, m := range members {
		rows = append(rows, []string{printable(m.Name), shardList(m.Shards), yesNo(m.Votes), m.Node})
	}
	return table(a.stdout, "  ", rows)
}
