package file

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// directory is the only way to the files. Nothing outside of it is reached, and
// every file is checked before it is used.
type directory struct {
	root *os.Root
	uid  int // who must own everything

	// beforeRename, if set, is called when a value has been written and has not
	// taken its place yet. Tests die there.
	beforeRename func()
}

func openDirectory(path string, uid int) (*directory, error) {
	if err := makeDirectory(path); err != nil {
		return nil, err
	}
	// Whoever may replace a link could point the store at other files.
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if info.Mode().Type() != fs.ModeDir {
		return nil, fmt.Errorf("%s is not a directory; name a directory itself, not a link to one: %w", path, ErrUnsafe)
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	d := &directory{root: root, uid: uid}
	if err := d.accept(path); err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return d, nil
}

// makeDirectory makes the directory if it is missing, and syncs its parent.
func makeDirectory(path string) error {
	err := os.Mkdir(path, 0o700)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	parent, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer parent.Close()
	return parent.Sync()
}

// accept checks the directory that was opened, and that it can be synced.
func (d *directory) accept(path string) error {
	info, err := d.root.Stat(".")
	if err != nil {
		return err
	}
	if err := d.check(path, info, fs.ModeDir, 0o700); err != nil {
		return err
	}
	return d.sync()
}

// check refuses what is not of the kind, has more permissions than mode, or
// belongs to somebody else.
func (d *directory) check(name string, info fs.FileInfo, kind, mode fs.FileMode) error {
	owner, known := ownerOf(info)
	switch perm := info.Mode().Perm(); {
	case info.Mode().Type() != kind:
		return fmt.Errorf("%s is a %s; remove it: %w", name, info.Mode().Type(), ErrUnsafe)
	case !known || owner != d.uid:
		return fmt.Errorf("%s belongs to user %d and this process runs as user %d; run it as that user, or chown the files: %w",
			name, owner, d.uid, ErrUnsafe)
	case perm&^mode != 0:
		return fmt.Errorf("%s has mode %04o; find out who has read it, then chmod it to %04o: %w", name, perm, mode, ErrUnsafe)
	}
	return nil
}

// open opens a file after checking it. Without os.O_CREATE the error is
// fs.ErrNotExist if there is none.
func (d *directory) open(name string, flag int) (*os.File, error) {
	// By name first: opening would follow a link, or wait for the other end of a pipe.
	info, err := d.root.Lstat(name)
	if err == nil {
		err = d.check(name, info, 0, 0o600)
	} else if flag&os.O_CREATE != 0 && errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err != nil {
		return nil, err
	}
	f, err := d.root.OpenFile(name, flag, 0o600)
	if err != nil {
		return nil, err
	}
	if info, err = f.Stat(); err == nil {
		err = d.check(name, info, 0, 0o600)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// read returns a file's content, maxSize bytes at most.
func (d *directory) read(name string) ([]byte, error) {
	f, err := d.open(name, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err == nil && len(data) > maxSize {
		err = errFormat
	}
	return data, err
}

// create begins a new file under the name of the temporary one. What a crash left
// there is dropped.
func (d *directory) create(name string) (*os.File, error) {
	if err := d.remove(name); err != nil {
		return nil, err
	}
	return d.open(name, os.O_RDWR|os.O_CREATE|os.O_EXCL)
}

// replace puts a file with the content in the place of name, by way of temporary.
// It lasts once the directory is synced.
func (d *directory) replace(name, temporary string, data []byte) error {
	f, err := d.create(temporary)
	if err != nil {
		return err
	}
	if _, err = f.Write(data); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, d.remove(temporary))
	}
	if d.beforeRename != nil {
		d.beforeRename()
	}
	return d.root.Rename(temporary, name)
}

// remove removes a file; it is no error if there is none.
func (d *directory) remove(name string) error {
	err := d.root.Remove(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// sync makes what was renamed last.
func (d *directory) sync() error {
	f, err := d.root.Open(".")
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// names lists what is in the directory, in no order.
func (d *directory) names() ([]string, error) {
	f, err := d.root.Open(".")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.Readdirnames(-1)
}
