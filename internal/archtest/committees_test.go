package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestCommitteesByEpoch: one file knows that members do not change from epoch to epoch. Everybody else asks it for the
// committee of an epoch, also in tests.
func TestCommitteesByEpoch(t *testing.T) {
	const knows, declares = "ledger/committees.go", "certs/"
	known := false
	for _, f := range readModule(t, root) {
		b, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(f.name)))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(b), "ForEpoch") || strings.HasPrefix(f.name, declares) {
			continue
		}
		fset := token.NewFileSet()
		parsed, err := parser.ParseFile(fset, f.name, b, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			switch sel, ok := n.(*ast.SelectorExpr); {
			case !ok || sel.Sel.Name != "ForEpoch":
			case f.name == knows:
				known = true
			default:
				t.Errorf("%s calls ForEpoch: ask certs.Committees for the committee of the epoch", fset.Position(sel.Pos()))
			}
			return true
		})
	}
	if !known {
		t.Errorf("%s does not call ForEpoch: the check looked in the wrong place", knows)
	}
}
