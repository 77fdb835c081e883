package archtest

import (
	"go/ast"
	"go/build/constraint"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// TestShort keeps scripts/test.sh honest. The race detector's pass runs with -short; the script then repeats, in full
// and without the detector, each test in whose body it reads testing.Short(). So nothing else may ask whether tests
// are short, or whether the race detector is on.
func TestShort(t *testing.T) {
	found := 0
	for _, f := range readModule(t, "../..") {
		fset := token.NewFileSet()
		parsed, err := parser.ParseFile(fset, filepath.Join("../..", f.name), nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(f.name, "internal/archtest/") {
			continue
		}
		for _, c := range parsed.Comments {
			for _, line := range c.List {
				if x, err := constraint.Parse(line.Text); err == nil && onlyWith(x, "race") {
					t.Errorf("%s is built with or without the race detector only: ask testing.Short() in a test instead", f.name)
				}
			}
		}
		for _, decl := range parsed.Decls {
			for _, at := range shortCalls(decl) {
				found++
				if fn, ok := decl.(*ast.FuncDecl); !f.test || !ok || fn.Recv != nil || !isTest(fn.Name.Name) {
					t.Errorf("%s: testing.Short() outside of a test's body: scripts/test.sh does not find the test that is shortened", fset.Position(at))
				}
			}
		}
	}
	if found < 10 {
		t.Errorf("only %d calls of testing.Short() found: the check looked in the wrong place", found)
	}
}

func isTest(name string) bool {
	return strings.HasPrefix(name, "Test") || strings.HasPrefix(name, "Fuzz")
}

// shortCalls returns the positions of testing.Short in a declaration.
func shortCalls(decl ast.Decl) (at []token.Pos) {
	ast.Inspect(decl, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok && s.Sel.Name == "Short" {
			if x, ok := s.X.(*ast.Ident); ok && x.Name == "testing" {
				at = append(at, s.Pos())
			}
		}
		return true
	})
	return at
}

// onlyWith reports whether a build constraint depends on a tag.
func onlyWith(x constraint.Expr, tag string) bool {
	with := func(on bool) bool {
		return x.Eval(func(s string) bool { return s == tag && on || s == "linux" || s == "amd64" || s == "unix" })
	}
	return with(true) != with(false)
}
