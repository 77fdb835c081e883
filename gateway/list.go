package gateway

import (
	"encoding/base64"
	"encoding/binary"
	"net/http"
	"reflect"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"walrus/client"
	"walrus/client/jsonform"
)

// BlobList is one page of a list of records.
type BlobList struct {
	Blobs         []jsonform.BlobObject `json:"blobs" nullable:"false" doc:"Records, ordered by their end."`
	NextPageToken string                `json:"nextPageToken,omitempty" example:"AAAAIwAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" doc:"The page_token of the next page; absent on the last page."`
}

func (g *Gateway) addList(api huma.API) {
	type in struct {
		PageSize  int64  `query:"page_size" minimum:"1" maximum:"1000" default:"100" example:"100" doc:"Limit of records on a page."`
		PageToken string `query:"page_token" maxLength:"48" pattern:"^([A-Za-z0-9_-]{48})?$" example:"AAAAIwAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" doc:"The nextPageToken of the previous page."`
	}
	register(g, api, managing, huma.Operation{
		OperationID: "listBlobs", Method: http.MethodGet, Path: "/v1/blobs", Tags: []string{tagStore},
		Summary:     "List the blobs of an owner",
		Description: "Lists the live records that the token is valid for: one for the token of a record, all records of the publisher for the operator's token.",
		Security:    ownerSecurity, Responses: manageResponses(api, reflect.TypeFor[BlobList]()),
	}, func(w http.ResponseWriter, r *http.Request, in *in) error {
		after, err := parsePageToken(in.PageToken)
		if err != nil {
			return err
		}
		return g.list(w, r, int(in.PageSize), after)
	})
}

func (g *Gateway) list(w http.ResponseWriter, r *http.Request, size int, after []byte) error {
	token, err := presented(r)
	if err != nil {
		return err
	}
	ctx, done := g.storing(r.Context())
	defer done()
	records, err := g.client.ListBlobs(ctx, false)
	if err != nil {
		return err
	}
	records = slices.DeleteFunc(records, func(b client.OwnedBlob) bool { return !g.owners.owns(token, b.Object) })
	if len(records) == 0 && token != g.owners.operator() {
		return errNotOwner
	}
	return writeJSON(w, newPage(records, size, after))
}

// newPage makes a page of up to size records that come after a place in the order.
func newPage(records []client.OwnedBlob, size int, after []byte) BlobList {
	page := BlobList{Blobs: []jsonform.BlobObject{}}
	for i := range records {
		switch b := &records[i]; {
		case slices.Compare(pagePlace(b), after) <= 0:
		case len(page.Blobs) == size:
			page.NextPageToken = base64.RawURLEncoding.EncodeToString(pagePlace(&records[i-1]))
			return page
		default:
			page.Blobs = append(page.Blobs, jsonform.NewBlobObject(b.Object, &b.Blob))
		}
	}
	return page
}

// pagePlace returns a record's place in the order of lists: by end and object ID.
func pagePlace(b *client.OwnedBlob) []byte {
	return append(binary.BigEndian.AppendUint32(nil, b.End), b.Object[:]...)
}

// parsePageToken reads the place after which a page begins; an empty token means the start.
func parsePageToken(s string) ([]byte, error) {
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(b) != 0 && len(b) != 36 {
		return nil, malformed("page_token: not a nextPageToken of this gateway")
	}
	return b, nil
}
