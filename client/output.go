package client

import (
	"io"

	"walrus/shards"
)

// output writes a range of a blob to w, row by row.
type output struct {
	w        io.Writer     // constant, as the next four
	layout   shards.Layout // of a row
	progress Progress
	end      int64 // byte of the blob at which the range ends
	total    int64 // bytes of the range
	off      int64 // byte of the blob to write next
}

// write writes the part of row i that lies in the range and was not written yet.
func (o *output) write(i int, row row) error {
	start := int64(i) * o.layout.Size()
	n, err := row.writeTo(o.w, o.off-start, min(o.layout.Size(), o.end-start))
	o.off += n
	if err == nil {
		o.progress.report(Reading, o.total-(o.end-o.off), o.total)
	}
	return err
}
