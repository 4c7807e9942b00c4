package enlace

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
)

// errSpillFull means that the files hold as much as they may.
var errSpillFull = errors.New("enlace: the spill directory is full")

const spillSuffix = ".spill"

// spillDirectory keeps what a store could not take in files, until it can. It is safe for concurrent use, also by several processes,
// if the names they write are unique.
type spillDirectory struct {
	path     string
	maxBytes int64

	mu   sync.Mutex
	size int64 // of what is there, as far as this process knows; -1 if it does not
}

// openSpill returns the directory at path, which it makes when something is written.
func openSpill(path string, maxBytes int64) *spillDirectory {
	return &spillDirectory{path: path, maxBytes: maxBytes, size: -1}
}

// write stores data durably under a name of letters and digits. It returns errSpillFull if
// the files would hold more than they may.
func (d *spillDirectory) write(name string, data []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := os.MkdirAll(d.path, 0o700); err != nil {
		return fmt.Errorf("spilled file: %w", withoutPath(err))
	}
	root, err := os.OpenRoot(d.path)
	if err != nil {
		return fmt.Errorf("spilled file: %w", withoutPath(err))
	}
	defer root.Close()
	if d.size < 0 || d.size+int64(len(data)) > d.maxBytes { // others drain it too
		if d.size, err = measureSpill(root); err != nil {
			return err
		}
	}
	if d.size+int64(len(data)) > d.maxBytes {
		return errSpillFull
	}
	if err := writeSpill(root, name, data); err != nil {
		return fmt.Errorf("spilled file: %w", withoutPath(err))
	}
	d.size += int64(len(data))
	return nil
}

// writeSpill makes the file under another name first, so that a cut one is never read.
func writeSpill(root *os.Root, name string, data []byte) (err error) {
	temporary := name + ".new"
	f, err := root.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = root.Remove(temporary)
		}
	}()
	_, err = f.Write(append(fmt.Appendf(nil, "%08x\n", crc32.ChecksumIEEE(data)), data...))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := root.Rename(temporary, name+spillSuffix); err != nil {
		return err
	}
	folder, err := root.Open(".")
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// drain gives the files to take, oldest name first, and removes each that it took. It
// ends after the first error of take, and returns how many files were taken. A file that
// is damaged is left and reported at the end.
func (d *spillDirectory) drain(take func(data []byte) error) (taken int, err error) {
	root, err := os.OpenRoot(d.path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("spilled file: %w", withoutPath(err))
	}
	defer root.Close()
	names, err := listSpill(root)
	if err != nil {
		return 0, err
	}
	var damaged []error
	for _, name := range names {
		data, err := readSpill(root, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // another process was faster
		}
		if err != nil {
			damaged = append(damaged, fmt.Errorf("spilled file: %s: %w", name, err))
			continue
		}
		if err := take(data); err != nil {
			return taken, errors.Join(append(damaged, err)...)
		}
		if err := root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return taken, errors.Join(append(damaged, fmt.Errorf("spilled file: %w", withoutPath(err)))...)
		}
		taken++
	}
	d.mu.Lock()
	d.size = -1
	d.mu.Unlock()
	return taken, errors.Join(damaged...)
}

func listSpill(root *os.Root) ([]string, error) {
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return nil, fmt.Errorf("spilled file: %w", withoutPath(err))
	}
	var names []string
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), spillSuffix) {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return names, nil
}

func readSpill(root *os.Root, name string) ([]byte, error) {
	file, err := root.ReadFile(name)
	if err != nil {
		return nil, withoutPath(err)
	}
	sum, data, _ := bytes.Cut(file, []byte("\n"))
	if string(sum) != fmt.Sprintf("%08x", crc32.ChecksumIEEE(data)) {
		return nil, errors.New("the file is damaged")
	}
	return data, nil
}

func measureSpill(root *os.Root) (int64, error) {
	names, err := listSpill(root)
	if err != nil {
		return 0, err
	}
	var size int64
	for _, name := range names {
		if info, err := root.Stat(name); err == nil {
			size += info.Size()
		}
	}
	return size, nil
}

// withoutPath is the cause of an error of the file system: names of directories are
// nobody's business.
func withoutPath(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}
