package pinapi

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"walrus/pin"
	"walrus/shards"
)

// TestDocument: answers of every operation have the form that the document states, which names the codec and each path.
func TestDocument(t *testing.T) {
	s := serve(t)
	code, _, text := s.ask("GET", documentPath, "", "")
	if code != 200 || !strings.Contains(text, fmt.Sprintf("codec 0x%x", pin.Codec)) {
		t.Fatalf("the document: %d %.300s", code, text)
	}
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft4) // OpenAPI 3.0 extends it
	compiler.AssertFormat()
	if err := compiler.AddResource("api.json", doc); err != nil {
		t.Fatal(err)
	}
	valid := func(schema, body string) {
		t.Helper()
		c, err := compiler.Compile("api.json#/components/schemas/" + schema)
		if err != nil {
			t.Fatal(err)
		}
		v, err := jsonschema.UnmarshalJSON(strings.NewReader(body))
		if err == nil {
			err = c.Validate(v)
		}
		if err != nil {
			t.Errorf("%s: %v\n%s", schema, err, body)
		}
	}
	var first statusForm
	for i, name := range []string{"", "named", ""} {
		_, _, body := s.ask("POST", "/pins", fmt.Sprintf(`{"cid":%q,"name":%q}`, pin.CID(shards.BlobID{byte(i + 1)}), name))
		valid("PinStatus", body)
		if err := json.Unmarshal([]byte(body), &first); err != nil {
			t.Fatal(err)
		}
	}
	s.pins.set(first.ID, func(r *pin.Request) { r.Status, r.Rows, r.Have = pin.Pinned, 3, 3 })
	for _, tt := range []struct{ schema, method, path string }{
		{"PinStatus", "GET", "/pins/" + first.ID}, {"PinResults", "GET", "/pins"}, {"PinResults", "GET", "/pins?status=queued"},
		{"PinResults", "GET", "/pins?name=nobody"}, {"Failure", "GET", "/pins/x"}, {"Failure", "GET", "/pins?limit=0"}, {"Failure", "PUT", "/pins"},
	} {
		_, _, body := s.ask(tt.method, tt.path, "")
		valid(tt.schema, body)
	}
	_, _, body := s.ask("GET", "/pins", "", "")
	valid("Failure", body)
}
