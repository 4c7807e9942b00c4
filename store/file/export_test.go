package file

import "testing"

// OpenAs is Open in a process of another user.
func OpenAs(dir string, uid int) (*Store, error) { return open(dir, Options{}, uid) }

// BeforeRename has fn called each time a value is written and not yet in place.
func (s *Store) BeforeRename(fn func()) { s.dir.beforeRename = fn }

// WriteRaw makes the file of a value with another content.
func (s *Store) WriteRaw(t *testing.T, tenant, id, name string, content []byte) {
	t.Helper()
	if err := s.dir.replace(tenantPrefix(tenant)+digest(tenant, id, name)+valueSuffix, "raw"+temporarySuffix, content); err != nil {
		t.Fatal(err)
	}
}
