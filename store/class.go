package store

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"
)

// class is a range of end epochs. The blobs of a segment end in its class when they are stored.
type class struct{ first, last uint32 }

// classOf returns the class of what is stored in epoch now until epoch end. The epochs that are left are rounded down
// to a power of two: so many epochs the class has. So the first and the last of a segment end within the time for
// which they were stored, and there are at most two classes for each power of two.
func classOf(end, now uint32) class {
	left := uint32(1)
	if end > now {
		left = end - now
	}
	width := uint32(1) << (bits.Len32(left) - 1)
	first := end &^ (width - 1)
	return class{first, first | (width - 1)}
}

// segmentName is the name of a segment's folder: its number, and its class.
func segmentName(id uint64, c class) string { return fmt.Sprintf("%06d_%d-%d", id, c.first, c.last) }

// parseSegmentName reads a name made by segmentName.
func parseSegmentName(name string) (id uint64, c class, ok bool) {
	number, span, _ := strings.Cut(name, "_")
	first, last, _ := strings.Cut(span, "-")
	id, err1 := strconv.ParseUint(number, 10, 48)
	from, err2 := strconv.ParseUint(first, 10, 32)
	to, err3 := strconv.ParseUint(last, 10, 32)
	c = class{uint32(from), uint32(to)}
	return id, c, err1 == nil && err2 == nil && err3 == nil && id > 0 && segmentName(id, c) == name
}

// bucketBit marks the numbers of segments of format 2. Such a segment was called a bucket, had no bound, and its number
// is that of its end epoch.
const bucketBit = 1 << 63

// parseBucketName reads the name of a segment of format 2: its end epoch.
func parseBucketName(name string) (id uint64, c class, ok bool) {
	epoch, err := strconv.ParseUint(name, 10, 32)
	c = class{uint32(epoch), uint32(epoch)}
	return bucketBit | epoch, c, err == nil && strconv.FormatUint(epoch, 10) == name
}
