package archtest

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// unit says which other units a unit may import, besides itself.
type unit struct {
	imports []string
	tests   []string // only from its _test.go files, besides imports
}

// module says who may import what begins with a prefix.
type module struct {
	units           []string
	tests           []string // only from their _test.go files, besides units
	everywhere      bool
	except          []string // takes away from everywhere
	testsEverywhere bool
}

// file holds the facts about a Go file that the check uses.
type file struct {
	name    string // slash-separated, from the root of the module
	test    bool
	imports []string
}

// table is the rules; the real one is made of units, modules and standard.
type table struct {
	module            string // path of the project's own module
	units             map[string]unit
	modules, standard map[string]module
}

// check returns the violations, one line each, sorted and without repetition.
func (t table) check(files []file) []string {
	var out []string
	for _, f := range files {
		dir := path.Dir(f.name)
		own := t.unitOf(dir)
		if own == "" {
			out = append(out, fmt.Sprintf("%s: not a package of the design: add it to the table or remove it", dir))
			continue
		}
		for _, imp := range f.imports {
			if why := t.checkImport(own, f.test, imp); why != "" {
				out = append(out, fmt.Sprintf("%s: imports %s: %s", f.name, imp, why))
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// checkImport says why unit own may not import imp, or nothing.
func (t table) checkImport(own string, test bool, imp string) string {
	if imp == t.module {
		return t.checkOwn(own, test, top)
	}
	if rel, ours := strings.CutPrefix(imp, t.module+"/"); ours {
		return t.checkOwn(own, test, rel)
	}
	if first, _, _ := strings.Cut(imp, "/"); !strings.Contains(first, ".") {
		rule, listed := longest(t.standard, imp)
		if test || !listed || rule.allows(own, false) {
			return ""
		}
		return own + " does without it"
	}
	rule, listed := longest(t.modules, imp)
	switch {
	case !listed:
		return "a dependency that the table does not know"
	case !rule.allows(own, test):
		return "the dependency is not for " + own
	}
	return ""
}

// checkOwn is checkImport for a package of the project.
func (t table) checkOwn(own string, test bool, rel string) string {
	target := t.unitOf(rel)
	u := t.units[own]
	switch {
	case target == "":
		return "not a package of the design"
	case target == own:
		return ""
	case target != rel:
		return "it belongs to " + target + " alone"
	case slices.Contains(u.imports, target), test && slices.Contains(u.tests, target):
		return ""
	}
	return own + " may not import " + target
}

// top is the package at the top of the module. No package below it is part of it.
const top = "."

// unitOf is the unit that the package in dir belongs to, or nothing.
func (t table) unitOf(dir string) string {
	if _, ok := t.units[top]; ok && dir == top {
		return top
	}
	for ; dir != "."; dir = path.Dir(dir) {
		if _, ok := t.units[dir]; ok {
			return dir
		}
	}
	return ""
}

func (m module) allows(own string, test bool) bool {
	return m.everywhere && !slices.Contains(m.except, own) || slices.Contains(m.units, own) ||
		test && (m.testsEverywhere || slices.Contains(m.tests, own))
}

// longest finds the rule whose prefix, of whole path elements, matches imp best.
func longest(rules map[string]module, imp string) (module, bool) {
	for prefix := imp; prefix != "."; prefix = path.Dir(prefix) {
		if rule, ok := rules[prefix]; ok {
			return rule, true
		}
	}
	return module{}, false
}
