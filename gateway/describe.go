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
	doc.Info.Description = "Store and read blobs in a Walrus network. Routes, parameters and responses are the same as those of the original Walrus publisher and aggregator."
	doc.Info.License = &huma.License{Name: "Apache-2.0", Identifier: "Apache-2.0"}
	doc.Info.Contact = &huma.Contact{Name: "Operator of this gateway"}
	doc.Servers = []*huma.Server{{URL: "/", Description: "This gateway"}}
	doc.Security = []map[string][]string{{}} // no identification needed, unless an operation requires it
	doc.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		ownerToken: {Type: "http", Scheme: "bearer", Description: "The token of a record, from the header " +
			ownerHeader + " of the response to its upload; or the operator's token."},
		ownerTokenHeader: {Type: "apiKey", In: "header", Name: ownerHeader,
			Description: "The same token, for requests that use Authorization for something else."},
		publisherToken: {Type: "http", Scheme: "bearer", BearerFormat: "JWT",
			Description: "Needed if the operator of this publisher requires tokens, as in the original."},
	}
	doc.Tags = []*huma.Tag{
		{Name: tagStore, Description: "Store blobs."},
		{Name: tagRead, Description: "Read blobs."},
		{Name: tagMonitor, Description: "See what monitors saw of the network."},
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
	return &huma.Response{Description: description,
		Content: map[string]*huma.MediaType{"application/json": {Schema: schema}}}
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
			ownerHeader: header("A token to extend and delete the record. Present if the upload made a record and the publisher owns it.", "hSpNZ6E7eVyYCAQ_NJLDtA9FYSeVmXwq8zbyECQVjuc"),
		}, Content: map[string]*huma.MediaType{"application/json": {Schema: schema}}},
		http.StatusBadRequest:            problem(api, "The request is malformed, or the ledger does not allow it."),
		http.StatusRequestTimeout:        problem(api, "The client stopped sending the body."),
		http.StatusRequestEntityTooLarge: problem(api, "The body is larger than this publisher accepts."),
		http.StatusInternalServerError: problem(api,
			"Internal error of the gateway. If the ledger has marked a blob of this ID as invalid, the body is a StoreResult with markedInvalid."),
		http.StatusServiceUnavailable: problem(api,
			"The ledger is stalled, the publisher cannot pay, or its disk is full; try again after Retry-After."),
		http.StatusGatewayTimeout: problem(api, "Too few nodes confirmed in time."),
	}.document()
}

// readResponses returns the responses of routes that read content: bytes of unknown type. A HEAD request has no parts.
func readResponses(api huma.API, head bool) map[string]*huma.Response {
	headers := func() map[string]*huma.Param {
		return map[string]*huma.Param{
			"ETag": header("The blob ID, which identifies the content.",
				`"M4hsZGQ1oCktdzegB6HnI6Mi28S2nqOPHxK-W7_4BUk"`),
			"Cache-Control":  header("How long a cache may keep it.", cacheControl),
			"Content-Length": header("Length of the body in bytes.", "17"),
		}
	}
	rs := responses{
		http.StatusOK:          {Description: "The whole blob.", Headers: headers()},
		http.StatusNotModified: {Description: "The client already has this blob."},
		http.StatusBadRequest:  problem(api, "The request is malformed."),
		http.StatusForbidden:   problem(api, "The blob is larger than this aggregator serves."),
		http.StatusNotFound: problem(api,
			"The blob does not exist: enough nodes answered to be certain. Or the ledger has marked it as invalid: its writer encoded it wrongly, so it has no content (BLOB_INVALID)."),
		http.StatusPreconditionFailed:         problem(api, "If-Match names another blob."),
		http.StatusUnavailableForLegalReasons: problem(api, "The blob is on this gateway's blocklist."),
		http.StatusInternalServerError: problem(api,
			"This read proved that the blob was encoded wrongly (BLOB_INVALID), before the ledger has marked it; or internal error of the gateway."),
		http.StatusServiceUnavailable: problem(api,
			"Too few nodes answered to find or read the blob; try again after Retry-After."),
		http.StatusGatewayTimeout: problem(api, "The network did not answer in time."),
	}
	if !head {
		part := headers()
		part["Content-Range"] = header("The range of the bytes in the body.", "bytes 0-15/17")
		rs[http.StatusPartialContent] = &huma.Response{Description: "A part of the blob. Several parts are sent as multipart/byteranges.", Headers: part}
		rs[http.StatusRequestedRangeNotSatisfiable] = problem(api, "The ranges are malformed or not within the blob.")
	}
	return rs.document()
}

// manageResponses returns the responses of routes for owners.
func manageResponses(api huma.API, result reflect.Type) map[string]*huma.Response {
	schema := api.OpenAPI().Components.Schemas.Schema(result, true, "")
	return responses{
		http.StatusOK: {Description: "Done.",
			Content: map[string]*huma.MediaType{"application/json": {Schema: schema}}},
		http.StatusBadRequest:          problem(api, "The request is malformed, or the record does not allow it."),
		http.StatusUnauthorized:        problem(api, "The request has no token."),
		http.StatusForbidden:           problem(api, "The token belongs to another record."),
		http.StatusNotFound:            problem(api, "There is no such record."),
		http.StatusInternalServerError: problem(api, "Internal error of the gateway."),
		http.StatusServiceUnavailable: problem(api,
			"The ledger is stalled, or the publisher cannot pay; try again after Retry-After."),
		http.StatusGatewayTimeout: problem(api, "The network did not answer in time."),
	}.document()
}
