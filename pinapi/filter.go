package pinapi

import (
	"encoding/json"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"walrus/pin"
)

// statuses are all there are.
var statuses = []pin.Status{pin.Queued, pin.Pinning, pin.Pinned, pin.Failed}

// parseFilter reads the query of a listing. Several values of cid and status come as repeated parameters, as the
// specification says, or with commas, as boxo's client sends them. Unknown parameters are ignored.
func parseFilter(query string) (f pin.Filter, err error) {
	q, err := url.ParseQuery(query)
	if err != nil {
		return f, badRequest("the query cannot be read: %v", err)
	}
	f = pin.Filter{Name: q.Get("name"), Match: pin.Exact, Limit: defaultPage}
	f.CIDs = split(q, "cid")
	if len(f.CIDs) > maxCIDs {
		return f, badRequest("%d cids: at most %d", len(f.CIDs), maxCIDs)
	}
	for _, text := range f.CIDs {
		if _, err := parseCID(text); err != nil {
			return f, err
		}
	}
	if n := utf8.RuneCountInString(f.Name); n > maxName {
		return f, badRequest("a name of %d characters: at most %d", n, maxName)
	}
	if q.Has("match") {
		f.Match = pin.Match(q.Get("match"))
		if !slices.Contains([]pin.Match{pin.Exact, pin.IExact, pin.Partial, pin.IPartial}, f.Match) {
			return f, badRequest("match %.100q: use exact, iexact, partial or ipartial", f.Match)
		}
	}
	for _, text := range split(q, "status") {
		s := pin.Status(text)
		if !slices.Contains(statuses, s) {
			return f, badRequest("status %.100q: use queued, pinning, pinned or failed", s)
		}
		if !slices.Contains(f.Statuses, s) {
			f.Statuses = append(f.Statuses, s)
		}
	}
	if err := parseMeta(&f, q); err != nil {
		return f, err
	}
	if err := parsePage(&f, q); err != nil {
		return f, err
	}
	// The specification: when no filter is provided, only successful pins are returned. Pages of such a listing must
	// stay the same listing, so before, after and limit are no filters in this sense.
	if len(f.Statuses) == 0 && len(f.CIDs) == 0 && f.Name == "" && len(f.Meta) == 0 {
		f.Statuses = []pin.Status{pin.Pinned}
	}
	return f, nil
}

func parseMeta(f *pin.Filter, q url.Values) error {
	if !q.Has("meta") {
		return nil
	}
	if err := json.Unmarshal([]byte(q.Get("meta")), &f.Meta); err != nil {
		return badRequest(`meta must be an object of texts in JSON, such as {"app":"a"}: %v`, err)
	}
	return nil
}

func parsePage(f *pin.Filter, q url.Values) error {
	for name, at := range map[string]*time.Time{"before": &f.Before, "after": &f.After} {
		if !q.Has(name) {
			continue
		}
		t, err := time.Parse(time.RFC3339Nano, q.Get(name))
		if err != nil {
			return badRequest("%s %.100q: want a time such as 2026-07-27T17:32:28Z", name, q.Get(name))
		}
		*at = t
	}
	if q.Has("limit") {
		n, err := strconv.Atoi(q.Get("limit"))
		if err != nil || n < 1 || n > maxPage {
			return badRequest("limit %.100q: want 1 to %d", q.Get("limit"), maxPage)
		}
		f.Limit = n
	}
	return nil
}

// split returns all values of a parameter.
func split(q url.Values, name string) (list []string) {
	for _, v := range q[name] {
		list = append(list, strings.Split(v, ",")...)
	}
	return list
}
