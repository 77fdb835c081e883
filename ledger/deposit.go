package ledger

// Sizes of entries of the state, in bytes. A deposit is Params.DepositPerByte for each of them.
const (
	// EntryOverhead is added for each entry: 64 for its leaf in the tree (path and hash of the value), 64 for the
	// branch above it (two hashes), 22 for the record headers of a database.
	EntryOverhead = 150

	keySize         = 1 + 32 // a letter and an address, object ID or blob ID
	accountSize     = 24
	storageSize     = 56
	blobSize        = 148   // without attributes
	attributeSize   = 2 + 2 // besides key and value
	oneBlobInfoSize = 14 + 12
	offerSize       = 68

	// offerEntry: an object has one offer at most, so its deposit covers one, whether there is one or not.
	offerEntry = keySize + offerSize + EntryOverhead
)

// LeastBalance returns the WAL that an account keeps: the deposit of its entry.
func (p *Params) LeastBalance() Amount { return p.deposit(keySize + accountSize + EntryOverhead) }

// StorageDeposit returns the deposit of a storage resource and of an offer of it.
func (p *Params) StorageDeposit() Amount {
	return p.deposit(keySize + storageSize + EntryOverhead + offerEntry)
}

// BlobDeposit returns the deposit of a record with some attributes, and of an offer of it. It covers a blob info as
// well: the records of a blob ID pay for the info, each as if it were the only one.
func (p *Params) BlobDeposit(attributes []Attribute) Amount {
	record := keySize + blobSize + attributesSize(attributes) + EntryOverhead
	return p.deposit(record + keySize + oneBlobInfoSize + EntryOverhead + offerEntry)
}

// deposit cannot overflow: the genesis bounds DepositPerByte, and no entry is larger than a megabyte.
func (p *Params) deposit(bytes int) Amount { return p.DepositPerByte * Amount(bytes) }

// attributesSize returns the bytes that attributes add to a record.
func attributesSize(attributes []Attribute) (size int) {
	for _, a := range attributes {
		size += attributeSize + len(a.Key) + len(a.Value)
	}
	return size
}

// OpDeposit returns the deposit that op takes from its sender at most, as far as op itself says.
func OpDeposit(p *Params, op Op) Amount {
	switch o := op.(type) {
	case BuyStorage, SplitStorage:
		return p.StorageDeposit()
	case RegisterBlob: // the storage resource brings its own
		return p.BlobDeposit(o.Attributes) - p.StorageDeposit()
	case SetAttributes:
		return p.deposit(attributesSize(o.Set))
	}
	return 0
}
