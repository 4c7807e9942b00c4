package sheettest

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// What a comment must have: the endpoint (or method, as Bitrix24 says), or another
// function that has it; the section of the sheet; and the errors.
var comment = []struct {
	what string
	form *regexp.Regexp
}{
	{"endpoint", regexp.MustCompile(`\b(GET|POST|PUT|PATCH|DELETE)\b|\b(crm|event|app|feature)\.\w|….\w|\[[A-Z]\w*(\.\w+)?\]`)},
	{"section of the sheet", regexp.MustCompile(`(?i)\bsheet\b`)},
	{"errors", regexp.MustCompile(`\bErr[A-Z]|[Ee]rror`)},
}

// Comments fails unless the comment of every exported function and method of the
// package in the working directory that takes a Conn names endpoint, source and
// errors. Those that implement an interface of enlace have their contract there.
func Comments(t *testing.T) {
	t.Helper()
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	names = slices.DeleteFunc(names, func(name string) bool { return strings.HasSuffix(name, "_test.go") })
	set := token.NewFileSet()
	var files []*ast.File
	for _, name := range names {
		file, err := parser.ParseFile(set, name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	documentation, err := doc.NewFromFiles(set, files, "example.org/adapter")
	if err != nil {
		t.Fatal(err)
	}
	functions := documentation.Funcs
	for _, kind := range documentation.Types {
		functions = append(functions, slices.Concat(kind.Funcs, kind.Methods)...)
	}
	checked := 0
	for _, f := range functions {
		if !takesConn(f.Decl) || strings.Contains(f.Doc, "implements enlace.") {
			continue
		}
		checked++
		for _, need := range comment {
			if !need.form.MatchString(f.Doc) {
				t.Errorf("the comment of %s %s names no %s", f.Recv, f.Name, need.what)
			}
		}
	}
	if checked == 0 {
		t.Error("no function takes a Conn")
	}
}

func takesConn(f *ast.FuncDecl) bool {
	for _, parameter := range f.Type.Params.List {
		pointer, ok := parameter.Type.(*ast.StarExpr)
		if !ok {
			continue
		}
		if of, ok := pointer.X.(*ast.SelectorExpr); ok && of.Sel.Name == "Conn" {
			return true
		}
	}
	return false
}
