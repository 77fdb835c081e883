package archtest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// Sizes that production code keeps.
const (
	maxMethods   = 40 // of a type, declared for it
	maxFields    = 20 // of a struct
	maxInterface = 7  // methods of an interface, those of embedded ones included
	maxLines     = 90 // of a function; 70 is the aim
	maxColumns   = 120
	maxRiddles   = 4 // comments of the whole module that begin like "X is what"
)

// larger lists what may exceed a size, by "folder.Name", each with its reason.
var larger = map[string]string{
	"ledger/light.Source": "composed of Blocks, States and Snapshots, of 4 methods at most: a node answers all its protocols or none",
	"p2p.Backend":         "composed of BlobBackend, CheckBackend and NodeBackend, of 7, 2 and 5 methods: a host serves both protocols or none",
}

// riddle finds comments that begin with "X is what", "X are who" and their kind.
var riddle = regexp.MustCompile(`^[\w.'()]+( [\w.']+)? (is|are|was|were) (what|who|whom|how|where|when)\b`)

// directive finds comments that are no sentences: for the tools, or addresses.
var directive = regexp.MustCompile(`^//(go:|nolint|line )|https?://\S{60}`)

// survey gathers the sizes of the module.
type survey struct {
	module, root string
	fset         *token.FileSet
	methods      map[string]int                // declared for a type
	interfaces   map[string]*declaredInterface // by folder.Name
	tooLarge     []string
	found        map[string]bool // of larger
	riddles      []string
}

type declaredInterface struct {
	methods  int
	embedded []string // interfaces of this module, by folder.Name
}

// TestSizes measures every Go file of the module that is written by hand.
func TestSizes(t *testing.T) {
	s := &survey{module: ownModule, root: "../..", fset: token.NewFileSet(),
		methods: map[string]int{}, interfaces: map[string]*declaredInterface{}, found: map[string]bool{}}
	for _, f := range readModule(t, s.root) {
		if err := s.read(f); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.methods)) {
		s.check(name, s.methods[name], maxMethods, "methods")
	}
	for _, name := range slices.Sorted(maps.Keys(s.interfaces)) {
		s.check(name, s.width(name), maxInterface, "methods in an interface")
	}
	for _, line := range s.tooLarge {
		t.Error(line)
	}
	if n := len(s.riddles); n > maxRiddles {
		t.Errorf("%d comments begin like \"X is what\": name the thing, or open with a verb:\n%s", n,
			strings.Join(s.riddles, "\n"))
	}
	for name := range larger {
		if !s.found[name] {
			t.Errorf("%s is not too large any more: take it out of the list", name)
		}
	}
}

// check notes name if it is larger than it may be, and not excepted.
func (s *survey) check(name string, size, most int, what string) {
	if size <= most {
		return
	}
	if s.found[name] = true; larger[name] == "" {
		s.tooLarge = append(s.tooLarge, fmt.Sprintf("%s: %d %s: at most %d", name, size, what, most))
	}
}

// width counts the methods of an interface with those that it embeds.
func (s *survey) width(name string) int {
	i := s.interfaces[name]
	if i == nil {
		return 1 // of another module: its width is not ours
	}
	n := i.methods
	for _, e := range i.embedded {
		n += s.width(e)
	}
	return n
}

func (s *survey) read(f file) error {
	name := filepath.Join(s.root, filepath.FromSlash(f.name))
	src, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	parsed, err := parser.ParseFile(s.fset, name, src, parser.ParseComments)
	if err != nil || ast.IsGenerated(parsed) {
		return err
	}
	s.comments(f.name, parsed)
	if f.test {
		return nil
	}
	dir := path.Dir(f.name)
	for _, d := range parsed.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			id := d.Name.Name
			if d.Recv != nil {
				on := receiver(d.Recv.List[0].Type)
				s.methods[dir+"."+on]++
				id = on + "." + id
			}
			lines := s.fset.Position(d.End()).Line - s.fset.Position(d.Pos()).Line + 1
			s.check(dir+"."+id, lines, maxLines, "lines")
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				if typ, ok := spec.(*ast.TypeSpec); ok {
					s.declare(dir, parsed, typ)
				}
			}
		}
	}
	return nil
}

func (s *survey) declare(dir string, f *ast.File, typ *ast.TypeSpec) {
	name := dir + "." + typ.Name.Name
	switch x := typ.Type.(type) {
	case *ast.StructType:
		n := 0
		for _, field := range x.Fields.List {
			n += max(1, len(field.Names))
		}
		s.check(name, n, maxFields, "fields")
	case *ast.InterfaceType:
		i := &declaredInterface{}
		for _, m := range x.Methods.List {
			switch e := m.Type.(type) {
			case *ast.FuncType:
				i.methods += len(m.Names)
			case *ast.Ident:
				i.embedded = append(i.embedded, dir+"."+e.Name)
			case *ast.SelectorExpr:
				i.embedded = append(i.embedded, s.imported(f, receiver(e.X))+"."+e.Sel.Name)
			}
		}
		s.interfaces[name] = i
	}
}

// imported returns the folder of a package of this module by the name that a file uses, or else that name.
func (s *survey) imported(f *ast.File, as string) string {
	for _, spec := range f.Imports {
		rel, ours := strings.CutPrefix(strings.Trim(spec.Path.Value, `"`), s.module+"/")
		if ours && path.Base(rel) == as {
			return rel
		}
	}
	return as
}

// comments checks how wide comments are, and how they begin.
func (s *survey) comments(name string, f *ast.File) {
	for _, group := range f.Comments {
		for _, c := range group.List {
			for i, line := range strings.Split(c.Text, "\n") {
				at := s.fset.Position(c.Pos())
				columns := utf8.RuneCountInString(line)
				if i == 0 {
					columns += at.Column - 1
				}
				if columns > maxColumns && strings.TrimSpace(line) != "" && !directive.MatchString(line) {
					s.tooLarge = append(s.tooLarge, fmt.Sprintf("%s:%d: a comment of %d columns: at most %d", name, at.Line+i,
						columns, maxColumns))
				}
			}
		}
		if riddle.MatchString(group.Text()) {
			first, _, _ := strings.Cut(group.Text(), "\n")
			s.riddles = append(s.riddles, fmt.Sprintf("%s:%d: %s", name, s.fset.Position(group.Pos()).Line, first))
		}
	}
}

// TestRiddle tells comments that must be read twice from others.
func TestRiddle(t *testing.T) {
	for text, want := range map[string]bool{
		"Cost is what an operation costs, or did.":   true,
		"Peer.owner is who has primary sliver i.":    true,
		"These shards are how a node is chosen.":     true,
		"Cost breaks down the price of an operation": false,
		"It is known where the file lies.":           false,
	} {
		if got := riddle.MatchString(text); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}
