package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/enlace-go/enlace"
)

// Backup writes a copy of the whole file as it is at one moment, while everything
// goes on: readers and writers are not held up. The copy is complete when Backup
// returns nil, and does not exist otherwise; it is readable by its owner only and
// compacted. Open it like any other file. It returns [enlace.ErrConflict] if there is
// a file at path already.
//
// The credentials in the copy are sealed, as they are in the file: keep the keys of
// Config.Keys elsewhere, without them the copy opens nothing.
func (s *Store) Backup(ctx context.Context, path string) error {
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("sqlite: backup: %w: there is a file of that name", enlace.ErrConflict)
	}
	partial, err := os.CreateTemp(filepath.Dir(path), ".enlace-backup-*") // readable by its owner only
	if err != nil {
		return failed("backup", err)
	}
	defer os.Remove(partial.Name()) // without effect after the rename
	defer partial.Close()
	// SQLite writes into an empty file only, and takes the mode of the one it finds.
	if _, err := s.host.ExecContext(ctx, `VACUUM INTO ?`, partial.Name()); err != nil {
		return failed("backup", err)
	}
	if err := partial.Sync(); err != nil {
		return failed("backup", err)
	}
	// A link, unlike a rename, does not replace what somebody else has put there.
	if err := os.Link(partial.Name(), path); err != nil {
		return failed("backup", err)
	}
	return failed("backup", syncDirectory(filepath.Dir(path)))
}

// syncDirectory makes a new name durable, where the system can do that.
func syncDirectory(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	_ = dir.Sync() // not every system syncs directories
	return nil
}
