package main

import (
	"bufio"
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

	"github.com/jackc/pgx/v5"
)

var errNoPostgres = errors.New("no PostgreSQL is installed: apt-get install -y postgresql, or name a database of yours by -dsn (which is not killed)")

// database is a private PostgreSQL server: durable, reached by a socket in its own
// directory only, and made to be killed.
type database struct {
	dir, bin string
	as       *syscall.SysProcAttr // PostgreSQL refuses to be run by root
	dsn      string

	guard *exec.Cmd
	input io.Closer // of the guard; the server ends with it
	pid   int       // of the server's first process
	ended chan struct{}
}

// newDatabase makes a server and starts it.
func newDatabase(ctx context.Context) (*database, error) {
	bin, ok := postgresBinaries()
	if !ok {
		return nil, errNoPostgres
	}
	dir, err := os.MkdirTemp("", "enlacepg")
	if err != nil {
		return nil, err
	}
	d := &database{dir: dir, bin: bin, dsn: fmt.Sprintf("host=%s port=5432 user=enlace dbname=postgres sslmode=disable", dir)}
	if d.as, err = unprivileged(dir); err == nil {
		err = d.create()
	}
	if err == nil {
		err = d.start(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return d, nil
}

// postgresBinaries looks where PATH leads, and where Debian keeps what it does not put
// there, the newest version first.
func postgresBinaries() (dir string, ok bool) {
	dirs, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	version := func(dir string) int { n, _ := strconv.Atoi(filepath.Base(filepath.Dir(dir))); return n }
	slices.SortFunc(dirs, func(a, b string) int { return version(b) - version(a) })
	for _, dir := range append(filepath.SplitList(os.Getenv("PATH")), dirs...) {
		_, err1 := exec.LookPath(filepath.Join(dir, "initdb"))
		_, err2 := exec.LookPath(filepath.Join(dir, "postgres"))
		if err1 == nil && err2 == nil {
			return dir, true
		}
	}
	return "", false
}

func (d *database) create() error {
	cmd := exec.Command(filepath.Join(d.bin, "initdb"), "-D", filepath.Join(d.dir, "data"), "-U", "enlace", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
	cmd.SysProcAttr, cmd.Dir = d.as, "/"
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, output)
	}
	return nil
}

// guardScript runs the server and tells its process id. When its input ends, as it does
// with this process, in whatever way, so does the server.
const guardScript = `exec 3<&0
"$@" </dev/null 3<&- >/dev/null & pid=$!
echo $pid
{ while read -r line; do :; done; kill -INT $pid; } <&3 >/dev/null 2>&1 &
wait $pid`

// start starts the server and waits until it answers. After a kill it takes some tries:
// the server does not start before the last process of its predecessor has ended.
func (d *database) start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		if err := d.launch(); err != nil {
			return err
		}
		if d.answers(ctx) {
			return nil
		}
		d.stopServer()
		if pause(ctx, 100*time.Millisecond) != nil {
			log, _ := os.ReadFile(filepath.Join(d.dir, "log"))
			return fmt.Errorf("PostgreSQL does not start: %s", log)
		}
	}
}

func (d *database) launch() error {
	args := []string{"-c", guardScript, "sh", filepath.Join(d.bin, "postgres"), "-D", filepath.Join(d.dir, "data"), "-k", d.dir}
	for _, setting := range []string{"listen_addresses=", "port=5432", "max_connections=100", "log_min_messages=fatal"} {
		args = append(args, "-c", setting)
	}
	log, err := os.OpenFile(filepath.Join(d.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	d.guard = exec.Command("sh", args...)
	d.guard.SysProcAttr, d.guard.Dir, d.guard.Stderr = d.as, "/", log
	if d.input, err = d.guard.StdinPipe(); err != nil {
		return err
	}
	out, err := d.guard.StdoutPipe()
	if err != nil {
		return err
	}
	if err := d.guard.Start(); err != nil {
		return err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err == nil {
		d.pid, err = strconv.Atoi(strings.TrimSpace(line))
	}
	ended := make(chan struct{})
	d.ended = ended
	guard := d.guard
	go func() { defer close(ended); _ = guard.Wait() }() // stopServer and kill wait for it
	return err
}

// answers waits until the server takes connections; false if it ends instead.
func (d *database) answers(ctx context.Context) bool {
	for {
		conn, err := pgx.Connect(ctx, d.dsn)
		if err == nil {
			_ = conn.Close(ctx)
			return true
		}
		select {
		case <-d.ended:
			return false
		case <-ctx.Done():
			return false
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// kill ends the server's first process without warning; the others follow by themselves.
func (d *database) kill() {
	if p, err := os.FindProcess(d.pid); err == nil {
		_ = p.Kill()
	}
	<-d.ended
}

// stopServer ends the server in good order.
func (d *database) stopServer() {
	_ = d.input.Close()
	<-d.ended
}

// stop ends the server and removes its files.
func (d *database) stop() {
	d.stopServer()
	_ = os.RemoveAll(d.dir)
}
