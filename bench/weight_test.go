package bench

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestWeight builds a program that uses net/http and one that uses enlace too,
// and compares what is linked and how large they are, stripped.
func TestWeight(t *testing.T) {
	const (
		maxPackages = 20
		maxBytes    = 4 << 20
	)
	bare := buildWith(t, "", "")
	with := buildWith(t, "github.com/enlace-go/enlace", "enlace.New, (*enlace.Service).Create, (*enlace.Service).Sync, "+
		"(*enlace.Service).BeginAuth, (*enlace.Service).CompleteAuth, (*enlace.Service).TestConnection")
	packages := 0
	for p := range with.packages {
		if !bare.packages[p] {
			packages++
		}
	}
	t.Logf("importing enlace adds %d packages and %.1f MB", packages, float64(with.bytes-bare.bytes)/1e6)
	if packages > maxPackages {
		t.Errorf("%d packages over net/http, want at most %d", packages, maxPackages)
	}
	if with.bytes-bare.bytes > maxBytes {
		t.Errorf("%d bytes over net/http, want at most %d", with.bytes-bare.bytes, maxBytes)
	}
}

type program struct {
	packages map[string]bool
	bytes    int64
}

// buildWith builds a program that keeps the client and the server of net/http and
// everything reachable from the symbols.
func buildWith(t *testing.T, importPath, symbols string) program {
	// Inside this module, so that the workspace or its go.mod finds the library.
	dir, err := os.MkdirTemp(".", "weight")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	source := "package main\n\nimport (\n\t\"fmt\"\n\t\"net/http\"\n"
	if importPath != "" {
		source += "\t" + `"` + importPath + `"` + "\n"
	}
	source += ")\n\nfunc main() { fmt.Println(http.ListenAndServe, http.Get, " + symbols + ") }\n"
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	list := output(t, "go", "list", "-deps", "./"+dir)
	p := program{packages: map[string]bool{}}
	for _, name := range strings.Fields(list) {
		if !strings.Contains(name, "/bench/") {
			p.packages[name] = true
		}
	}
	binary := filepath.Join(t.TempDir(), "program")
	output(t, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", binary, "./"+dir)
	info, err := os.Stat(binary)
	if err != nil {
		t.Fatal(err)
	}
	p.bytes = info.Size()
	return p
}

func output(t *testing.T, name string, args ...string) string {
	out, err := exec.Command(name, args...).Output()
	if err != nil {
		if exit, ok := err.(*exec.ExitError); ok {
			t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, exit.Stderr)
		}
		t.Fatal(err)
	}
	return string(out)
}
