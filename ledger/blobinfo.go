package ledger

// RegisteredUntil is the epoch at whose beginning the last registration alive in epoch now ends; 0 if there is none.
func (i *BlobInfo) RegisteredUntil(now uint32) uint32 {
	end := i.PermanentEnd
	for _, d := range i.Deletable {
		if d.Registered > 0 {
			end = max(end, d.End)
		}
	}
	return alive(end, now)
}

// CertifiedUntil is the epoch at whose beginning the last certified registration alive in epoch now ends; 0 if there is
// none.
func (i *BlobInfo) CertifiedUntil(now uint32) uint32 {
	end := i.PermanentCertifiedEnd
	for _, d := range i.Deletable {
		if d.Certified > 0 {
			end = max(end, d.End)
		}
	}
	return alive(end, now)
}

// Trim forgets what has ended by epoch now, in memory of its own. If nothing certified is left, the blob was not certified.
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
	if i.CertifiedUntil(now) == 0 {
		i.InitialCertified = 0
	}
}

// IsZero says that nothing is known of the blob.
func (i *BlobInfo) IsZero() bool {
	return i.InitialCertified == 0 && i.PermanentEnd == 0 && i.PermanentCertifiedEnd == 0 && len(i.Deletable) == 0
}

// alive is end, or 0 if that has come.
func alive(end, now uint32) uint32 {
	if end <= now {
		return 0
	}
	return end
}
