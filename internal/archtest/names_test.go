package archtest

import (
	"fmt"
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

const root = "../.."

// span is code in a page, between backticks on one line.
var span = regexp.MustCompile("`([^`\n]+)`")

// reference is a Go file, or what it declares: dir/file.go, dir/file.go:Func, dir/file.go:Type.Method.
var reference = regexp.MustCompile(`^([\w./-]+\.go)(?::([\w.]+))?$`)

// TestNames checks that every Go file and name in the pages exists, and that each step of the walks names one.
func TestNames(t *testing.T) {
	pages, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	declared := map[string]map[string]bool{} // by file
	for _, page := range append(pages, filepath.Join(root, "README.md"), filepath.Join(root, "CONTRIBUTING.md")) {
		for _, m := range span.FindAllStringSubmatch(readPage(t, page), -1) {
			ref := reference.FindStringSubmatch(m[1])
			if ref == nil || ref[2] == "" && !strings.Contains(ref[1], "/") { // main.go and the like are no path of ours
				continue
			}
			if declared[ref[1]] == nil {
				names, err := declarations(filepath.Join(root, ref[1]))
				if err != nil {
					t.Errorf("%s: `%s`: %v", filepath.Base(page), m[1], err)
					continue
				}
				declared[ref[1]] = names
			}
			if ref[2] != "" && !declared[ref[1]][ref[2]] {
				t.Errorf("%s: %s does not declare %s", filepath.Base(page), ref[1], ref[2])
			}
		}
	}
}

// TestWalks checks that a reader can follow each step of a walk into the code.
func TestWalks(t *testing.T) {
	walks := 0
	for _, section := range strings.Split(readPage(t, filepath.Join(root, "docs/architecture.md")), "\n## ")[1:] {
		steps := regexp.MustCompile(`(?m)^\d+\. `).Split(section, -1)
		if len(steps) == 1 {
			continue
		}
		walks++
		title, _, _ := strings.Cut(section, "\n")
		for i, step := range steps[1:] {
			named := slices.ContainsFunc(span.FindAllStringSubmatch(step, -1), func(m []string) bool {
				ref := reference.FindStringSubmatch(m[1])
				return ref != nil && ref[2] != ""
			})
			if !named {
				t.Errorf("architecture.md: %s: step %d names no function", title, i+1)
			}
		}
	}
	if walks < 7 {
		t.Errorf("architecture.md has %d walks: want store, read, quilt, HTTP, repair, transaction, epoch", walks)
	}
}

// TestProtocolPage compares docs/protocol.md with the messages and constants it states.
func TestProtocolPage(t *testing.T) {
	page := readPage(t, filepath.Join(root, "docs/protocol.md"))
	_, rest, _ := strings.Cut(page, "```proto\n")
	stated, _, _ := strings.Cut(rest, "```")
	var schema []string
	for line := range strings.Lines(readPage(t, filepath.Join(root, "p2p/internal/wire/wire.proto"))) {
		if !strings.HasPrefix(strings.TrimSpace(line), "//") {
			schema = append(schema, line)
		}
	}
	whole := strings.Join(schema, "")
	if _, whole, ok := strings.Cut(whole, "message Request"); !ok || words(stated) != words("message Request"+whole) {
		t.Error("protocol.md: the messages differ from wire.proto without its comments")
	}

	row := regexp.MustCompile("(?m)^\\|[^|\n]*\\| ([^|\n]+) \\| `([a-z0-9/]+)\\.(\\w+)` \\|$")
	rows := row.FindAllStringSubmatch(page, -1)
	c := constants{}
	for _, m := range rows {
		want, err := c.value(m[2], m[3])
		if err != nil {
			t.Errorf("protocol.md: %s.%s: %v", m[2], m[3], err)
			continue
		}
		stated, err := statedValue(m[1])
		if err != nil {
			t.Errorf("protocol.md: %s.%s: %v", m[2], m[3], err)
		} else if !constant.Compare(stated, token.EQL, want) {
			t.Errorf("protocol.md: %s.%s is %s, not %s", m[2], m[3], want, m[1])
		}
	}
	if len(rows) < 70 {
		t.Errorf("protocol.md states %d constants: the table was not found", len(rows))
	}
	var dir packageConsts
	if dir, _ = c.load("ledger/light"); len(dir) == 0 {
		t.Fatal("no constants in ledger/light")
	}
	for name := range dir {
		if v, err := c.value("ledger/light", name); strings.HasSuffix(name, "Protocol") && err == nil &&
			!strings.Contains(page, "\n| `"+constant.StringVal(v)+"` |") {
			t.Errorf("protocol.md has no row for protocol %s", v)
		}
	}
}

func readPage(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func words(s string) string { return strings.Join(strings.Fields(s), " ") }

// declarations are the functions, methods (Type.Method), types, constants and variables of a Go file.
func declarations(file string) (map[string]bool, error) {
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	names := map[string]bool{}
	for _, d := range parsed.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			name := d.Name.Name
			if d.Recv != nil {
				name = receiver(d.Recv.List[0].Type) + "." + name
			}
			names[name] = true
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch spec := spec.(type) {
				case *ast.TypeSpec:
					names[spec.Name.Name] = true
				case *ast.ValueSpec:
					for _, n := range spec.Names {
						names[n.Name] = true
					}
				}
			}
		}
	}
	return names, nil
}

func receiver(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return receiver(e.X)
	case *ast.IndexExpr: // one type parameter
		return receiver(e.X)
	case *ast.IndexListExpr: // several
		return receiver(e.X)
	case *ast.Ident:
		return e.Name
	}
	return ""
}

// statedValue reads a value as people write it: 65,536 bytes; 10 s; a word in backticks.
func statedValue(s string) (constant.Value, error) {
	if text, ok := strings.CutPrefix(s, "`"); ok {
		return constant.MakeString(strings.TrimSuffix(text, "`")), nil
	}
	number, unit, _ := strings.Cut(strings.ReplaceAll(s, ",", ""), " ")
	v, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		return nil, err
	}
	factor, ok := map[string]time.Duration{"": 1, "bytes": 1, "ms": time.Millisecond, "s": time.Second, "min": time.Minute,
		"h": time.Hour}[unit]
	if !ok {
		return nil, fmt.Errorf("unit %q: use none, bytes, ms, s, min or h", unit)
	}
	return constant.MakeInt64(v * int64(factor)), nil
}

// packageConsts are the expressions of a package's constants.
type packageConsts map[string]ast.Expr

// constants by folder, read as they are asked for.
type constants map[string]packageConsts

func (c constants) load(dir string) (packageConsts, error) {
	if known := c[dir]; known != nil {
		return known, nil
	}
	files, err := filepath.Glob(filepath.Join(root, dir, "*.go"))
	if err != nil {
		return nil, err
	}
	found := packageConsts{}
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		for _, d := range parsed.Decls {
			gen, ok := d.(*ast.GenDecl)
			if !ok || gen.Tok != token.CONST {
				continue
			}
			for _, spec := range gen.Specs {
				value := spec.(*ast.ValueSpec)
				for i, n := range value.Names {
					if i < len(value.Values) {
						found[n.Name] = value.Values[i]
					}
				}
			}
		}
	}
	c[dir] = found
	return found, nil
}

func (c constants) value(dir, name string) (constant.Value, error) {
	known, err := c.load(dir)
	if err != nil {
		return nil, err
	}
	e := known[name]
	if e == nil {
		return nil, fmt.Errorf("there is no constant %s in %s", name, dir)
	}
	return c.eval(dir, e)
}

// foreign are the packages whose constants others are made of, by name.
var foreign = map[string]string{"certs": "certs", "ledger": "ledger", "wire": "p2p/internal/wire",
	"treehash": "shards/treehash"}

func (c constants) eval(dir string, e ast.Expr) (constant.Value, error) {
	switch e := e.(type) {
	case *ast.BasicLit:
		return constant.MakeFromLiteral(e.Value, e.Kind, 0), nil
	case *ast.ParenExpr:
		return c.eval(dir, e.X)
	case *ast.Ident:
		return c.value(dir, e.Name)
	case *ast.UnaryExpr:
		x, err := c.eval(dir, e.X)
		if err != nil {
			return nil, err
		}
		return constant.UnaryOp(e.Op, x, 0), nil
	case *ast.SelectorExpr:
		of := e.X.(*ast.Ident).Name
		if unit, ok := map[string]time.Duration{"Millisecond": time.Millisecond, "Second": time.Second, "Minute": time.Minute,
			"Hour": time.Hour}[e.Sel.Name]; ok && of == "time" {
			return constant.MakeInt64(int64(unit)), nil
		}
		if foreign[of] == "" {
			return nil, fmt.Errorf("cannot evaluate %s.%s", of, e.Sel.Name)
		}
		return c.value(path.Clean(foreign[of]), e.Sel.Name)
	case *ast.BinaryExpr:
		x, err := c.eval(dir, e.X)
		if err != nil {
			return nil, err
		}
		y, err := c.eval(dir, e.Y)
		if err != nil {
			return nil, err
		}
		if e.Op == token.SHL {
			n, _ := constant.Uint64Val(y)
			return constant.Shift(x, e.Op, uint(n)), nil
		}
		return constant.BinaryOp(x, e.Op, y), nil
	}
	return nil, fmt.Errorf("cannot evaluate a %T", e)
}
