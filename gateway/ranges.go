package gateway

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"walrus/client"
)

// maxRanges bounds the ranges of one request: many small ranges cost more than the whole blob.
const maxRanges = 64

// span is a range of a blob.
type span struct{ off, n int64 }

func (s span) header(size int64) string {
	return fmt.Sprintf("bytes %d-%d/%d", s.off, s.off+s.n-1, size)
}

// errRange means that a Range header is malformed, or that no part of it lies within the blob.
var errRange = errors.New("the range is malformed or not within the blob")

// parseRange reads a Range header, by RFC 9110, for a blob of size bytes. It returns no spans for the whole blob: if
// the unit is unknown, the blob is empty, or the ranges together are larger than the blob.
func parseRange(header string, size int64) ([]span, error) {
	unit, set, ok := strings.Cut(header, "=")
	if !ok {
		return nil, errRange
	}
	if !strings.EqualFold(strings.TrimSpace(unit), "bytes") || size == 0 {
		return nil, nil
	}
	if strings.Count(set, ",") >= maxRanges {
		return nil, errRange
	}
	var spans []span
	var sum int64
	parts := 0
	for part := range strings.SplitSeq(set, ",") {
		part = strings.Trim(part, " \t")
		if part == "" { // lists may have empty elements
			continue
		}
		parts++
		s, err := parseSpan(part, size)
		if err != nil {
			return nil, err
		}
		if s.n > 0 {
			spans = append(spans, s)
			sum += s.n // cannot overflow: at most maxRanges times the blob
		}
	}
	switch {
	case parts == 0 || len(spans) == 0:
		return nil, errRange
	case len(spans) > 1 && sum > size:
		return nil, nil
	}
	return spans, nil
}

// parseSpan reads a-b, a- or -n. A well-formed span outside the blob has no bytes.
func parseSpan(s string, size int64) (span, error) {
	r, err := client.ParseByteRange(s)
	if err != nil {
		return span{}, errRange
	}
	off, n, err := r.Within(uint64(size))
	if err != nil {
		return span{}, nil //nolint:nilerr // it lies outside
	}
	return span{off, n}, nil
}

// wanted returns the parts of a blob that a request asks for; none means the whole.
func wanted(r *http.Request, tag string, size int64) ([]span, error) {
	header := r.Header.Get("Range")
	if header == "" || r.Method != http.MethodGet || !mayRange(r, tag) {
		return nil, nil
	}
	spans, err := parseRange(header, size)
	if err != nil {
		return nil, &failure{
			code: http.StatusRequestedRangeNotSatisfiable, status: "RANGE_NOT_SATISFIABLE", reason: "INVALID_BYTE_RANGE",
			domain:  domainDaemon,
			message: err.Error(), ranges: fmt.Sprintf("bytes */%d", size),
		}
	}
	return spans, nil
}
