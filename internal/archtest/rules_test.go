package archtest

import (
	"fmt"
	"go/ast"
	"go/token"
	"strconv"
	"strings"
)

// The sizes above which a file, a function or an interface is two of them.
const (
	maxFileLines  = 400
	maxFuncLines  = 60
	maxTestLines  = 120 // a test may carry a table of cases
	maxIfaceSize  = 5
	modulePrefix  = "seedtree/"
	testkitFolder = "internal/testkit"
)

// pkg is one folder of Go files.
type pkg struct {
	dir   string // relative to the module, slash separated
	fset  *token.FileSet
	files map[string]*ast.File // by file name
}

func isTest(file string) bool { return strings.HasSuffix(file, "_test.go") }

// check returns every rule the package breaks.
func (p *pkg) check(table map[string]room) []string {
	r, known := table[p.dir]
	if !known {
		return []string{p.dir + ": this package is not in the table of rooms"}
	}
	var out []string
	documented := false
	for name, f := range p.files {
		documented = documented || f.Doc != nil
		at := p.dir + "/" + name
		if n := p.fset.File(f.Pos()).LineCount(); n > maxFileLines {
			out = append(out, fmt.Sprintf("%s: %d lines, more than %d", at, n, maxFileLines))
		}
		out = append(out, checkImports(at, p.dir, r, f, table)...)
		out = append(out, p.checkDecls(at, f)...)
	}
	if !documented {
		out = append(out, p.dir+": no package comment")
	}
	return append(out, p.checkGlobals()...)
}

func checkImports(at, dir string, r room, f *ast.File, table map[string]room) []string {
	var out []string
	for _, spec := range f.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			out = append(out, at+": "+err.Error())
			continue
		}
		ours, isOurs := strings.CutPrefix(path, modulePrefix)
		switch {
		case !isOurs:
			if !isTest(at) && !foreignAllowed(dir, path) {
				out = append(out, at+": imports "+path+", which another room hides")
			}
		case isTest(at) && strings.HasPrefix(ours, "cmd/"), !isTest(at) && !allowed(r, ours, table):
			out = append(out, at+": must not import "+ours)
		}
	}
	return out
}

func allowed(r room, path string, table map[string]room) bool {
	target, known := table[path]
	if !known || target.floor >= r.floor || target.testsOnly && !r.testsOnly {
		return false
	}
	for _, m := range r.mayImport {
		if m == path || m == everything {
			return true
		}
	}
	return false
}

// foreignAllowed looks for the longest listed prefix of an import path.
func foreignAllowed(dir, path string) bool {
	if dir == "internal/deps" || dir == testkitFolder {
		return true
	}
	best, who := "", []string(nil)
	for prefix, owners := range foreign() {
		if strings.HasPrefix(path, prefix) && len(prefix) > len(best) {
			best, who = prefix, owners
		}
	}
	if best == "" {
		return true
	}
	for _, w := range who {
		if w == dir {
			return true
		}
	}
	return false
}

// checkDecls looks at the sizes of functions and interfaces, and for init.
func (p *pkg) checkDecls(at string, f *ast.File) []string {
	var out []string
	line := func(pos token.Pos) int { return p.fset.Position(pos).Line }
	for _, d := range f.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok {
			continue
		}
		limit := maxFuncLines
		if isTest(at) {
			limit = maxTestLines
		}
		if n := line(fn.End()) - line(fn.Pos()) + 1; n > limit {
			out = append(out, fmt.Sprintf("%s:%d: func %s has %d lines, more than %d", at, line(fn.Pos()), fn.Name.Name, n, limit))
		}
		if fn.Name.Name == "init" && fn.Recv == nil {
			out = append(out, fmt.Sprintf("%s:%d: func init runs without being asked", at, line(fn.Pos())))
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		it, ok := n.(*ast.InterfaceType)
		if !ok {
			return true
		}
		if size := it.Methods.NumFields(); size > maxIfaceSize {
			out = append(out, fmt.Sprintf("%s:%d: an interface of %d methods, more than %d", at, line(it.Pos()), size, maxIfaceSize))
		}
		return true
	})
	return out
}

// checkGlobals finds package variables that could change: those declared
// without a value (unless embedded) and those that some function writes to.
func (p *pkg) checkGlobals() []string {
	vars := map[string]bool{}
	var out []string
	for name, f := range p.files {
		if isTest(name) {
			continue
		}
		for _, d := range f.Decls {
			gen, ok := d.(*ast.GenDecl)
			if !ok || gen.Tok != token.VAR {
				continue
			}
			for _, s := range gen.Specs {
				v := s.(*ast.ValueSpec)
				embedded := strings.Contains(docText(gen.Doc)+docText(v.Doc), "go:embed")
				for _, id := range v.Names {
					if id.Name == "_" {
						continue
					}
					vars[id.Name] = true
					if len(v.Values) == 0 && !embedded {
						out = append(out, fmt.Sprintf("%s/%s: var %s can only be useful by changing", p.dir, name, id.Name))
					}
				}
			}
		}
	}
	for name, f := range p.files {
		if !isTest(name) {
			out = append(out, p.writes(p.dir+"/"+name, f, vars)...)
		}
	}
	return out
}

func docText(g *ast.CommentGroup) string {
	if g == nil {
		return ""
	}
	var b strings.Builder
	for _, c := range g.List {
		b.WriteString(c.Text)
	}
	return b.String()
}

// writes finds assignments to package variables. The parser resolves names
// inside a file; a name it left open belongs to another file of the package.
func (p *pkg) writes(at string, f *ast.File, vars map[string]bool) []string {
	var out []string
	target := func(e ast.Expr) {
		id := root(e)
		if id == nil || !vars[id.Name] {
			return
		}
		if id.Obj != nil && f.Scope.Lookup(id.Name) != id.Obj {
			return // a local of the same name
		}
		out = append(out, fmt.Sprintf("%s:%d: writes to the package variable %s", at, p.fset.Position(e.Pos()).Line, id.Name))
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch s := n.(type) {
		case *ast.AssignStmt:
			if s.Tok != token.DEFINE {
				for _, l := range s.Lhs {
					target(l)
				}
			}
		case *ast.IncDecStmt:
			target(s.X)
		}
		return true
	})
	return out
}

// root is the variable that an assignment to e changes.
func root(e ast.Expr) *ast.Ident {
	for {
		switch x := e.(type) {
		case *ast.Ident:
			return x
		case *ast.SelectorExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.ParenExpr:
			e = x.X
		case *ast.StarExpr:
			e = x.X
		default:
			return nil
		}
	}
}
