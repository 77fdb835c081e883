package pages

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"walrus/ledger"
	"walrus/quilt"
	"walrus/shards"
)

// search guesses what a search text names and redirects there.
func (s *site) search(w http.ResponseWriter, r *http.Request) {
	query := strings.TrimSpace(r.URL.Query().Get("q"))
	if query == "" {
		s.show(w, r, http.StatusOK, "search", view{Title: "Search", Here: "search"})
		return
	}
	target, err := s.find(r.Context(), query)
	if err == nil {
		http.Redirect(w, r, target, http.StatusSeeOther)
		return
	}
	p := problemOf(err)
	if p.Status == http.StatusNotFound {
		p.Heading, p.Message = "Nothing found", fmt.Sprintf("This network knows nothing named “%.200s”.", query)
		p.Advice = "A blob ID has 43 letters, digits, - and _; the patch ID of a file in a quilt has 50. A record, transaction or owner is 0x and 64 hexadecimal digits. Enter the height of a block, and the name or peer ID of a node."
	}
	s.refuse(w, r, p, query)
}

// find returns the URL of the page that the text names.
func (s *site) find(ctx context.Context, query string) (string, error) {
	if id, err := shards.ParseBlobID(query); err == nil {
		return "/explorer/blobs/" + id.String(), nil
	}
	if id, err := quilt.ParsePatchID(query); err == nil {
		return "/explorer/blobs/" + id.Quilt.String(), nil
	}
	var object ledger.ObjectID
	if err := object.UnmarshalText([]byte(query)); err == nil {
		return s.findHex(ctx, object)
	}
	n, err := s.data.Node(ctx, query)
	if err == nil {
		return "/explorer/nodes/" + url.PathEscape(n.Peer), nil
	}
	if height, bad := strconv.ParseUint(query, 10, 64); bad == nil && errors.Is(err, ErrNotFound) {
		_, err := s.ledger.Block(ctx, height)
		return "/explorer/blocks/" + strconv.FormatUint(height, 10), err
	}
	return "", err
}

// findHex tries everything that 32 bytes may identify: a record, a transaction, an owner.
func (s *site) findHex(ctx context.Context, id [32]byte) (string, error) {
	_, err := s.ledger.Record(ctx, id)
	if err == nil || !errors.Is(err, ErrNotFound) {
		return "/explorer/records/" + ledger.ObjectID(id).String(), err
	}
	if _, err = s.ledger.Transaction(ctx, id); err == nil || !errors.Is(err, ErrNotFound) {
		return "/explorer/transactions/" + ledger.TxID(id).String(), err
	}
	_, err = s.ledger.Owner(ctx, id, "")
	return "/explorer/owners/" + ledger.Address(id).String(), err
}
