// Package file keeps sealed credentials in a directory, one file for each, for
// hosts without a database. It keeps nothing else: set it as
// [enlace.Config].Credentials beside a store for the rest.
//
// # Files
//
// The files of a credential have one name, made of hashes of the tenant and of
// the whole key, so that no id is too long, unsafe or ambiguous as a file name, on
// file systems that ignore case too. The true key stands inside and is checked:
//
//   - .sealed is the value: a line with the format's version, a line of JSON
//     (key, version, key id, time), and the sealed bytes. A deleted value leaves
//     it without those, so that versions go on growing.
//   - .lease exists while somebody is inside UpdateCredential. Its holder keeps it
//     locked, which the kernel ends when the process dies. A lease that is there
//     and not locked is the mark of one who died inside.
//   - .lock is empty. Whoever changes the other two locks it for that moment.
//   - .tmp is a file that is being written. One that a crash left behind is
//     ignored, and overwritten by the next change.
//
// A change is a new file, synced and renamed over the old one, and the directory
// is synced before a call returns.
//
// # Where it works
//
// The directory must be on a local file system, of Linux, macOS or a BSD, whose
// flock counts for all processes that use it; several containers on one machine
// may share it, machines may not. It must belong to the user of the process, with
// mode 0700, and the files with mode 0600. Anything else, symbolic links
// included, is refused with ErrUnsafe.
package file

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/enlace-go/enlace"
)

// ErrUnsafe says that others than the process's user can read or change a file,
// or that it is no regular file. The error around it says which one and what to
// do. The store does not repair it by itself, since somebody should find out who
// has read the file; what it held was sealed.
var ErrUnsafe = errors.New("not private to this process's user")

const defaultLease = 15 * time.Second

// Options adjust a store. The zero value is right for most.
type Options struct {
	// Lease is how long one caller of UpdateCredential may be inside while others
	// wait; who is slower loses the credential to the next one. Death is noticed
	// at once. Defaults to 15 seconds.
	Lease time.Duration
}

// Store implements [enlace.CredentialStore] and [enlace.CredentialResealer] on a
// directory. Make it with Open. It is safe for concurrent use, also by several
// processes with the same directory.
type Store struct {
	dir   *directory
	lease time.Duration
	turns turns
}

var (
	_ enlace.CredentialStore    = (*Store)(nil)
	_ enlace.CredentialResealer = (*Store)(nil)
)

// Open opens the directory, and makes it if only its last element is missing.
// Errors: ErrUnsafe, [enlace.ErrInvalid] for a negative lease, and
// [enlace.ErrUnsupported] on systems without flock.
func Open(dir string, opts Options) (*Store, error) {
	return open(dir, opts, os.Geteuid())
}

// open is Open for the user uid.
func open(dir string, opts Options, uid int) (*Store, error) {
	if !supported {
		return nil, &enlace.Error{Op: "open directory", Kind: enlace.ErrUnsupported, Outcome: enlace.OutcomeNotRun,
			Message: "store/file needs flock, which this system does not have; use another store"}
	}
	if opts.Lease < 0 {
		return nil, &enlace.ValidationError{Faults: []enlace.Fault{{
			Field: "Lease", Problem: "negative", Allowed: "a positive duration, or 0 for 15 seconds"}}}
	}
	d, err := openDirectory(dir, uid)
	if err != nil {
		return nil, failed("open directory", err)
	}
	return &Store{dir: d, lease: cmp.Or(opts.Lease, defaultLease), turns: turns{waiting: map[string]*turn{}}}, nil
}

// Close closes the directory. End what uses the store first: an update of a
// credential that is under way could no longer be saved.
func (s *Store) Close() error { return failed("close", s.dir.root.Close()) }

// failed says which operation an error belongs to.
func failed(op string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("file: %s: %w", op, err)
}
