package enlace

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func drainAll(t *testing.T, d *spillDirectory) []string {
	t.Helper()
	var all []string
	if _, err := d.drain(func(data []byte) error { all = append(all, string(data)); return nil }); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestSpill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "made", "when needed")
	d := openSpill(path, 100)
	if got := drainAll(t, d); len(got) != 0 {
		t.Errorf("an empty directory gives %q", got)
	}
	for name, data := range map[string]string{"b": "two", "a": "one\nline", "c": ""} {
		if err := d.write(name, []byte(data)); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.write("d", []byte(strings.Repeat("x", 100))); !errors.Is(err, errSpillFull) {
		t.Errorf("more than fits: %v", err)
	}
	if err := openSpill(path, 100).write("d", []byte(strings.Repeat("x", 90))); !errors.Is(err, errSpillFull) {
		t.Errorf("another process does not count what is there: %v", err)
	}
	failed := errors.New("failed")
	taken := 0
	n, err := d.drain(func([]byte) error {
		if taken++; taken == 2 {
			return failed
		}
		return nil
	})
	if n != 1 || !errors.Is(err, failed) {
		t.Errorf("it drained %d, %v", n, err)
	}
	if got := drainAll(t, openSpill(path, 100)); !slices.Equal(got, []string{"two", ""}) {
		t.Errorf("after a failure it gives %q", got)
	}
	if err := d.write("e", []byte(strings.Repeat("x", 90))); err != nil {
		t.Errorf("what was drained still counts: %v", err)
	}
}

func TestDamagedSpill(t *testing.T) {
	path := t.TempDir()
	d := openSpill(path, 1000)
	for _, name := range []string{"a", "b"} {
		if err := d.write(name, []byte("data of "+name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(path, "a.spill"), []byte("00000000\ndata of a"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(path, "c.new"), []byte("cut"), 0o600); err != nil {
		t.Fatal(err)
	}
	var all []string
	n, err := d.drain(func(data []byte) error { all = append(all, string(data)); return nil })
	if n != 1 || err == nil || !slices.Equal(all, []string{"data of b"}) {
		t.Errorf("it drained %d, %q, %v", n, all, err)
	}
	if _, err := os.Stat(filepath.Join(path, "a.spill")); err != nil {
		t.Errorf("the damaged file is gone: %v", err)
	}
}
