package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/enlace-go/enlace"
)

// The suffixes of a credential's files; see the package comment.
const (
	valueSuffix     = ".sealed"
	leaseSuffix     = ".lease"
	lockSuffix      = ".lock"
	temporarySuffix = ".tmp"
)

// lease is the right to replace one credential for some time. It lasts while its
// file is the one that stands in the directory.
type lease struct {
	key         enlace.CredentialKey
	name        string   // of the credential's files, without a suffix
	file        *os.File // locked; closing it without removing it leaves the mark of an interruption
	deadline    time.Time
	current     record
	interrupted bool
	written     bool // the result is in its place, and perhaps not synced yet
}

// waitForLease waits until the key's lease is free.
func (s *Store) waitForLease(ctx context.Context, key enlace.CredentialKey) (*lease, error) {
	name, err := fileName(key)
	if err != nil {
		return nil, err
	}
	leave, err := s.turns.enter(ctx, name)
	if err != nil {
		return nil, err
	}
	defer leave()
	for wait := firstPause; ; wait = longer(wait) {
		l, err := s.tryLease(ctx, key, name)
		if l != nil || err != nil {
			return l, err
		}
		if err := pause(ctx, wait); err != nil {
			return nil, err
		}
	}
}

// tryLease takes the lease, or returns nil if somebody else has it.
func (s *Store) tryLease(ctx context.Context, key enlace.CredentialKey, name string) (*lease, error) {
	unlock, err := s.lock(ctx, name)
	if err != nil {
		return nil, err
	}
	defer unlock()
	now := time.Now()
	last, err := s.lastHolder(name)
	if err != nil || last.alive && now.Before(last.until) {
		return nil, err
	}
	l := &lease{key: key, name: name, deadline: now.Add(s.lease * 2 / 3), interrupted: last.exists}
	if l.current, err = s.load(key, name); err != nil {
		return nil, err
	}
	l.file, err = s.placeLease(name, now.Add(s.lease))
	if err != nil {
		return nil, err
	}
	return l, nil
}

// placeLease puts a new lease, locked by this process, in the place of the last
// one. It replaces it in one step: a mark must not get lost. The mark is durable
// before fn runs, so that a power failure is an interruption too.
func (s *Store) placeLease(name string, until time.Time) (*os.File, error) {
	f, err := s.dir.create(name + temporarySuffix)
	if err != nil {
		return nil, err
	}
	locked, err := tryLock(f)
	if err == nil && !locked {
		err = errors.New("a new file is locked by somebody else")
	}
	if err == nil {
		_, err = io.WriteString(f, strconv.FormatInt(until.UnixMicro(), 10))
	}
	if err == nil {
		err = s.dir.root.Rename(name+temporarySuffix, name+leaseSuffix)
	}
	if err == nil {
		err = s.dir.sync()
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// holder is what a lease's file tells about who made it.
type holder struct {
	exists bool
	alive  bool      // it still has the file locked
	until  time.Time // of those alive: when the lease ends
}

// lastHolder looks at the lease's file.
func (s *Store) lastHolder(name string) (holder, error) {
	f, err := s.dir.open(name+leaseSuffix, os.O_RDWR)
	if errors.Is(err, fs.ErrNotExist) {
		return holder{}, nil
	}
	if err != nil {
		return holder{}, err
	}
	defer f.Close()
	locked, err := tryLock(f)
	if err != nil || locked {
		return holder{exists: true}, err
	}
	text, err := io.ReadAll(io.LimitReader(f, 64))
	if err != nil {
		return holder{}, err
	}
	micros, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil {
		return holder{}, fmt.Errorf("%s%s is damaged; end the process that has it locked", name, leaseSuffix)
	}
	return holder{exists: true, alive: true, until: time.UnixMicro(micros)}, nil
}

// holds says whether l still has the lease: nobody took it over. Call it under lock.
func (s *Store) holds(l *lease) (bool, error) {
	ours, err := l.file.Stat()
	if err != nil {
		return false, err
	}
	there, err := s.dir.root.Lstat(l.name + leaseSuffix)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && os.SameFile(ours, there), err
}

// lock excludes everybody else from the files of one credential, for the time of
// one change. It is never held while fn runs.
func (s *Store) lock(ctx context.Context, name string) (unlock func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f, err := s.dir.open(name+lockSuffix, os.O_RDWR|os.O_CREATE)
	if err != nil {
		return nil, err
	}
	for wait := firstPause; ; wait = longer(wait) {
		locked, err := tryLock(f)
		if locked {
			return func() { _ = f.Close() }, nil
		}
		if err == nil {
			err = pause(ctx, wait)
		}
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
	}
}

const (
	firstPause = time.Millisecond
	lastPause  = 50 * time.Millisecond
)

func longer(wait time.Duration) time.Duration { return min(2*wait, lastPause) }

// pause waits for half of wait to all of it, so that those who wait for the same
// thing spread out.
func pause(ctx context.Context, wait time.Duration) error {
	timer := time.NewTimer(wait/2 + rand.N(wait/2))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// turns lets one goroutine of the process at a time look whether a lease is free,
// so that many who wait cost no more than one.
type turns struct {
	mu      sync.Mutex
	waiting map[string]*turn
}

// turn exists while somebody wants it.
type turn struct {
	taken chan struct{} // holds one element while somebody has the turn
	users int
}

// enter waits for the turn of a name. leave must be called once.
func (t *turns) enter(ctx context.Context, name string) (leave func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	t.mu.Lock()
	own := t.waiting[name]
	if own == nil {
		own = &turn{taken: make(chan struct{}, 1)}
		t.waiting[name] = own
	}
	own.users++
	t.mu.Unlock()
	select {
	case own.taken <- struct{}{}:
		return func() { <-own.taken; t.forget(name, own) }, nil
	case <-ctx.Done():
		t.forget(name, own)
		return nil, ctx.Err()
	}
}

func (t *turns) forget(name string, own *turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if own.users--; own.users == 0 {
		delete(t.waiting, name)
	}
}
