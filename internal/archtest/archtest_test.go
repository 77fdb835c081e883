package archtest

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const ownModule = "walrus"

// TestImports checks every Go file of the module, whatever its build tags.
func TestImports(t *testing.T) {
	files := readModule(t, "../..")
	real := table{ownModule, units, modules, standard}
	for _, violation := range real.check(files) {
		t.Error(violation)
	}
	if len(files) < 10 || !slices.ContainsFunc(files, func(f file) bool { return strings.HasPrefix(f.name, "shards/") }) {
		t.Errorf("only %d files were found: the check looked in the wrong place", len(files))
	}
}

// readModule parses the imports of all Go files below root, as the go command would find them.
func readModule(t *testing.T, root string) []file {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil || !strings.HasPrefix(string(b), "module "+ownModule+"\n") {
		t.Fatalf("read go.mod of module %s: %v", ownModule, err)
	}
	return readSources(t, root)
}

// readSources parses the imports of all Go files below root.
func readSources(t *testing.T, root string) []file {
	t.Helper()
	files, err := listSources(root)
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func listSources(root string) (files []file, err error) {
	err = filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		base := d.Name()
		ignored := rel != "." && (strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_"))
		if d.IsDir() {
			if ignored || base == "testdata" || base == "vendor" || base == "node_modules" {
				return fs.SkipDir
			}
			if _, err := os.Stat(filepath.Join(name, "go.mod")); err == nil && rel != "." {
				return fs.SkipDir // a generator with a module of its own
			}
			return nil
		}
		if ignored || !strings.HasSuffix(base, ".go") {
			return nil
		}
		f, err := readFile(name)
		if err != nil {
			return err
		}
		f.name = filepath.ToSlash(rel)
		files = append(files, f)
		return nil
	})
	return files, err
}

func readFile(name string) (file, error) {
	parsed, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
	if err != nil {
		return file{}, err
	}
	f := file{test: strings.HasSuffix(name, "_test.go")}
	for _, spec := range parsed.Imports {
		imp, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return file{}, err
		}
		f.imports = append(f.imports, imp)
	}
	return f, nil
}

// TestCheck breaks each rule in a small project of its own.
func TestCheck(t *testing.T) {
	small := table{
		module: "m",
		units: map[string]unit{
			"pure": {}, "left": {imports: []string{"pure"}},
			"right": {imports: []string{"pure"}, tests: []string{"internal/kit"}},
			"top":   {imports: []string{"left", "right"}}, "internal/kit": {imports: []string{"left"}},
			"cmd/m": {imports: []string{"top"}},
		},
		modules: map[string]module{
			"x.org/lib":       {units: []string{"left"}, tests: []string{"right"}},
			"x.org/lib/words": {everywhere: true, except: []string{"pure"}},
			"x.org/check":     {testsEverywhere: true},
		},
		standard: map[string]module{"net": {everywhere: true, except: []string{"pure"}}, "log": {},
			"log/slog": {everywhere: true}},
	}
	for _, tt := range []struct {
		name, imp string
		want      string // part of the violation; "" for none
	}{
		{"left/a.go", "m/pure", ""},
		{"left/a.go", "m/left/part", ""},
		{"left/part/a.go", "m/left", ""},
		{"left/part/a.go", "m/pure", ""},
		{"top/a.go", "m/left", ""},
		{"cmd/m/main.go", "m/top", ""},
		{"left/a.go", "m/right", "left may not import right"},
		{"left/part/a.go", "m/right", "left may not import right"},
		{"pure/a.go", "m/left", "pure may not import left"},
		{"cmd/m/main.go", "m/left", "cmd/m may not import left"},
		{"cmd/m/a_test.go", "m/left", "cmd/m may not import left"},
		{"top/a.go", "m/left/part", "belongs to left alone"},
		{"top/a.go", "m/cmd", "not a package of the design"},
		{"util/a.go", "fmt", "util: not a package of the design"},
		{"internal/a.go", "fmt", "internal: not a package of the design"},
		{"a.go", "fmt", "not a package of the design"},
		{"right/a_test.go", "m/internal/kit", ""},
		{"right/a.go", "m/internal/kit", "right may not import internal/kit"},
		{"left/a_test.go", "m/internal/kit", "left may not import internal/kit"},
		{"left/a.go", "x.org/lib/deep", ""},
		{"right/a.go", "x.org/lib", "not for right"},
		{"right/a_test.go", "x.org/lib", ""},
		{"top/a_test.go", "x.org/lib", "not for top"},
		{"right/a.go", "x.org/lib/words", ""},
		{"pure/a.go", "x.org/lib/words", "not for pure"},
		{"pure/a_test.go", "x.org/check", ""},
		{"pure/a.go", "x.org/check", "not for pure"},
		{"left/a.go", "x.org/library", "does not know"},
		{"left/a_test.go", "y.org/new", "does not know"},
		{"left/a.go", "net/http", ""},
		{"pure/a.go", "net/http", "pure does without it"},
		{"pure/a_test.go", "net/http", ""},
		{"pure/a.go", "network", ""},
		{"left/a.go", "log", "left does without it"},
		{"left/a.go", "log/slog", ""},
	} {
		f := file{name: tt.name, test: strings.HasSuffix(tt.name, "_test.go"), imports: []string{tt.imp}}
		got := small.check([]file{f, f})
		switch {
		case tt.want == "" && len(got) > 0:
			t.Errorf("%s importing %s: %q", tt.name, tt.imp, got)
		case tt.want != "" && (len(got) != 1 || !strings.Contains(got[0], tt.want)):
			t.Errorf("%s importing %s: %q, want one violation with %q", tt.name, tt.imp, got, tt.want)
		}
	}
}

// TestLight: a program that links the package at the top links no storage node, no consensus and no database.
func TestLight(t *testing.T) {
	seen := map[string]bool{}
	var visit func(name string)
	visit = func(name string) {
		if seen[name] {
			return
		}
		seen[name] = true
		for _, imp := range units[name].imports {
			visit(imp)
		}
	}
	visit(top)
	for _, heavy := range []string{"store", "node", "gateway", "ledger/engine", "compose"} {
		if seen[heavy] {
			t.Errorf("the package at the top of the module would link %s", heavy)
		}
	}
}

// TestTable keeps the table itself in order: what it names exists in it, and arrows point one way.
func TestTable(t *testing.T) {
	var visit func(name string, path []string)
	done := map[string]bool{}
	visit = func(name string, path []string) {
		if slices.Contains(path, name) {
			t.Fatalf("import cycle in the table: %s", strings.Join(append(path, name), " → "))
		}
		if done[name] {
			return
		}
		for _, imp := range units[name].imports {
			visit(imp, append(path, name))
		}
		done[name] = true
	}
	known := func(where string, names []string) {
		for _, name := range names {
			if _, ok := units[name]; !ok {
				t.Errorf("%s: there is no unit %q", where, name)
			}
		}
	}
	for name, u := range units {
		visit(name, nil)
		known(name, u.imports)
		known(name, u.tests)
	}
	for _, rules := range []map[string]module{modules, standard} {
		for name, m := range rules {
			known(name, m.units)
			known(name, m.tests)
			known(name, m.except)
		}
	}
	for _, a := range siblings {
		for _, b := range siblings {
			if slices.Contains(units[a].imports, b) {
				t.Errorf("the siblings %s and %s must not know each other", a, b)
			}
		}
	}
}
