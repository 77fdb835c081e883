package machine

import "walrus/ledger"

// rule checks and runs one kind of operation.
type rule struct {
	kind  uint8
	since uint32 // version of the rules that it begins with
	// declare claims every record that apply may touch, besides the sender's account.
	declare func(x *run, op ledger.Op)
	// apply checks, in a fixed order, and then changes records.
	apply func(x *run, op ledger.Op) *ledger.OpError
}

func ruleOf[T ledger.Op](declare func(*run, T), apply func(*run, T) *ledger.OpError) rule {
	// The kind says that the type is T: UnmarshalTx makes values, not pointers.
	value := func(op ledger.Op) T { v, _ := op.(T); return v }
	return rule{
		kind: ledger.OpKind(*new(T)), since: 1,
		declare: func(x *run, op ledger.Op) { declare(x, value(op)) },
		apply:   func(x *run, op ledger.Op) *ledger.OpError { return apply(x, value(op)) },
	}
}

// rules has one row for each kind of operation. A kind's file has the functions.
var rules = byKind(
	ruleOf(declareTransfer, applyTransfer),
	ruleOf(declareBuyStorage, applyBuyStorage),
	ruleOf(declareSplitStorage, applySplitStorage),
	ruleOf(declareMergeStorage, applyMergeStorage),
	ruleOf(declareOfferStorage, applyOfferStorage),
	ruleOf(declareRegisterBlob, applyRegisterBlob),
	ruleOf(declareCertifyBlob, applyCertifyBlob),
	ruleOf(declareExtendBlob, applyExtendBlob),
	ruleOf(declareDeleteBlob, applyDeleteBlob),
	ruleOf(declareShareBlob, applyShareBlob),
	ruleOf(declareFundBlob, applyFundBlob),
	ruleOf(declareOfferBlob, applyOfferBlob),
	ruleOf(declareBurnBlob, applyBurnBlob),
	ruleOf(declareSetAttributes, applySetAttributes),
	ruleOf(declareDisproveBlob, applyDisproveBlob),
	ruleOf(declareRefuteBlob, applyRefuteBlob),
	ruleOf(declareBondMonitor, applyBondMonitor),
	ruleOf(declareUnbondMonitor, applyUnbondMonitor),
	ruleOf(declareAcceptOffer, applyAcceptOffer),
	ruleOf(declareWithdrawOffer, applyWithdrawOffer),
	ruleOf(declareActivateRules, applyActivateRules),
)

// byKind puts each row at its kind. A kind without a row declares nothing and is refused.
func byKind(rows ...rule) (rules [1 << 8]rule) {
	none := func(_ *run, op ledger.Op) *ledger.OpError { return refuse(ledger.CodeInternal, "no rule for %T", op) }
	for kind := range rules {
		rules[kind] = rule{declare: func(*run, ledger.Op) {}, apply: none}
	}
	for _, r := range rows {
		rules[r.kind] = r
	}
	return rules
}
