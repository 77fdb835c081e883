package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"walrus/client/jsonform"
	"walrus/config"
)

// argument is an argument of a command, from its usage line.
type argument struct {
	field  string
	amount bool
	many   bool
}

// commandForm describes a command's JSON form.
type commandForm struct {
	path    string // without walrus
	flags   map[string]*pflag.Flag
	args    []argument
	aliases map[string]string
	neutral []string
	ignored []string
}

func newCommandForm(c *cobra.Command) *commandForm {
	_, path, _ := strings.Cut(c.CommandPath(), " ")
	f := &commandForm{path: path, flags: map[string]*pflag.Flag{}, args: usageArguments(c.Use),
		neutral: neutralFields[path]}
	c.LocalNonPersistentFlags().VisitAll(func(flag *pflag.Flag) {
		if flag.Name != "help" {
			f.flags[camelCase(flag.Name)] = flag
		}
	})
	f.flags["timeout"] = c.Root().PersistentFlags().Lookup("timeout")
	f.aliases = originalFields[path]
	return f
}

// globalForm describes the JSON form of the flags of all commands.
func globalForm(root *cobra.Command) *commandForm {
	f := &commandForm{flags: map[string]*pflag.Flag{}, neutral: neutralFields[""], ignored: []string{"gasBudget"}}
	root.PersistentFlags().VisitAll(func(flag *pflag.Flag) {
		if flag.Name != "json" && flag.Name != "help" {
			f.flags[camelCase(flag.Name)] = flag
		}
	})
	return f
}

// usageArguments lists the arguments in a usage line, such as "fund OBJECT_ID AMOUNT" or "new [FILE] --epoch TIME".
func usageArguments(use string) (list []argument) {
	ofFlag := true // the command's name is no argument either
	for word := range strings.FieldsSeq(use) {
		word = strings.Trim(word, "[]()|")
		switch {
		case strings.HasPrefix(word, "-"):
			ofFlag = true
		case ofFlag || word == "":
			ofFlag = word == ""
		default:
			word, many := strings.CutSuffix(word, "...")
			name := argumentFields[word]
			if name == "" {
				name = camelCase(strings.ToLower(strings.ReplaceAll(word, "_", "-")))
			}
			list = append(list, argument{name, word == "AMOUNT", many})
		}
	}
	return list
}

// arguments turns the fields of a request into flags and arguments of the command line.
func (f *commandForm) arguments(fields map[string]any) (argv []string, err error) {
	given := map[string][]string{} // by argument
	for _, field := range slices.Sorted(maps.Keys(fields)) {
		value := fields[field]
		name := field
		if of := f.aliases[field]; of != "" {
			name = of
		}
		flag := f.flags[name]
		at := slices.IndexFunc(f.args, func(a argument) bool { return a.field == name })
		var texts []string
		switch {
		case flag == nil && at < 0 && !f.accepts(field, value):
			return nil, f.unknown(field)
		case value == nil || flag == nil && at < 0:
			if field == "strictConsistencyCheck" && value == true {
				argv = append(argv, "--consistency=strict")
			}
			continue
		case flag != nil && field == "tag": // the original gives key and value separately
			if pair, err := stringList(value); err == nil && len(pair) == 2 {
				argv, given["tag"] = append(argv, "--tag="+pair[0]), pair[1:]
				continue
			}
			fallthrough
		case flag != nil:
			texts, err = flagTexts(flag, value)
			for _, text := range texts {
				argv = append(argv, "--"+flag.Name+"="+text)
			}
		case given[name] != nil:
			err = errors.New("given twice, once under another name")
		default:
			given[name], err = f.args[at].texts(value)
		}
		if err != nil {
			return nil, fmt.Errorf("field %q: %w", field, err)
		}
	}
	if len(f.args) > 0 {
		argv = append(argv, "--")
	}
	var lacks string
	for _, a := range f.args {
		if len(given[a.field]) == 0 {
			lacks = a.field
		} else if lacks != "" && f.flags[lacks] == nil {
			return nil, fmt.Errorf("field %q is missing", lacks)
		}
		argv = append(argv, given[a.field]...)
	}
	return append(argv, given["tag"]...), nil
}

// accepts reports whether a field without a use here may be given.
func (f *commandForm) accepts(field string, value any) bool {
	if slices.Contains(f.ignored, field) {
		return true
	}
	if !slices.Contains(f.neutral, field) {
		return false
	}
	switch v := value.(type) {
	case nil:
		return true
	case bool:
		return !v || field == "strictConsistencyCheck" || field == "shared" // detected without the field
	case string:
		return v == "" || field == "encodingType" && v == jsonform.EncodingType
	case []any:
		return len(v) == 0
	}
	return false
}

func (f *commandForm) unknown(field string) error {
	names := slices.Collect(maps.Keys(f.flags))
	for _, a := range f.args {
		if f.flags[a.field] == nil {
			names = append(names, a.field)
		}
	}
	slices.Sort(names)
	if slices.Contains(f.neutral, field) {
		return fmt.Errorf("field %q of the original has no counterpart here: leave it out; known are %s", field,
			strings.Join(names, ", "))
	}
	return unknownName("field", field, names)
}

func unknownName(what, name string, names []string) error {
	if near := config.Nearest(name, names); near != "" {
		return fmt.Errorf("unknown %s %q: did you mean %q? known are %s", what, name, near, strings.Join(names, ", "))
	}
	return fmt.Errorf("unknown %s %q: known are %s", what, name, strings.Join(names, ", "))
}

// texts returns the texts of an argument: one, or all in the list.
func (a *argument) texts(value any) ([]string, error) {
	if n, ok := value.(json.Number); ok && a.amount {
		return []string{n.String() + "FROST"}, nil
	}
	if pairs, ok := value.(map[string]any); ok && a.field == argumentFields["KEY=VALUE"] {
		return pairTexts(pairs)
	}
	list, err := stringList(value)
	if err == nil && len(list) > 1 && !a.many {
		err = fmt.Errorf("%d values: the command takes one", len(list))
	}
	return list, err
}

// flagTexts returns the values for a flag, one after the other.
func flagTexts(flag *pflag.Flag, value any) ([]string, error) {
	switch flag.Value.Type() {
	case "bool":
		if b, ok := value.(bool); ok {
			return []string{fmt.Sprint(b)}, nil
		}
		return nil, errors.New("want true or false")
	case "stringArray":
		return stringList(value)
	case "stringSlice":
		list, err := stringList(value)
		for i := range list {
			list[i] = quoted(list[i])
		}
		return list, err
	case "stringToString":
		pairs, ok := value.(map[string]any)
		if !ok {
			return nil, errors.New(`want an object, such as {"name":"value"}`)
		}
		list, err := pairTexts(pairs)
		for i := range list {
			list[i] = quoted(list[i])
		}
		return list, err
	case "string", "duration":
		if s, ok := value.(string); ok {
			return []string{s}, nil
		}
		return nil, errors.New("want a string")
	case (&amount{}).Type():
		if n, ok := value.(json.Number); ok {
			return []string{n.String() + "FROST"}, nil
		}
	}
	switch v := value.(type) {
	case json.Number:
		return []string{v.String()}, nil
	case string:
		return []string{v}, nil
	}
	return nil, errors.New("want a number or a string")
}

// stringList accepts one text or a list of texts. Objects in it become JSON, for flags that take JSON.
func stringList(value any) (list []string, err error) {
	if one, ok := value.(string); ok {
		return []string{one}, nil
	}
	items, ok := value.([]any)
	if !ok {
		return nil, errors.New("want a string, or a list of strings")
	}
	for _, item := range items {
		switch v := item.(type) {
		case string:
			list = append(list, v)
		case map[string]any:
			text, err := json.Marshal(v)
			if err != nil {
				return nil, err
			}
			list = append(list, string(text))
		default:
			return nil, errors.New("want a list of strings")
		}
	}
	return list, nil
}

// pairTexts returns the members of an object as key=value.
func pairTexts(pairs map[string]any) (list []string, err error) {
	for _, key := range slices.Sorted(maps.Keys(pairs)) {
		text, ok := pairs[key].(string)
		if !ok {
			return nil, fmt.Errorf("%q: want a string", key)
		}
		list = append(list, key+"="+text)
	}
	return list, nil
}

// quoted returns text as one field of a comma-separated line, as such flags parse it.
func quoted(text string) string {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	_ = w.Write([]string{text}) // writing to memory does not fail
	w.Flush()
	return strings.TrimSuffix(b.String(), "\n")
}
