//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package file

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

const supported = true

// tryLock locks an open file, or says that somebody else has. The lock ends when
// f is closed or the process dies. Two openings of a file exclude each other,
// within one process too.
func tryLock(f *os.File) (locked bool, err error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return false, err
	}
	var lockErr error
	err = raw.Control(func(fd uintptr) {
		for {
			if lockErr = syscall.Flock(int(fd), syscall.LOCK_EX|syscall.LOCK_NB); lockErr != syscall.EINTR {
				return
			}
		}
	})
	if errors.Is(lockErr, syscall.EWOULDBLOCK) {
		return false, err
	}
	return err == nil && lockErr == nil, errors.Join(err, lockErr)
}

// ownerOf is the id of the user to whom a file belongs.
func ownerOf(info fs.FileInfo) (uid int, known bool) {
	stat, known := info.Sys().(*syscall.Stat_t)
	if !known {
		return -1, false
	}
	return int(stat.Uid), true
}
