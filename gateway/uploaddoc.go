package gateway

import (
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"walrus/client/jsonform"
)

// The parameters of resumable uploads, for the document: tusd reads the headers itself. The protocol decides which are
// needed; the document describes those of tus.
type (
	uploadNew struct {
		Resumable string `header:"Tus-Resumable" example:"1.0.0" doc:"Version of the protocol."`
		Length    string `header:"Upload-Length" example:"1000" doc:"Bytes of the whole. Needed unless Upload-Defer-Length or a final Upload-Concat is there; 413 beyond Tus-Max-Size."`
		Defer     string `header:"Upload-Defer-Length" enum:"1" doc:"The length comes with the last piece. Excludes Upload-Length."`
		Concat    string `header:"Upload-Concat" pattern:"^(partial|final;.+)$" doc:"partial begins a part, of which there may be several at once; final; and the locations of the parts, with blanks between, puts them together and stores the whole."`
		Metadata  string `header:"Upload-Metadata" example:"epochs NQ==" doc:"Parameters of PUT /v1/blobs, each a name and base64, with commas between; other names are ignored."`
	}
	uploadAt struct {
		ID        string `path:"upload_id" pattern:"^[0-9a-f]{32}$" example:"24e533e02ec3bc40c387f1a0e460e216" doc:"The end of the upload's Location."`
		Resumable string `header:"Tus-Resumable" example:"1.0.0" doc:"Version of the protocol."`
	}
	uploadPiece struct {
		ID        string `path:"upload_id" pattern:"^[0-9a-f]{32}$" example:"24e533e02ec3bc40c387f1a0e460e216" doc:"The end of the upload's Location."`
		Resumable string `header:"Tus-Resumable" example:"1.0.0" doc:"Version of the protocol."`
		Offset    string `header:"Upload-Offset" example:"0" doc:"Where the piece begins: where the last one ended."`
		Prefer    string `header:"Prefer" example:"return=representation" doc:"Answer the last piece with 200 and the result, where tus demands 204 and nothing."`
	}
)

// uploadOperation describes one of the routes of resumable uploads.
func uploadOperation(api huma.API, method string, one bool) huma.Operation {
	op := huma.Operation{Method: method, Path: uploadsPath, Tags: []string{tagStore}, Security: []map[string][]string{{}, {publisherToken: {}}}}
	if one {
		op.Path += "/{upload_id}"
	}
	text := func(method string) (id, summary, description string) {
		switch method {
		case http.MethodOptions:
			return "uploadOptions", "Tell what resumable uploads can do", "By the tus protocol 1.0.0."
		case http.MethodPost:
			return "createUpload", "Begin a resumable upload", "By the tus protocol 1.0.0, or the IETF draft on resumable uploads. Location is where the pieces go."
		case http.MethodHead:
			return "headUpload", "Ask how far an upload is", "Upload-Offset is where to go on."
		case http.MethodPatch:
			return "patchUpload", "Send a piece of an upload", "The last piece stores the blob; Walrus-Store-Result has the result. If storing fails, send an empty piece at the end to try again."
		case http.MethodDelete:
			return "deleteUpload", "Give up an upload", "What has arrived is deleted."
		}
		return "readUpload", "Tell what became of an upload", "As the answer to PUT /v1/blobs, once all pieces were sent."
	}
	op.OperationID, op.Summary, op.Description = text(method)
	binary := map[string]*huma.MediaType{"application/octet-stream": {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}}
	if method == http.MethodPatch || method == http.MethodPost {
		op.RequestBody = &huma.RequestBody{Description: "The piece; may be missing when an upload begins. Its type by the tus protocol, application/offset+octet-stream, is as good.", Required: method == http.MethodPatch, Content: binary}
	}
	schema := api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[jsonform.StoreResult](), true, "")
	refusal := func(description string) *huma.Response {
		r := problem(api, description)
		r.Content["text/plain"] = &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString}}
		return r
	}
	rs := responses{
		http.StatusOK:                    {Description: "As asked.", Content: map[string]*huma.MediaType{"application/json": {Schema: schema}}},
		http.StatusCreated:               {Description: "The upload has begun.", Headers: map[string]*huma.Param{"Location": header("Where the pieces go.", "/v1/uploads/24e533e02ec3bc40c387f1a0e460e216")}},
		http.StatusNoContent:             {Description: "Done.", Headers: map[string]*huma.Param{"Upload-Offset": header("Where the next piece begins.", "1000")}},
		http.StatusBadRequest:            refusal("The request is malformed."),
		http.StatusNotFound:              refusal("There is no such upload."),
		http.StatusRequestTimeout:        refusal("The piece stopped coming."),
		http.StatusConflict:              refusal("The offset is not where the last piece ended."),
		http.StatusGone:                  refusal("The upload was given up."),
		http.StatusPreconditionFailed:    refusal("Tus-Resumable is missing, or names a version that is not supported."),
		http.StatusRequestEntityTooLarge: refusal("The upload is greater than this publisher takes."),
		http.StatusUnsupportedMediaType:  refusal("The content type is not that of a piece."),
		http.StatusLocked:                refusal("Another request sends a piece."),
		http.StatusTooManyRequests:       refusal("Too many uploads are unfinished; try again after Retry-After."),
		http.StatusInternalServerError:   refusal("The gateway failed."),
		http.StatusServiceUnavailable:    refusal("The blob cannot be stored now; try again after Retry-After."),
		http.StatusGatewayTimeout:        refusal("Too few nodes confirmed in time; try again."),
	}
	if method == http.MethodOptions {
		rs[http.StatusOK] = &huma.Response{Description: "In the headers.", Headers: map[string]*huma.Param{
			"Tus-Version":   header("The version of the protocol.", "1.0.0"),
			"Tus-Extension": header("Its extensions that work here.", "creation,creation-with-upload,termination,concatenation,creation-defer-length"),
			"Tus-Max-Size":  header("Bytes of the greatest upload.", "10485760"),
		}}
	}
	if method == http.MethodHead {
		rs[http.StatusOK] = &huma.Response{Description: "In the headers.", Headers: map[string]*huma.Param{
			"Upload-Offset": header("Where to go on.", "500"),
			"Upload-Length": header("Bytes of the whole.", "1000"),
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
