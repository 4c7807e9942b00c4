//go:build unix

package postgrestest

import (
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// unprivileged says as whom the programs run: PostgreSQL refuses to be run by root.
func unprivileged() (binaries, bool) {
	if os.Geteuid() != 0 {
		return binaries{chown: func(string) error { return nil }}, true
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err1 != nil || err2 != nil {
			continue
		}
		return binaries{
			as:    &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}},
			chown: func(dir string) error { return os.Chown(dir, int(uid), int(gid)) },
		}, true
	}
	return binaries{}, false
}
