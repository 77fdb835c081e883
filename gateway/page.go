package gateway

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"maps"
	"path"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"walrus/gateway/pages"
)

//go:embed assets/api.html
var apiPage string

// Types of the page that shows the document. The page needs no script and loads nothing from elsewhere.
type (
	pageGroup struct {
		Name       string
		Operations []pageOperation
	}
	pageOperation struct {
		ID, Method, Path, Summary, Description string
		Params                                 []pageParam
		Bodies                                 []string
		BodyDescription                        string
		Responses                              []pageResponse
	}
	pageParam struct {
		Name, In, Type, Description string
		Example                     any
		Required                    bool
	}
	pageResponse struct {
		Status, Description string
		Bodies              []pageBody
	}
	pageBody   struct{ Type, Schema string }
	pageSchema struct {
		Name, Description string
		Fields            []pageField
	}
	pageField struct{ Name, Type, Schema, Description string }
	page      struct {
		Title, Version, Description, OpenAPI string
		Groups                               []pageGroup
		Schemas                              []pageSchema
	}
)

func documentPage(doc *huma.OpenAPI, cfg *pages.Config) ([]byte, error) {
	t, err := template.New("api").Parse(apiPage)
	if err != nil {
		return nil, fmt.Errorf("API page: %w", err)
	}
	p := page{Title: doc.Info.Title, Version: doc.Info.Version, Description: doc.Info.Description, OpenAPI: doc.OpenAPI}
	for _, tag := range doc.Tags {
		group := pageGroup{Name: tag.Name}
		for _, route := range slices.Sorted(maps.Keys(doc.Paths)) {
			for _, op := range operations(doc.Paths[route]) {
				if slices.Contains(op.Tags, tag.Name) {
					group.Operations = append(group.Operations, newPageOperation(op, route))
				}
			}
		}
		p.Groups = append(p.Groups, group)
	}
	schemas := doc.Components.Schemas.Map()
	for _, name := range slices.Sorted(maps.Keys(schemas)) {
		p.Schemas = append(p.Schemas, newPageSchema(name, schemas[name]))
	}
	var out bytes.Buffer
	if err := t.Execute(&out, p); err != nil {
		return nil, fmt.Errorf("API page: %w", err)
	}
	return pages.Frame("API", "api", cfg, template.HTML(out.String())) //nolint:gosec // made by a template of ours
}

// operations lists the operations of a path in display order.
func operations(item *huma.PathItem) []*huma.Operation {
	all := []*huma.Operation{item.Get, item.Head, item.Put, item.Post, item.Patch, item.Delete, item.Options}
	return slices.DeleteFunc(all, func(op *huma.Operation) bool { return op == nil })
}

func newPageOperation(op *huma.Operation, route string) pageOperation {
	p := pageOperation{ID: op.OperationID, Method: op.Method, Path: route, Summary: op.Summary,
		Description: op.Description}
	for _, param := range op.Parameters {
		p.Params = append(p.Params, pageParam{
			Name: param.Name, In: param.In, Type: param.Schema.Type, Description: param.Description, Example: param.Example,
			Required: param.Required,
		})
	}
	if op.RequestBody != nil {
		p.BodyDescription, p.Bodies = op.RequestBody.Description, slices.Sorted(maps.Keys(op.RequestBody.Content))
	}
	for _, status := range slices.Sorted(maps.Keys(op.Responses)) {
		res := pageResponse{Status: status, Description: op.Responses[status].Description}
		for _, kind := range slices.Sorted(maps.Keys(op.Responses[status].Content)) {
			body := pageBody{Type: kind}
			if s := op.Responses[status].Content[kind].Schema; s != nil {
				body.Schema = refName(s)
			}
			res.Bodies = append(res.Bodies, body)
		}
		p.Responses = append(p.Responses, res)
	}
	return p
}

func newPageSchema(name string, s *huma.Schema) pageSchema {
	p := pageSchema{Name: name, Description: s.Description}
	for _, field := range slices.Sorted(maps.Keys(s.Properties)) {
		f := s.Properties[field]
		row := pageField{Name: field, Type: f.Type, Description: f.Description, Schema: refName(f)}
		if f.Type == huma.TypeArray && f.Items != nil {
			row.Schema, row.Type = refName(f.Items), "list of "+f.Items.Type+refName(f.Items)
		} else if row.Schema != "" {
			row.Type = row.Schema
		}
		p.Fields = append(p.Fields, row)
	}
	return p
}

// refName returns the name of the schema that s refers to; empty if s is no reference.
func refName(s *huma.Schema) string {
	if s.Ref == "" {
		return ""
	}
	return path.Base(s.Ref)
}
