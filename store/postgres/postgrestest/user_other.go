//go:build !unix

package postgrestest

// unprivileged knows no way here: name a running server by Variable.
func unprivileged() (binaries, bool) { return binaries{}, false }
