package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// decode fills out, a pointer to a struct with yaml tags, from one YAML document. Keys missing in the file keep their
// values. Errors are one line that names file, line and key. The library's own strict mode reports Go type names and
// suggests nothing; hence this walk. It supports the types in our files: text, true/false, lists of text, and mappings
// of these.
func decode(file string, raw []byte, out any) error {
	dec := yaml.NewDecoder(bytes.NewReader(raw))
	var doc yaml.Node
	err := dec.Decode(&doc)
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: the file is empty", file)
	}
	if err != nil {
		return fmt.Errorf("%s: %s", file, strings.Join(strings.Fields(strings.TrimPrefix(err.Error(), "yaml: ")), " "))
	}
	if !errors.Is(dec.Decode(new(yaml.Node)), io.EOF) {
		return fmt.Errorf("%s: more than one document: remove everything from the second --- on", file)
	}
	return decodeMapping(file, "", doc.Content[0], reflect.ValueOf(out).Elem())
}

func decodeMapping(file, prefix string, n *yaml.Node, out reflect.Value) error {
	if n.Kind != yaml.MappingNode {
		return fmt.Errorf("%s:%d: %swant lines of key: value", file, n.Line, at(prefix))
	}
	fields := make(map[string]reflect.Value)
	for _, f := range reflect.VisibleFields(out.Type()) { // those of embedded structures, too
		if tag := f.Tag.Get("yaml"); tag != "" && tag != "-" {
			fields[tag] = out.FieldByIndex(f.Index)
		}
	}
	seen := make(map[string]bool)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		field, ok := fields[key.Value]
		if !ok {
			return fmt.Errorf("%s:%d: unknown key %q%s", file, key.Line, prefix+key.Value, suggest(key.Value, fields))
		}
		if seen[key.Value] {
			return fmt.Errorf("%s:%d: duplicate key %q: keep one", file, key.Line, prefix+key.Value)
		}
		seen[key.Value] = true
		if err := decodeValue(file, prefix+key.Value, value, field); err != nil {
			return err
		}
	}
	return nil
}

func decodeValue(file, key string, n *yaml.Node, out reflect.Value) error {
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return nil
	}
	if out.Kind() == reflect.Struct {
		if n.Kind == yaml.ScalarNode && out.Type().Field(0).Tag.Get("yaml") == "path" { // plain text is the path
			out = out.Field(0)
			return decodeValue(file, key, n, out)
		}
		return decodeMapping(file, key+".", n, out)
	}
	want := map[reflect.Kind]yaml.Kind{reflect.Slice: yaml.SequenceNode}[out.Kind()]
	if want == 0 {
		want = yaml.ScalarNode
	}
	// The kind is checked here, aliases included, so the library decodes only flat values.
	ok := n.Kind == want
	for _, item := range n.Content {
		ok = ok && item.Kind == yaml.ScalarNode && item.Tag != "!!null"
	}
	if !ok || n.Decode(out.Addr().Interface()) != nil {
		return fmt.Errorf("%s:%d: key %q: want %s", file, n.Line, key, wanted(out.Type()))
	}
	return nil
}

func wanted(t reflect.Type) string {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Slice:
		return "a list, such as [one, two]"
	}
	return "text"
}

func at(prefix string) string {
	if prefix == "" {
		return ""
	}
	return fmt.Sprintf("key %q: ", strings.TrimSuffix(prefix, "."))
}

// suggest names the closest known key, or all keys if none is close.
func suggest(key string, fields map[string]reflect.Value) string {
	names := slices.Sorted(maps.Keys(fields))
	if best := Nearest(key, names); best != "" {
		return fmt.Sprintf(": did you mean %q?", best)
	}
	return ": known keys are " + strings.Join(names, ", ")
}
