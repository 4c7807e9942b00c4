//go:build !unix

package main

import (
	"errors"
	"syscall"
)

// unprivileged knows no way here.
func unprivileged(string) (*syscall.SysProcAttr, error) {
	return nil, errors.New("a private PostgreSQL is started on Unix only; name a database of yours by -dsn")
}
