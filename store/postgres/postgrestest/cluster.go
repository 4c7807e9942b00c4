package postgrestest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// binaries are the programs that make and run a cluster, and as whom.
type binaries struct {
	initdb, postgres string
	as               *syscall.SysProcAttr
	chown            func(dir string) error
}

// findBinaries looks where PATH leads, and where Debian keeps what it does not
// put there, the newest version first.
func findBinaries() (binaries, bool) {
	if _, err := exec.LookPath("sh"); err != nil {
		return binaries{}, false
	}
	b, ok := unprivileged()
	if !ok {
		return binaries{}, false
	}
	dirs, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	slices.SortFunc(dirs, func(a, b string) int { return version(b) - version(a) })
	dirs = append(filepath.SplitList(os.Getenv("PATH")), dirs...)
	for _, dir := range dirs {
		initdb, err1 := exec.LookPath(filepath.Join(dir, "initdb"))
		postgres, err2 := exec.LookPath(filepath.Join(dir, "postgres"))
		if err1 == nil && err2 == nil {
			b.initdb, b.postgres = initdb, postgres
			return b, true
		}
	}
	return binaries{}, false
}

// version is the number in /usr/lib/postgresql/15/bin.
func version(dir string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(dir)))
	return n
}

// settings are those of the cluster: no network, no durability, little memory.
var settings = []string{"-c", "listen_addresses=", "-c", "port=5432", "-c", "fsync=off", "-c", "full_page_writes=off", "-c", "shared_buffers=32MB",
	"-c", "max_connections=200", "-c", "log_min_messages=fatal", "-c", "TimeZone=America/Sao_Paulo"}

// start makes a cluster and runs it until stop is called or this process ends.
func start(b binaries) (dsn string, stop func(), err error) {
	dir, err := os.MkdirTemp("", "enlacepg")
	if err != nil {
		return "", nil, err
	}
	if err := errors.Join(b.chown(dir), b.create(dir)); err != nil {
		return "", nil, errors.Join(err, os.RemoveAll(dir))
	}
	ended, stop, err := b.serve(dir, "INT", append([]string{b.postgres, "-D", filepath.Join(dir, "data"), "-k", dir}, settings...)...)
	if err != nil {
		return "", nil, errors.Join(err, os.RemoveAll(dir))
	}
	dsn = fmt.Sprintf("host=%s port=5432 user=enlace dbname=postgres sslmode=disable", dir)
	if err := waitUntilReady(dsn, ended); err != nil {
		stop()
		return "", nil, err
	}
	return dsn, stop, nil
}

// create makes the cluster's files. Its text is ordered as people order it, where
// the version can do so, to show what relies on the order of bytes.
func (b binaries) create(dir string) error {
	args := []string{"-D", filepath.Join(dir, "data"), "-U", "enlace", "--auth=trust", "--encoding=UTF8", "--no-sync", "--locale=C"}
	icu := append(slices.Clone(args), "--locale-provider=icu", "--icu-locale=en")
	if b.run(b.initdb, icu...) == nil {
		return nil
	}
	return b.run(b.initdb, args...)
}

func (b binaries) run(name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.SysProcAttr, cmd.Dir = b.as, "/"
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", filepath.Base(name), err, output)
	}
	return nil
}

// serveScript runs a server until its input ends, which it does when this
// process ends, in whatever way: then it gets the signal, and its files are removed.
const serveScript = `dir=$1; signal=$2; shift 2
exec 3<&0
"$@" </dev/null 3<&- & pid=$!
{ while read -r line; do :; done; kill -$signal $pid; } <&3 >/dev/null 2>&1 &
wait $pid
rm -rf "$dir"`

// serve runs a server whose files are in dir.
func (b binaries) serve(dir, signal string, command ...string) (ended <-chan error, stop func(), err error) {
	cmd := exec.Command("sh", append([]string{"-c", serveScript, "sh", dir, signal}, command...)...)
	cmd.SysProcAttr, cmd.Dir = b.as, "/"
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	input, err := cmd.StdinPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	result := make(chan error, 1)
	done := make(chan struct{})
	go func() { // ends with the script, for which stop waits
		defer close(done)
		err := cmd.Wait()
		result <- fmt.Errorf("the server ended: %v\n%s", err, log.String())
	}()
	return result, func() { closeAndWait(input, done); _ = os.RemoveAll(dir) }, nil
}

func closeAndWait(input io.Closer, done <-chan struct{}) {
	_ = input.Close()
	<-done
}

// startTimeout is generous: several test binaries may start at the same time.
const startTimeout = time.Minute

func waitUntilReady(dsn string, ended <-chan error) error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	for {
		conn, err := connect(ctx, dsn)
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case err := <-ended:
			return err
		case <-ctx.Done():
			return fmt.Errorf("no connection within %v: %s", startTimeout, strings.TrimSpace(err.Error()))
		case <-time.After(20 * time.Millisecond):
		}
	}
}
