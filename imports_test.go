package enlace_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// goList returns the lines that go list prints.
func goList(t *testing.T, arguments ...string) []string {
	t.Helper()
	command := exec.CommandContext(t.Context(), "go", append([]string{"list"}, arguments...)...)
	var complaints strings.Builder
	command.Stderr = &complaints
	out, err := command.Output()
	if err != nil {
		t.Fatalf("go list %s: %v\n%s", strings.Join(arguments, " "), err, complaints.String())
	}
	return strings.Fields(string(out))
}

// Programs that import the library must not get the flags of package testing.
func TestProductionPackagesDoNotImportTesting(t *testing.T) {
	const module = "github.com/enlace-go/enlace"
	checked := 0
	// -e, since other packages of the module need not compile for this.
	for _, line := range goList(t, "-e", "-f", `{{.ImportPath}}:{{join .Imports ","}}`, "./...") {
		path, imports, _ := strings.Cut(line, ":")
		if name := path[strings.LastIndex(path, "/")+1:]; strings.HasSuffix(name, "test") {
			continue // fakes and suites, for tests only
		}
		checked++
		for _, imported := range strings.Split(imports, ",") {
			own := strings.HasPrefix(imported, module) && strings.HasSuffix(imported, "test")
			if own || imported == "testing" || strings.HasPrefix(imported, "testing/") || imported == "net/http/httptest" {
				t.Errorf("%s imports %s", path, imported)
			}
		}
	}
	if checked < 5 {
		t.Errorf("only %d packages were looked at", checked)
	}
	if deps := goList(t, "-deps", "."); slices.Contains(deps, "testing") {
		t.Error("the root package brings testing along")
	}
}

// Importing the library costs little beside what every program with net/http has.
func TestRootPackageIsLight(t *testing.T) {
	const most = 20
	base := goList(t, "-deps", "net/http")
	added := slices.DeleteFunc(goList(t, "-deps", "."), func(path string) bool { return slices.Contains(base, path) })
	if len(added) > most {
		t.Errorf("the root adds %d packages to net/http, more than %d:\n%s", len(added), most, strings.Join(added, "\n"))
	}
	for _, path := range added {
		if strings.Contains(path, "sqlite") || strings.Contains(path, "/store/") || strings.Contains(path, "/adapters/") {
			t.Errorf("the root imports %s", path)
		}
	}
}
