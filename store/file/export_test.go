package file

// OpenAs is Open in a process of another user.
func OpenAs(dir string, uid int) (*Store, error) { return open(dir, Options{}, uid) }

// BeforeRename has fn called each time a value is written and not yet in place.
func (s *Store) BeforeRename(fn func()) { s.dir.beforeRename = fn }
