package ledger

// RegisteredUntil returns the epoch at whose start the last registration alive in epoch now ends; 0 if there is none,
// or the blob is invalid.
func (i *BlobInfo) RegisteredUntil(now uint32) uint32 {
	if i.Invalid {
		return 0
	}
	end := i.PermanentEnd
	for _, d := range i.Deletable {
		if d.Registered > 0 {
			end = max(end, d.End)
		}
	}
	return alive(end, now)
}

// CertifiedUntil returns the epoch at whose start the last certified registration alive in epoch now ends; 0 if there
// is none, or the blob is invalid.
func (i *BlobInfo) CertifiedUntil(now uint32) uint32 {
	if i.Invalid {
		return 0
	}
	return i.certifiedUntil(now)
}

// certifiedUntil is CertifiedUntil of the records, whatever they hold.
func (i *BlobInfo) certifiedUntil(now uint32) uint32 {
	end := i.PermanentCertifiedEnd
	for _, d := range i.Deletable {
		if d.Certified > 0 {
			end = max(end, d.End)
		}
	}
	return alive(end, now)
}

// Trim removes what has ended by epoch now; it allocates a new list. A blob without certified records counts as
// uncertified.
func (i *BlobInfo) Trim(now uint32) {
	i.PermanentEnd = alive(i.PermanentEnd, now)
	i.PermanentCertifiedEnd = alive(i.PermanentCertifiedEnd, now)
	var left []DeletableEnd
	for _, d := range i.Deletable {
		if d.End > now && d.Registered > 0 {
			left = append(left, d)
		}
	}
	i.Deletable = left
	if i.certifiedUntil(now) == 0 {
		i.InitialCertified = 0
	}
}

// IsZero reports whether nothing is known of the blob.
func (i *BlobInfo) IsZero() bool {
	return i.InitialCertified == 0 && i.PermanentEnd == 0 && i.PermanentCertifiedEnd == 0 &&
		len(i.Deletable) == 0 && !i.Invalid
}

// alive returns end, or 0 if that epoch has begun.
func alive(end, now uint32) uint32 {
	if end <= now {
		return 0
	}
	return end
}
