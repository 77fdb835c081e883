package machine

import "walrus/ledger"

func declareActivateRules(x *run, _ ledger.ActivateRules) { declare(x, &x.block.rules, theRules{}) }

// applyActivateRules records a member's vote. More than two thirds of the shards for the same version and height
// decide: the votes then go, and the state before that height says that it changes.
func applyActivateRules(x *run, op ledger.ActivateRules) *ledger.OpError {
	committee := x.block.certificates.committee
	member, ok := committee.Member(x.tx.Sender.Peer())
	if !ok {
		return refuse(ledger.CodeNotOwner, "only a member votes on the rules, with the key of its peer ID")
	}
	r := x.rules()
	switch {
	case r.Next != 0:
		return refuse(ledger.CodeState, "it is decided: the rules change to version %d at height %d", r.Next, r.Height)
	case op.Version != r.Version+1:
		return refuse(ledger.CodeState, "the rules have version %d: vote for version %d", r.Version, r.Version+1)
	case op.Height < x.block.height+ledger.RulesNotice:
		return refuse(ledger.CodeLimit, "height %d is %d blocks after this one or less: at least %d", op.Height,
			max(op.Height, x.block.height)-x.block.height, ledger.RulesNotice)
	}
	vote := ledger.RulesVote{Member: uint16(member), Version: op.Version, Height: op.Height}
	r.Votes = r.Vote(vote)
	x.event(ledger.Event{Kind: ledger.EventRulesVoted, From: x.sender, Version: op.Version, Height: op.Height})
	weight := 0
	for _, v := range r.Votes {
		if v.Version == vote.Version && v.Height == vote.Height && int(v.Member) < len(committee.Members()) {
			weight += committee.Weight(int(v.Member))
		}
	}
	if 3*weight > 2*int(x.block.params.Shards) {
		r.Next, r.Height, r.Votes = op.Version, op.Height, nil
	}
	set(x, &x.block.rules, theRules{}, r, true)
	return nil
}
