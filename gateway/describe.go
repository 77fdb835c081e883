package gateway

import (
	"net/http"
	"reflect"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"walrus/client/jsonform"
)

// Tags group the routes in the document.
const (
	tagStore   = "publisher"
	tagRead    = "aggregator"
	tagService = "service"
)

// publisherToken is the security scheme of routes that store. The guard checks it before a request comes here.
const publisherToken = "publisherToken"

// ownerToken is the security scheme of routes for owners.
const ownerToken = "ownerToken"

// ownerSecurity accepts ownerToken or ownerTokenHeader.
var ownerSecurity = []map[string][]string{{ownerToken: {}}, {ownerTokenHeader: {}}}

// ownerTokenHeader is ownerToken in its own header.
const ownerTokenHeader = "ownerTokenHeader"

// describe fills in the document's head.
func describe(doc *huma.OpenAPI) {
	doc.Info.Description = "Store and read blobs in a Walrus network. Routes, parameters and answers are those of the original's publisher and aggregator."
	doc.Info.License = &huma.License{Name: "Apache-2.0", Identifier: "Apache-2.0"}
	doc.Info.Contact = &huma.Contact{Name: "The operator of this gateway"}
	doc.Servers = []*huma.Server{{URL: "/", Description: "This gateway"}}
	doc.Security = []map[string][]string{{}} // no identification needed, unless an operation requires it
	doc.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		ownerToken:       {Type: "http", Scheme: "bearer", Description: "The token of a record, which came with the upload in " + ownerHeader + ", or the operator's."},
		ownerTokenHeader: {Type: "apiKey", In: "header", Name: ownerHeader, Description: "The same token, where Authorization is needed for something else."},
		publisherToken:   {Type: "http", Scheme: "bearer", BearerFormat: "JWT", Description: "Where the operator asks for one, as the original's publisher does."},
	}
	doc.Tags = []*huma.Tag{
		{Name: tagStore, Description: "Store blobs."},
		{Name: tagRead, Description: "Read blobs."},
		{Name: tagService, Description: "The gateway itself."},
	}
}

// responses describes the responses of a route, by status.
type responses map[int]*huma.Response

// document converts responses for an operation.
func (rs responses) document() map[string]*huma.Response {
	out := make(map[string]*huma.Response, len(rs))
	for code, r := range rs {
		out[strconv.Itoa(code)] = r
	}
	return out
}

func problem(api huma.API, description string) *huma.Response {
	schema := api.OpenAPI().Components.Schemas.Schema(errorBodyType, true, "")
	return &huma.Response{Description: description, Content: map[string]*huma.MediaType{"application/json": {Schema: schema}}}
}

func header(description, example string) *huma.Param {
	return &huma.Param{Description: description, Schema: &huma.Schema{Type: huma.TypeString}, Example: example}
}

// errorBodyType is the type of all errors, for their schema.
var errorBodyType = reflect.TypeFor[ErrorBody]()

// storeResponses returns the responses of routes that store.
func storeResponses(api huma.API) map[string]*huma.Response {
	schema := api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[jsonform.StoreResult](), true, "")
	return responses{
		http.StatusOK: {Description: "The blob is stored.", Headers: map[string]*huma.Param{
			ownerHeader: header("The token that lets its bearer extend and delete the record, if the upload made one that the publisher keeps.", "hSpNZ6E7eVyYCAQ_NJLDtA9FYSeVmXwq8zbyECQVjuc"),
		}, Content: map[string]*huma.MediaType{"application/json": {Schema: schema}}},
		http.StatusBadRequest:            problem(api, "The request is malformed, or the ledger does not allow it."),
		http.StatusRequestTimeout:        problem(api, "The body stopped coming."),
		http.StatusRequestEntityTooLarge: problem(api, "The body is greater than this publisher takes."),
		http.StatusInternalServerError:   problem(api, "The gateway failed."),
		http.StatusServiceUnavailable:    problem(api, "The ledger stands still, the publisher cannot pay, or it has no room; try again after Retry-After."),
		http.StatusGatewayTimeout:        problem(api, "Too few nodes confirmed in time."),
	}.document()
}

// readResponses returns the responses of routes that read content: bytes of unknown type. A HEAD request has no parts.
func readResponses(api huma.API, head bool) map[string]*huma.Response {
	headers := func() map[string]*huma.Param {
		return map[string]*huma.Param{
			"ETag":           header("The blob's ID, which names its content.", `"M4hsZGQ1oCktdzegB6HnI6Mi28S2nqOPHxK-W7_4BUk"`),
			"Cache-Control":  header("How long a cache may keep it.", cacheControl),
			"Content-Length": header("Bytes of the body.", "17"),
		}
	}
	rs := responses{
		http.StatusOK:                         {Description: "All bytes of it.", Headers: headers()},
		http.StatusNotModified:                {Description: "The client has it."},
		http.StatusBadRequest:                 problem(api, "The request is malformed."),
		http.StatusForbidden:                  problem(api, "The blob is greater than this aggregator serves."),
		http.StatusNotFound:                   problem(api, "There is definitely no such blob."),
		http.StatusPreconditionFailed:         problem(api, "The blob is not the one of If-Match."),
		http.StatusUnavailableForLegalReasons: problem(api, "The blob is on this gateway's blocklist."),
		http.StatusInternalServerError:        problem(api, "The blob has no content, or the gateway failed."),
		http.StatusServiceUnavailable:         problem(api, "Too few nodes answer to say or to read; try again after Retry-After."),
		http.StatusGatewayTimeout:             problem(api, "The network did not answer in time."),
	}
	if !head {
		part := headers()
		part["Content-Range"] = header("Which bytes these are.", "bytes 0-15/17")
		rs[http.StatusPartialContent] = &huma.Response{Description: "Some bytes of it; several parts come as multipart/byteranges.", Headers: part}
		rs[http.StatusRequestedRangeNotSatisfiable] = problem(api, "The ranges are malformed or not within the blob.")
	}
	return rs.document()
}

// manageResponses returns the responses of routes for owners.
func manageResponses(api huma.API, result reflect.Type) map[string]*huma.Response {
	schema := api.OpenAPI().Components.Schemas.Schema(result, true, "")
	return responses{
		http.StatusOK:                  {Description: "Done.", Content: map[string]*huma.MediaType{"application/json": {Schema: schema}}},
		http.StatusBadRequest:          problem(api, "The request is malformed, or the record does not allow it."),
		http.StatusUnauthorized:        problem(api, "There is no token."),
		http.StatusForbidden:           problem(api, "The token is not that of the owner."),
		http.StatusNotFound:            problem(api, "There is no such record."),
		http.StatusInternalServerError: problem(api, "The gateway failed."),
		http.StatusServiceUnavailable:  problem(api, "The ledger stands still, or the publisher cannot pay; try again after Retry-After."),
		http.StatusGatewayTimeout:      problem(api, "The network did not answer in time."),
	}.document()
}
