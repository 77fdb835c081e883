package machine

import (
	"fmt"

	"walrus/ledger"
)

// Rules says what a program knows. The zero value is this program's own; tests make others.
type Rules struct {
	Latest uint32           // newest version; 0: ledger.RulesVersion
	Since  map[uint8]uint32 // kinds of operations that begin with a later version than the table says
}

func (r Rules) latest() uint32 {
	if r.Latest == 0 {
		return ledger.RulesVersion
	}
	return r.Latest
}

// exists reports whether a version of the rules has a kind of operation.
func (r Rules) exists(kind uint8, version uint32) bool {
	return version >= max(rules[kind].since, r.Since[kind])
}

// checkKinds refuses operations of a version that has not begun. A program that does not know them yet refuses their
// form, with the same code.
func (r Rules) checkKinds(tx *ledger.Tx, version uint32) *ledger.OpError {
	for _, op := range tx.Ops {
		if !r.exists(ledger.OpKind(op), version) {
			return refuse(ledger.CodeFormat, "there is no operation %s in version %d of the rules", ledger.OpName(op), version)
		}
	}
	return nil
}

// UnknownRules reports a block that this program cannot run: the network has changed to rules that it does not know.
type UnknownRules struct {
	Version, Known uint32
	Height         uint64 // first block under Version
}

// Error tells people what to do.
func (e *UnknownRules) Error() string {
	return fmt.Sprintf("the network has changed to rules version %d at height %d; this program knows version %d: install a newer one",
		e.Version, e.Height, e.Known)
}

// Runs returns an *UnknownRules if a program with these rules cannot run the block at a height, by the state before it.
func (r Rules) Runs(values ledger.Reader, height uint64) error {
	now, err := ledger.ReadRules(values)
	if err != nil {
		return err
	}
	version := now.At(height)
	if version <= r.latest() {
		return nil
	}
	e := &UnknownRules{Version: version, Known: r.latest(), Height: height}
	if now.Next != 0 {
		e.Height = now.Height
	}
	return e
}

// theRules is the only key of the table of rules.
type theRules struct{}

func keyRules(theRules) []byte { return ledger.KeyRules() }

func (x *run) rules() ledger.Rules {
	v, ok := get(x, &x.block.rules, theRules{})
	if !ok {
		v.Version = 1
	}
	return v
}

// changeRules begins the next version if this block is its first.
func (k *block) changeRules() error {
	s := k.rules.slot(theRules{})
	if err := k.rules.load(theRules{}, s); err != nil {
		return err
	}
	k.version = max(1, s.value.At(k.height))
	if k.version == max(1, s.value.Version) {
		return nil
	}
	s.put(ledger.Rules{Version: k.version})
	k.events = append(k.events, ledger.Event{Kind: ledger.EventRulesChanged, Version: k.version, Epoch: k.epoch.Epoch})
	return nil
}
