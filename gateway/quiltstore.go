package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"walrus/client"
	"walrus/client/jsonform"
	"walrus/gateway/guard"
	"walrus/quilt"
)

const (
	// metadataField is the form field with the tags of the other fields' files.
	metadataField = "_metadata"
	// maxMetadata bounds it, in bytes. Each of 667 files can then have a few KiB of tags.
	maxMetadata = 8 << 20
)

// QuiltStoreResult is the response to storing a quilt.
type QuiltStoreResult struct {
	Blob  jsonform.StoreResult `json:"blobStoreResult" doc:"The blob that holds the quilt."`
	Files []StoredQuiltBlob    `json:"storedQuiltBlobs" nullable:"false" doc:"Its files, ordered by identifier."`
}

// StoredQuiltBlob is one file of a stored quilt.
type StoredQuiltBlob struct {
	Identifier string        `json:"identifier" example:"walrus.jpg"`
	PatchID    quilt.PatchID `json:"quiltPatchId" doc:"Patch ID, which identifies the file without the quilt."`
	Range      [2]int        `json:"range" example:"[1,208]" doc:"Range of its columns; the end is exclusive."`
}

func newQuiltStoreResult(r *client.QuiltResult) QuiltStoreResult {
	out := QuiltStoreResult{Blob: jsonform.New(r.StoreResult), Files: make([]StoredQuiltBlob, 0, len(r.Patches))}
	for _, p := range r.Patches {
		out.Files = append(out.Files, StoredQuiltBlob{p.Identifier, p.ID, [2]int{p.Start, p.End}})
	}
	return out
}

// formSchema describes the form of a quilt. A form without files is refused.
func formSchema() *huma.Schema {
	one := 1
	return &huma.Schema{
		Type: huma.TypeObject, MinProperties: &one,
		AdditionalProperties: &huma.Schema{Type: huma.TypeString, Format: "binary"},
		Properties: map[string]*huma.Schema{metadataField: {
			Type: huma.TypeString, Description: "Tags of the files, as JSON. A form with only this field gets a 400.",
		}},
	}
}

func (g *Gateway) addQuiltStore(api huma.API) {
	type in struct {
		StoreParams
		Version string `query:"quilt_version" enum:"V1,v1,1" example:"V1" doc:"V1, the only version."`
	}
	result := api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[QuiltStoreResult](), true, "")
	rs := storeResponses(api)
	rs["200"].Content["application/json"].Schema = result
	register(g, api, storing, huma.Operation{
		OperationID: "storeQuilt", Method: http.MethodPut, Path: "/v1/quilts", Tags: []string{tagStore},
		Summary:     "Store files together as one blob",
		Description: `Each field of the form is a file; the name of the field becomes its identifier. The field _metadata may set tags: [{"identifier":"a.txt","tags":{"k":"v"}}].`,
		Security:    []map[string][]string{{}, {publisherToken: {}}},
		RequestBody: &huma.RequestBody{
			Description: "The files: at least one. A form without files, or a body that is not a form, gets a 400.",
			Required:    true,
			Content: map[string]*huma.MediaType{"multipart/form-data": {
				Schema:  formSchema(),
				Example: map[string]any{"a.txt": "content of a.txt"},
			}},
		},
		Responses: rs,
	}, func(w http.ResponseWriter, r *http.Request, in *in) error {
		opt, err := in.options(&g.cfg.Store)
		if err != nil {
			return err
		}
		return g.storeQuilt(w, r, opt)
	})
}

func (g *Gateway) storeQuilt(w http.ResponseWriter, r *http.Request, opt client.StoreOptions) (err error) {
	if r.ContentLength > g.cfg.Store.MaxQuiltBody {
		return bodyTooLarge(g.cfg.Store.MaxQuiltBody)
	}
	r.Body = io.NopCloser(g.body(w, r, g.cfg.Store.MaxQuiltBody))
	form, err := r.MultipartReader()
	if err != nil {
		return malformed("the body is not a form: send the files of a quilt as multipart/form-data")
	}
	com, err := g.client.Committee(r.Context())
	if err != nil {
		return err
	}
	f, err := tempFile(g.cfg.Store.TempDir)
	if err != nil {
		return fmt.Errorf("receive a quilt: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	files, err := readForm(form, f, quilt.MaxFiles(com.Params()))
	if err != nil {
		return err
	}
	q, err := quilt.New(com.Params(), files)
	if err != nil {
		return err
	}
	if err := g.limits.CheckSize(r.Context(), int64(q.Size())); err != nil {
		return err
	}
	ctx, done := g.storing(r.Context())
	defer done()
	var res *client.QuiltResult
	_, err = g.pay(ctx, opt, func(opt client.StoreOptions) (*client.StoreResult, error) {
		if res, err = g.client.StoreQuilt(ctx, files, opt); res == nil {
			return nil, err
		}
		return res.StoreResult, err
	})
	if invalid := markedInvalid(err); invalid != nil {
		guard.NoteInvalid(r.Context())
		return writeStatus(w, http.StatusInternalServerError,
			QuiltStoreResult{Blob: jsonform.StoreResult{MarkedInvalid: invalid}, Files: []StoredQuiltBlob{}})
	}
	if err != nil {
		return err
	}
	g.tellOwner(w.Header(), res.StoreResult, opt)
	return writeJSON(w, newQuiltStoreResult(res))
}

// readForm reads the files of a form into f, one after the other.
func readForm(form *multipart.Reader, f *os.File, most int) ([]quilt.File, error) {
	var files []quilt.File
	var tags map[string]map[string]string
	seen := map[string]bool{}
	for off := int64(0); ; {
		part, err := form.NextRawPart()
		if err == io.EOF { //nolint:errorlint // as documented
			break
		}
		if err != nil {
			return nil, badForm(err)
		}
		name := formName(part)
		switch {
		case seen[name]:
			return nil, malformed(fmt.Sprintf("the form has the field %q twice", shorten(name)))
		case name == metadataField:
			if tags, err = readTags(part); err != nil {
				return nil, err
			}
		case len(files) == most:
			return nil, malformed(fmt.Sprintf("too many files: a quilt has at most %d in this network", most))
		default:
			if err := quilt.ValidIdentifier(name); err != nil {
				return nil, malformed(shorten(err.Error()))
			}
			n, err := io.Copy(f, part)
			if err != nil {
				return nil, badForm(err)
			}
			files = append(files, quilt.File{Identifier: name, Size: n, Content: io.NewSectionReader(f, off, n)})
			off += n
		}
		seen[name] = true
	}
	if len(files) == 0 {
		return nil, malformed("the form has no files: add at least one")
	}
	for i := range files {
		files[i].Tags = tags[files[i].Identifier]
	}
	return files, nil
}

// formName returns a field's name. Browsers and similar clients percent-encode the three characters that a quoted name
// cannot contain, and leave all others as they are, even the percent sign (WHATWG, form-data).
func formName(part *multipart.Part) string { return unescapeName.Replace(part.FormName()) }

var unescapeName = strings.NewReplacer("%22", `"`, "%0D", "\r", "%0A", "\n")

// badForm tells a malformed form from a body that did not arrive, or a full disk.
func badForm(err error) error {
	var tooLarge *http.MaxBytesError
	var disk *os.PathError
	var known *failure
	if errors.As(err, &tooLarge) || errors.As(err, &disk) || errors.As(err, &known) || errors.Is(err, errStalledBody) {
		return err
	}
	return malformed("the form is malformed: " + shorten(err.Error()))
}

// readTags reads the tags of files, by identifier, from the metadata field.
func readTags(r io.Reader) (map[string]map[string]string, error) {
	raw, err := io.ReadAll(io.LimitReader(r, maxMetadata+1))
	if err != nil {
		return nil, badForm(err)
	}
	if len(raw) > maxMetadata {
		return nil, bodyTooLarge(maxMetadata)
	}
	var list []struct {
		Identifier string                     `json:"identifier"`
		Tags       map[string]json.RawMessage `json:"tags"`
	}
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, malformed(metadataField + ": " + shorten(err.Error()))
	}
	all := make(map[string]map[string]string, len(list))
	for _, one := range list {
		if _, twice := all[one.Identifier]; twice {
			return nil, malformed(fmt.Sprintf("%s: two entries have the identifier %q", metadataField, shorten(one.Identifier)))
		}
		tags := make(map[string]string, len(one.Tags))
		for k, v := range one.Tags {
			tags[k] = tagText(v)
		}
		all[one.Identifier] = tags
	}
	return all, nil
}

// tagText converts a tag to text: a value that is no string becomes its JSON.
func tagText(raw json.RawMessage) string {
	var s string
	if bytes.HasPrefix(raw, []byte{'"'}) && json.Unmarshal(raw, &s) == nil {
		return s
	}
	var compact bytes.Buffer
	_ = json.Compact(&compact, raw) // valid, because it was decoded before
	return compact.String()
}
