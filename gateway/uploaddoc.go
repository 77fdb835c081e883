package gateway

import (
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"walrus/client/jsonform"
)

// The parameters of resumable uploads, for the document: tusd reads the headers itself. The protocol decides which are
// needed; the document describes tus's.
type (
	uploadNew struct {
		Resumable string `header:"Tus-Resumable" example:"1.0.0" doc:"Version of the protocol."`
		Length    string `header:"Upload-Length" example:"1000" doc:"Length of the whole upload in bytes. Required unless Upload-Defer-Length or a final Upload-Concat is sent; 413 beyond Tus-Max-Size."`
		Defer     string `header:"Upload-Defer-Length" enum:"1" doc:"The length will be sent with the last piece. Excludes Upload-Length."`
		Concat    string `header:"Upload-Concat" pattern:"^(partial|final;.+)$" doc:"\"partial\" begins a part; several parts may be uploaded at once. \"final;\" and the locations of the parts, separated by blanks, joins them and stores the result."`
		Metadata  string `header:"Upload-Metadata" example:"epochs NQ==" doc:"Parameters of PUT /v1/blobs: name and base64 value, separated by commas. Other names are ignored."`
	}
	uploadAt struct {
		ID        string `path:"upload_id" pattern:"^[0-9a-f]{32}$" example:"24e533e02ec3bc40c387f1a0e460e216" doc:"ID of the upload: the last element of its Location."`
		Resumable string `header:"Tus-Resumable" example:"1.0.0" doc:"Version of the protocol."`
	}
	uploadPiece struct {
		ID        string `path:"upload_id" pattern:"^[0-9a-f]{32}$" example:"24e533e02ec3bc40c387f1a0e460e216" doc:"ID of the upload: the last element of its Location."`
		Resumable string `header:"Tus-Resumable" example:"1.0.0" doc:"Version of the protocol."`
		Offset    string `header:"Upload-Offset" example:"0" doc:"Offset of the piece: the end of the previous one."`
		Prefer    string `header:"Prefer" example:"return=representation" doc:"Answer the last piece with 200 and the result, instead of the 204 without a body that tus prescribes."`
	}
)

// uploadOperation describes one of the routes of resumable uploads.
func uploadOperation(api huma.API, method string, one bool) huma.Operation {
	op := huma.Operation{Method: method, Path: uploadsPath, Tags: []string{tagStore},
		Security: []map[string][]string{{}, {publisherToken: {}}}}
	if one {
		op.Path += "/{upload_id}"
	}
	text := func(method string) (id, summary, description string) {
		switch method {
		case http.MethodOptions:
			return "uploadOptions", "Show the features of resumable uploads", "By the tus protocol 1.0.0."
		case http.MethodPost:
			return "createUpload", "Begin a resumable upload",
				"By the tus protocol 1.0.0, or the IETF draft on resumable uploads. Send the pieces to the returned Location."
		case http.MethodHead:
			return "headUpload", "Get the progress of an upload", "Upload-Offset is the offset of the next piece."
		case http.MethodPatch:
			return "patchUpload", "Send a piece of an upload",
				"The last piece stores the blob; Walrus-Store-Result has the result. If storing fails, send an empty piece at the end to try again."
		case http.MethodDelete:
			return "deleteUpload", "Cancel an upload", "The pieces received are deleted."
		}
		return "readUpload", "Get the result of an upload",
			"The same as the response to PUT /v1/blobs, after the last piece was sent."
	}
	op.OperationID, op.Summary, op.Description = text(method)
	binary := map[string]*huma.MediaType{"application/octet-stream": {Schema: &huma.Schema{Type: huma.TypeString,
		Format: "binary"}}}
	if method == http.MethodPatch || method == http.MethodPost {
		op.RequestBody = &huma.RequestBody{Description: "The piece; optional when an upload begins. The content type of the tus protocol, application/offset+octet-stream, is accepted too.", Required: method == http.MethodPatch, Content: binary}
	}
	schema := api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[jsonform.StoreResult](), true, "")
	refusal := func(description string) *huma.Response {
		r := problem(api, description)
		r.Content["text/plain"] = &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString}}
		return r
	}
	rs := responses{
		http.StatusOK: {Description: "As asked.",
			Content: map[string]*huma.MediaType{"application/json": {Schema: schema}}},
		http.StatusCreated: {Description: "The upload has begun.",
			Headers: map[string]*huma.Param{"Location": header("The address for the pieces.",
				"/v1/uploads/24e533e02ec3bc40c387f1a0e460e216")}},
		http.StatusNoContent: {Description: "Done.",
			Headers: map[string]*huma.Param{"Upload-Offset": header("Offset of the next piece.", "1000")}},
		http.StatusBadRequest:            refusal("The request is malformed."),
		http.StatusNotFound:              refusal("There is no such upload."),
		http.StatusRequestTimeout:        refusal("The client stopped sending the piece."),
		http.StatusConflict:              refusal("The offset is not where the last piece ended."),
		http.StatusGone:                  refusal("The upload was cancelled."),
		http.StatusPreconditionFailed:    refusal("Tus-Resumable is missing, or names a version that is not supported."),
		http.StatusRequestEntityTooLarge: refusal("The upload is larger than this publisher accepts."),
		http.StatusUnsupportedMediaType:  refusal("The content type is not the one of a piece."),
		http.StatusLocked:                refusal("Another request is sending a piece."),
		http.StatusTooManyRequests:       refusal("Too many uploads are unfinished; try again after Retry-After."),
		http.StatusInternalServerError:   refusal("Internal error of the gateway."),
		http.StatusServiceUnavailable:    refusal("The blob cannot be stored now; try again after Retry-After."),
		http.StatusGatewayTimeout:        refusal("Too few nodes confirmed in time; try again."),
	}
	if method == http.MethodOptions {
		rs[http.StatusOK] = &huma.Response{Description: "See the headers.", Headers: map[string]*huma.Param{
			"Tus-Version": header("Version of the protocol.", "1.0.0"),
			"Tus-Extension": header("Supported extensions of the protocol.",
				"creation,creation-with-upload,termination,concatenation,creation-defer-length"),
			"Tus-Max-Size": header("Limit of an upload in bytes.", "10485760"),
		}}
	}
	if method == http.MethodHead {
		rs[http.StatusOK] = &huma.Response{Description: "See the headers.", Headers: map[string]*huma.Param{
			"Upload-Offset": header("Offset of the next piece.", "500"),
			"Upload-Length": header("Length of the whole upload in bytes.", "1000"),
		}}
	}
	if method != http.MethodPost {
		delete(rs, http.StatusCreated)
	}
	op.Responses = rs.document()
	return op
}

// describeTus documents tusd's requirements, in the document only: tusd checks its headers itself and answers with
// statuses of tus.
func describeTus(api huma.API) {
	version := func(p *huma.Param) { p.Required, p.Schema.Enum = true, []any{"1.0.0"} }
	number := func(p *huma.Param) { p.Schema.Pattern = "^[0-9]{1,18}$" }
	for method, headers := range map[string]map[string]func(*huma.Param){
		http.MethodPost:   {"Tus-Resumable": version, "Upload-Length": number},
		http.MethodPatch:  {"Tus-Resumable": version, "Upload-Offset": func(p *huma.Param) { number(p); p.Required = true }},
		http.MethodDelete: {"Tus-Resumable": version},
	} {
		for _, path := range []string{uploadsPath, uploadsPath + "/{upload_id}"} {
			for _, op := range operations(api.OpenAPI().Paths[path]) {
				if op.Method == method {
					describeParams(op, headers)
				}
			}
		}
	}
}

// describeParams changes the description of parameters, not huma's checks.
func describeParams(op *huma.Operation, changes map[string]func(*huma.Param)) {
	for i, p := range op.Parameters {
		if change := changes[p.Name]; change != nil {
			own, schema := *p, *p.Schema // huma checks by the value that p points to
			own.Schema = &schema
			change(&own)
			op.Parameters[i] = &own
		}
	}
}
