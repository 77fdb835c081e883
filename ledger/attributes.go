package ledger

const (
	// MaxAttributes bounds the attributes of a blob's record.
	MaxAttributes = 64
	// MaxAttributeKey bounds the key of an attribute, in bytes.
	MaxAttributeKey = 256
	// MaxAttributeValue bounds its value, in bytes.
	MaxAttributeValue = 1024
	// MaxAttributesSize bounds the attributes of a record together, in bytes of keys and values.
	MaxAttributesSize = 16 << 10
)

// attributesForm writes or reads a list of attributes: keys ascending, at most MaxAttributesSize bytes together.
func attributesForm(f *form, name string, v *[]Attribute) {
	size := 0
	list(f, name, v, MaxAttributes, 2+1+2, func(f *form, a *Attribute) {
		f.text("key", &a.Key, 1, MaxAttributeKey)
		f.text("value", &a.Value, 0, MaxAttributeValue)
		size += len(a.Key) + len(a.Value)
	})
	f.check(size <= MaxAttributesSize, "%s: %d bytes: at most %d", name, size, MaxAttributesSize)
	ascending(f, name, *v, func(a, b *Attribute) bool { return a.Key < b.Key })
}
