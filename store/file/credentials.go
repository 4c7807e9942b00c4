package file

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"slices"
	"strings"

	"github.com/enlace-go/enlace"
)

// LoadCredential implements [enlace.CredentialStore]. It waits for nobody.
func (s *Store) LoadCredential(ctx context.Context, key enlace.CredentialKey) (enlace.Sealed, error) {
	if err := ctx.Err(); err != nil {
		return enlace.Sealed{}, err
	}
	name, err := fileName(key)
	if err != nil {
		return enlace.Sealed{}, err
	}
	stored, err := s.load(key, name)
	if err != nil {
		return enlace.Sealed{}, failed("load credential", err)
	}
	value := stored.sealed()
	if value == nil {
		return enlace.Sealed{}, enlace.ErrNoCredential
	}
	return *value, nil
}

// load reads the record of a key.
func (s *Store) load(key enlace.CredentialKey, name string) (record, error) {
	stored, err := s.loadFile(name + valueSuffix)
	if errors.Is(err, fs.ErrNotExist) {
		return emptyRecord(key), nil
	}
	if err == nil && stored.key() != key {
		err = errMisplaced(name + valueSuffix)
	}
	return stored, err
}

// errMisplaced is for a file with the content of another. The seal would not open it either.
func errMisplaced(file string) error {
	return fmt.Errorf("%s holds another credential; it was copied or renamed by hand, so remove it", file)
}

func (s *Store) loadFile(file string) (record, error) {
	data, err := s.dir.read(file)
	if err != nil {
		return record{}, err
	}
	stored, err := parse(data)
	if err != nil {
		return record{}, fmt.Errorf("%s: %w", file, err)
	}
	return stored, nil
}

// UpdateCredential implements [enlace.CredentialStore]. The lease lasts for
// [Options.Lease] by the clock of the machine, and the context of fn for two
// thirds of it. A holder that died is noticed at once, by the kernel's lock; one
// that is stopped or hangs loses its lease to the next one when its time is up.
//
// interrupted stays true until a value is stored or deleted, also if a holder
// that was told so failed itself. A panic of fn counts as an interruption, and so
// does a result that could not be stored. It may be true without need, if a
// process died between storing a value and giving back the lease.
//
// A result is tried to be written for as long as a lease lasts, since it may be a
// refresh token that was spent to get it: a full disk may get room again.
func (s *Store) UpdateCredential(ctx context.Context, key enlace.CredentialKey,
	fn func(ctx context.Context, cur *enlace.Sealed, interrupted bool) (*enlace.Sealed, error)) error {
	l, err := s.waitForLease(ctx, key)
	if err != nil {
		return failed("lease credential", err)
	}
	defer l.file.Close() // whatever happens: nobody waits for one who has left
	fnCtx, cancel := context.WithDeadline(ctx, l.deadline)
	defer cancel()
	next, err := fn(fnCtx, l.current.sealed(), l.interrupted)
	if err != nil || next == nil {
		s.release(ctx, l)
		return err
	}
	return s.save(ctx, l, l.current.next(bytes.Clone(next.Data), next.KeyID))
}

// release gives the lease back. If an earlier holder died its mark stays for the
// next one. If it fails the next one is warned for nothing, which does no harm.
func (s *Store) release(ctx context.Context, l *lease) {
	if l.interrupted {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.lease)
	defer cancel()
	unlock, err := s.lock(ctx, l.name)
	if err != nil {
		return
	}
	defer unlock()
	if held, err := s.holds(l); err == nil && held {
		_ = s.dir.remove(l.name + leaseSuffix)
	}
}

// save stores the result even if ctx has ended.
func (s *Store) save(ctx context.Context, l *lease, next record) error {
	data, err := next.encode()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.lease)
	defer cancel()
	for wait := firstPause; ; wait = longer(wait) {
		err := s.trySave(ctx, l, data)
		if err == nil || errors.Is(err, enlace.ErrConflict) || pause(ctx, wait) != nil {
			return failed("save credential", err)
		}
	}
}

// trySave stores the result unless the lease was lost or the value deleted: the
// version is the fence behind which nothing has changed.
func (s *Store) trySave(ctx context.Context, l *lease, data []byte) error {
	unlock, err := s.lock(ctx, l.name)
	if err != nil {
		return err
	}
	defer unlock()
	held, err := s.holds(l)
	if err != nil {
		return err
	}
	if !held {
		return enlace.ErrConflict
	}
	if !l.written {
		stored, err := s.load(l.key, l.name)
		if err != nil {
			return err
		}
		if stored.Version != l.current.Version {
			return errors.Join(enlace.ErrConflict, s.dir.remove(l.name+leaseSuffix))
		}
		if err := s.dir.replace(l.name+valueSuffix, l.name+temporarySuffix, data); err != nil {
			return err
		}
		l.written = true
	}
	if err := s.dir.sync(); err != nil {
		return err
	}
	_ = s.dir.remove(l.name + leaseSuffix) // only now; if it fails the next one is warned for nothing
	return nil
}

// DeleteCredential implements [enlace.CredentialStore]. It does not wait for a
// running fn: what that fn returns is not stored, and its caller gets
// ErrConflict.
func (s *Store) DeleteCredential(ctx context.Context, key enlace.CredentialKey) error {
	name, err := fileName(key)
	if err != nil {
		return err
	}
	unlock, err := s.lock(ctx, name)
	if err != nil {
		return failed("delete credential", err)
	}
	defer unlock()
	return failed("delete credential", s.remove(key, name))
}

func (s *Store) remove(key enlace.CredentialKey, name string) error {
	stored, err := s.load(key, name)
	if err != nil {
		return err
	}
	last, err := s.lastHolder(name)
	if err != nil {
		return err
	}
	if !stored.Deleted || last.alive { // the version refuses what the holder is about to save
		data, err := stored.deleted().encode()
		if err != nil {
			return err
		}
		if err := s.dir.replace(name+valueSuffix, name+temporarySuffix, data); err != nil {
			return err
		}
	}
	if !last.alive {
		if err := s.dir.remove(name + leaseSuffix); err != nil {
			return err
		}
	}
	if err := s.dir.remove(name + temporarySuffix); err != nil { // of one who died writing
		return err
	}
	return s.dir.sync()
}

// Credentials implements [enlace.CredentialStore]. It yields the keys that have a
// value when the iteration begins, for which it reads all files of the tenant.
func (s *Store) Credentials(ctx context.Context, tenant string) iter.Seq2[enlace.CredentialKey, error] {
	return func(yield func(enlace.CredentialKey, error) bool) {
		stored, err := s.records(ctx, tenantPrefix(tenant), func(record) bool { return true })
		if err != nil {
			yield(enlace.CredentialKey{}, failed("list credentials", err))
			return
		}
		for _, r := range stored {
			if err := ctx.Err(); err != nil {
				yield(enlace.CredentialKey{}, err)
				return
			}
			if !yield(r.key(), nil) {
				return
			}
		}
	}
}

// records reads the values whose files' names begin with prefix, and returns the
// wanted ones in order of their keys.
func (s *Store) records(ctx context.Context, prefix string, wanted func(record) bool) ([]record, error) {
	files, err := s.dir.names()
	if err != nil {
		return nil, err
	}
	var found []record
	for _, file := range files {
		if !strings.HasPrefix(file, prefix) || !strings.HasSuffix(file, valueSuffix) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		r, err := s.loadFile(file)
		if errors.Is(err, fs.ErrNotExist) { // removed by hand meanwhile
			continue
		}
		if err != nil {
			return nil, err
		}
		if name, err := fileName(r.key()); err != nil || name+valueSuffix != file {
			return nil, errMisplaced(file)
		}
		if !r.Deleted && wanted(r) {
			found = append(found, r)
		}
	}
	slices.SortFunc(found, func(a, b record) int { return compareKeys(a.key(), b.key()) })
	return found, nil
}

func compareKeys(a, b enlace.CredentialKey) int {
	return cmp.Or(cmp.Compare(a.Tenant, b.Tenant), cmp.Compare(a.ID, b.ID), cmp.Compare(a.Name, b.Name))
}
