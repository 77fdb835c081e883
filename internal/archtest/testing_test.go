package archtest

import (
	"go/ast"
	"go/build/constraint"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// source is a parsed file and its path from the root of the module.
type source struct {
	*ast.File
	*token.FileSet
	name string
	test bool
}

// sources parses all Go files, but those of this package.
var sources = sync.OnceValues(func() (all []source, err error) {
	files, err := listSources("../..")
	for _, f := range files {
		if err != nil || strings.HasPrefix(f.name, "internal/archtest/") {
			continue
		}
		s := source{FileSet: token.NewFileSet(), name: f.name, test: f.test}
		s.File, err = parser.ParseFile(s.FileSet, filepath.Join("../..", f.name), nil,
			parser.ParseComments|parser.SkipObjectResolution)
		all = append(all, s)
	}
	return all, err
})

// TestShort keeps scripts/test.sh honest. The race detector's pass runs with -short; the script then repeats, in full
// and without the detector, each test in whose body it reads testing.Short(). So nothing else may ask whether tests
// are short, or whether the race detector is on.
func TestShort(t *testing.T) {
	all, err := sources()
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, f := range all {
		for _, c := range f.Comments {
			for _, line := range c.List {
				if x, err := constraint.Parse(line.Text); err == nil && onlyWith(x, "race") {
					t.Errorf("%s is built with or without the race detector only: ask testing.Short() in a test instead", f.name)
				}
			}
		}
		for _, decl := range f.Decls {
			for _, at := range uses(decl, "testing", "Short") {
				found++
				if fn, ok := decl.(*ast.FuncDecl); !f.test || !ok || fn.Recv != nil || !isTest(fn.Name.Name) {
					t.Errorf("%s: testing.Short() outside of a test's body: scripts/test.sh does not find the test that is shortened",
						f.Position(at))
				}
			}
		}
	}
	if found < 10 {
		t.Errorf("only %d calls of testing.Short() found: the check looked in the wrong place", found)
	}
}

// bubbles are files without a bubble of their own, whose functions are called in the bubbles of others.
var bubbles = []string{"ledger/engine/nodes_test.go", "internal/swarmtest/swarm_test.go"}

// TestSleeps: tests sleep in virtual time only. Bubbles are made in the test files of the packages that use them, where
// scripts/test.sh looks for them.
func TestSleeps(t *testing.T) {
	all, err := sources()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		virtual := slices.Contains(bubbles, f.name)
		for _, imp := range f.Imports {
			if imp.Path.Value == `"testing/synctest"` {
				virtual = true
				if !f.test {
					t.Errorf("%s imports testing/synctest: scripts/test.sh does not find the packages whose tests use it", f.name)
				}
			}
		}
		for _, decl := range f.Decls {
			for _, at := range uses(decl, "time", "Sleep") {
				if f.test && !virtual {
					t.Errorf("%s: a test sleeps in real time: wait for what it wants to see, or use testing/synctest", f.Position(at))
				}
			}
		}
	}
}

func isTest(name string) bool {
	return strings.HasPrefix(name, "Test") || strings.HasPrefix(name, "Fuzz")
}

// uses returns the positions of pkg.name in a declaration.
func uses(decl ast.Decl, pkg, name string) (at []token.Pos) {
	ast.Inspect(decl, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok && s.Sel.Name == name {
			if x, ok := s.X.(*ast.Ident); ok && x.Name == pkg {
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

// TestTimed: the packages that are given the time never look at a clock.
func TestTimed(t *testing.T) {
	all, err := sources()
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, f := range all {
		if f.test || !slices.Contains(timed, filepath.ToSlash(filepath.Dir(f.name))) {
			continue
		}
		found++
		for _, decl := range f.Decls {
			for _, name := range []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick"} {
				for _, at := range uses(decl, "time", name) {
					t.Errorf("%s: time.%s in a package that is given the time", f.Position(at), name)
				}
			}
		}
	}
	if found < 10 {
		t.Errorf("only %d files looked at", found)
	}
}
