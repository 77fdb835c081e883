package ledger

// Build composes the operations of a transaction. object(op) is the ID of the object that its op-th operation, from
// zero, creates, for use in later operations. IDs depend on the transaction's nonce, so Build may be called more than
// once.
type Build = func(object func(op int) ObjectID) []Op

// Fixed returns a Build of operations that use no object created in their own transaction.
func Fixed(ops ...Op) Build {
	return func(func(int) ObjectID) []Op { return ops }
}
