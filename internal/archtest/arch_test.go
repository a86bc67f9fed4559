package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// moduleRoot is where go.mod stands, seen from this folder.
const moduleRoot = "../.."

func TestHouseRules(t *testing.T) {
	pkgs := parseModule(t)
	if len(pkgs) < 3 {
		t.Fatalf("found %d packages below %s: the test looks at the wrong place", len(pkgs), moduleRoot)
	}
	for _, p := range pkgs {
		for _, problem := range p.check(rooms()) {
			t.Error(problem)
		}
	}
}

func TestTopLevel(t *testing.T) {
	entries, err := os.ReadDir(moduleRoot)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !topLevel()[e.Name()] {
			t.Errorf("%s: stands at the top of the repository without having been asked for", e.Name())
		}
	}
}

// A table that allows a climb would be obeyed by everybody.
func TestTableStandsOnItsFloors(t *testing.T) {
	table := rooms()
	for name, r := range table {
		for _, m := range r.mayImport {
			if m == everything {
				continue
			}
			below, known := table[m]
			if !known || below.floor >= r.floor {
				t.Errorf("%s may import %s, which does not stand on a lower floor", name, m)
			}
		}
	}
}

// Each rule must bite: one small package for each way to break one.
func TestRulesBite(t *testing.T) {
	long := strings.Repeat("\n", maxFileLines)
	for _, c := range []struct{ name, dir, file, src, want string }{
		{"clean", "builder", "a.go", "// Package b is.\npackage b\nimport _ \"seedtree/manifests\"\nvar errX = 1\nfunc f() { errX := 2; errX = 3; _ = errX }", ""},
		{"unknown room", "pkg/util", "a.go", "// Package u is.\npackage u", "not in the table"},
		{"sibling", "builder", "a.go", "// Package b is.\npackage b\nimport _ \"seedtree/gitsource\"", "must not import gitsource"},
		{"upstairs", "manifests", "a.go", "// Package m is.\npackage m\nimport _ \"seedtree/apply\"", "must not import apply"},
		{"test room in product", "cmd/seedtree", "a.go", "// Package m is.\npackage main\nimport _ \"seedtree/internal/testkit\"", "must not import internal/testkit"},
		{"test room in test", "cmd/seedtree", "a_test.go", "// Package m is.\npackage main\nimport _ \"seedtree/internal/testkit\"", ""},
		{"hidden library", "apply", "a.go", "// Package a is.\npackage a\nimport _ \"github.com/go-git/go-git/v5/plumbing\"", "another room hides"},
		{"longest prefix", "builder", "a.go", "// Package b is.\npackage b\nimport _ \"github.com/go-git/go-git/v5/plumbing/format/gitignore\"", ""},
		{"no comment", "builder", "a.go", "package b", "no package comment"},
		{"long file", "builder", "a.go", "// Package b is.\npackage b\n" + long, "more than 400"},
		{"long func", "builder", "a.go", "// Package b is.\npackage b\nfunc f() {" + strings.Repeat("\n", maxFuncLines) + "}", "more than 60"},
		{"test with a table", "builder", "a_test.go", "// Package b is.\npackage b\nfunc f() {" + strings.Repeat("\n", maxFuncLines) + "}", ""},
		{"long test", "builder", "a_test.go", "// Package b is.\npackage b\nfunc f() {" + strings.Repeat("\n", maxTestLines) + "}", "more than 120"},
		{"init", "builder", "a.go", "// Package b is.\npackage b\nfunc init() {}", "func init"},
		{"wide interface", "builder", "a.go", "// Package b is.\npackage b\ntype I interface { A(); B(); C(); D(); E(); F() }", "an interface of 6"},
		{"assertion", "builder", "a.go", "// Package b is.\npackage b\nvar _ = 1\nfunc f() { _ = 2 }", ""},
		{"empty var", "builder", "a.go", "// Package b is.\npackage b\nvar n int", "only be useful by changing"},
		{"written var", "builder", "a.go", "// Package b is.\npackage b\nvar m = map[int]int{}\nfunc f() { m[1] = 2 }", "writes to the package variable m"},
		{"counted var", "builder", "a.go", "// Package b is.\npackage b\nvar n = 1\nfunc f() { n++ }", "writes to the package variable n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			fset := token.NewFileSet()
			f, err := parser.ParseFile(fset, c.file, c.src, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			p := &pkg{dir: c.dir, fset: fset, files: map[string]*ast.File{c.file: f}}
			got := strings.Join(p.check(rooms()), "\n")
			if c.want == "" && got != "" || !strings.Contains(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// parseModule reads every Go file of the module, sorted by folder.
func parseModule(t *testing.T) []*pkg {
	t.Helper()
	byDir := map[string]*pkg{}
	err := filepath.WalkDir(moduleRoot, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() && path != moduleRoot && (strings.HasPrefix(name, ".") || name == "testdata" || name == "bin") {
			return fs.SkipDir
		}
		if d.IsDir() || filepath.Ext(name) != ".go" {
			return nil
		}
		dir, err := filepath.Rel(moduleRoot, filepath.Dir(path))
		if err != nil {
			return err
		}
		dir = filepath.ToSlash(dir)
		p := byDir[dir]
		if p == nil {
			p = &pkg{dir: dir, fset: token.NewFileSet(), files: map[string]*ast.File{}}
			byDir[dir] = p
		}
		p.files[name], err = parser.ParseFile(p.fset, path, nil, parser.ParseComments)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var out []*pkg
	for _, p := range byDir {
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b *pkg) int { return strings.Compare(a.dir, b.dir) })
	return out
}
