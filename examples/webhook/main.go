// Webhook shows that no event is lost and none is done twice: a fake provider sends
// deliveries, some of them twice, to a process that is killed again and again, and in the
// end the host's own table is exact.
//
//	go run ./examples/webhook
//	go run ./examples/webhook -events 20000 -kills 10
//
// The process that is killed is this program once more: see receiver.go for the part
// that a host application writes.
package main

import (
	"bufio"
	"context"
	"database/sql"
	"flag"
	"fmt"
	"log"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/fake"
)

// senders is how many deliveries are on their way at the same time.
const senders = 16

func main() {
	log.SetFlags(0)
	if dir := os.Getenv("ENLACE_EXAMPLE_RECEIVER"); dir != "" {
		if err := receive(context.Background(), dir); err != nil {
			log.Fatal(err)
		}
		return
	}
	events := flag.Int("events", 5_000, "how many events the provider sends")
	kills := flag.Int("kills", 5, "how often the receiver is killed")
	flag.Parse()
	if err := run(context.Background(), *events, *kills); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, events, kills int) error {
	dir, err := os.MkdirTemp("", "enlace-webhook")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	ref, secret, err := prepare(ctx, dir)
	if err != nil {
		return err
	}
	provider := fake.New(fake.Options{WebhookSecret: secret})

	var target atomic.Value
	process, err := start(dir, ref, &target)
	if err != nil {
		return err
	}
	defer func() { stop(process) }()
	began := time.Now()
	d := &deliveries{provider: provider, target: &target, total: int64(events)}
	var sending sync.WaitGroup
	for range senders {
		sending.Go(func() { d.send(ctx) })
	}
	for k := range kills {
		for d.acknowledged.Load() < int64(events*(k+1)/(kills+1)) {
			time.Sleep(time.Millisecond)
		}
		stop(process)
		fmt.Printf("killed after %d acknowledged deliveries\n", d.acknowledged.Load())
		if process, err = start(dir, ref, &target); err != nil {
			return err
		}
	}
	sending.Wait()
	fmt.Printf("%d events sent, %d of them twice, %d deliveries refused or cut off and sent again, in %v\n",
		events, d.twice.Load(), d.again.Load(), time.Since(began).Round(time.Millisecond))
	once, more, err := countWhenDone(ctx, dir, events)
	if err != nil {
		return err
	}
	fmt.Printf("in the host's table: %d events once, %d more than once\n", once, more)
	if once != events || more != 0 {
		return fmt.Errorf("want %d once and 0 more than once", events)
	}
	return nil
}

// start runs this program as the receiver, and learns where it listens.
func start(dir string, ref enlace.Ref, target *atomic.Value) (*exec.Cmd, error) {
	process := exec.Command(os.Args[0])
	process.Env = append(os.Environ(), "ENLACE_EXAMPLE_RECEIVER="+dir)
	process.Stderr = os.Stderr
	out, err := process.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := process.Start(); err != nil {
		return nil, err
	}
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		stop(process)
		return nil, fmt.Errorf("the receiver did not start: %w", err)
	}
	target.Store("http://" + strings.TrimSpace(address) + "/integrations/" + ref.ID + "/webhook")
	return process, nil
}

// stop kills a process without warning.
func stop(process *exec.Cmd) {
	_ = process.Process.Kill()
	_ = process.Wait()
}

// deliveries are what the provider sends, until all of it is acknowledged.
type deliveries struct {
	provider                   *fake.Provider
	target                     *atomic.Value
	total                      int64
	next                       atomic.Int64
	acknowledged, twice, again atomic.Int64
}

func (d *deliveries) send(ctx context.Context) {
	for i := d.next.Add(1); i <= d.total; i = d.next.Add(1) {
		event := enlace.Event{ID: fmt.Sprintf("event-%d", i), Type: "contact.updated",
			Record: enlace.Record{Entity: "contacts", ID: fmt.Sprint(i % 100), Data: []byte(`{"name":"Ana"}`)}}
		d.deliver(ctx, event)
		d.acknowledged.Add(1)
		if rand.IntN(10) == 0 { // providers do that
			d.twice.Add(1)
			d.deliver(ctx, event)
		}
	}
}

// deliver sends an event until somebody acknowledges it.
func (d *deliveries) deliver(ctx context.Context, event enlace.Event) {
	for {
		r := d.provider.Delivery(d.target.Load().(string), event)
		answer, err := http.DefaultClient.Do(r.WithContext(ctx))
		if err == nil {
			_ = answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return
			}
		}
		d.again.Add(1)
		time.Sleep(10 * time.Millisecond)
	}
}

// countWhenDone waits until the host has seen every event, or nothing more comes.
func countWhenDone(ctx context.Context, dir string, events int) (once, more int, err error) {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "host.db")+"?mode=ro&_pragma=busy_timeout(5000)")
	if err != nil {
		return 0, 0, err
	}
	defer db.Close()
	before, idle := -1, 0
	for once+more < events && idle < 100 {
		err := db.QueryRowContext(ctx, `SELECT count(CASE WHEN times = 1 THEN 1 END), count(CASE WHEN times > 1 THEN 1 END) FROM seen`).Scan(&once, &more)
		if err != nil {
			return 0, 0, err
		}
		if idle++; once+more != before {
			before, idle = once+more, 0
		}
		time.Sleep(100 * time.Millisecond)
	}
	time.Sleep(time.Second) // what comes twice would come now
	err = db.QueryRowContext(ctx, `SELECT count(CASE WHEN times = 1 THEN 1 END), count(CASE WHEN times > 1 THEN 1 END) FROM seen`).Scan(&once, &more)
	return once, more, err
}
