// Multinode is a host of several processes over one PostgreSQL, which are killed again
// and again, as is PostgreSQL itself, while they take webhooks, carry out runs and start
// schedules. In the end it tells whether anything was lost or done twice.
//
//	go run ./examples/multinode
//	go run ./examples/multinode -for 10m -kill-postgres 10
//
// The processes are this program once more: see node.go for the part that a host
// application writes. The rest is the fake provider and whoever looks on.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"os"
	"os/signal"
	"sync"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/store/postgres"
)

// doneWithin is the promise: how long after the last kill all work is done.
const doneWithin = 90 * time.Second

// settling is how long after PostgreSQL is back a process may still find a connection
// of before.
const settling = 10 * time.Second

type options struct {
	duration, killEvery time.Duration
	killPostgres        int
	nodes               int
	rate                float64
	lease               time.Duration
	engine, dsn         string
	json, log           bool
}

func main() {
	log.SetFlags(0)
	if text := os.Getenv(nodeVariable); text != "" {
		log.Fatal(runNode(text))
	}
	var o options
	flag.DurationVar(&o.duration, "for", time.Minute, "how long the load lasts")
	flag.DurationVar(&o.killEvery, "kill-every", 5*time.Second, "how often a node is killed; 0 is never")
	flag.IntVar(&o.killPostgres, "kill-postgres", 1, "how often PostgreSQL is killed, spread over the time")
	flag.IntVar(&o.nodes, "nodes", 3, "how many processes the host has")
	flag.Float64Var(&o.rate, "rate", 100, "webhooks per second")
	flag.DurationVar(&o.lease, "lease", 0, "how long a dead process holds work up; 0 is the library's default of 30s")
	flag.StringVar(&o.engine, "engine", "river", "what spreads the work: river, or process for the engine of each process")
	flag.StringVar(&o.dsn, "dsn", "", "an empty database of yours instead of a private server; it is not killed, and its tables stay")
	flag.BoolVar(&o.json, "json", false, "print the report as one JSON object")
	flag.BoolVar(&o.log, "log", false, "print the log of the nodes")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	progress := io.Writer(os.Stdout)
	if o.json {
		progress = os.Stderr
	}
	report, err := run(ctx, o, progress)
	if err != nil {
		log.Fatal(err)
	}
	if o.json {
		_ = json.NewEncoder(os.Stdout).Encode(report)
	} else {
		report.print(os.Stdout)
	}
	if len(report.Violations) > 0 {
		os.Exit(1)
	}
}

// runNode is what a child process does, until its parent ends.
func runNode(config string) error {
	var c nodeConfig
	if err := json.Unmarshal([]byte(config), &c); err != nil {
		return err
	}
	return serveNode(untilInputEnds(context.Background()), c)
}

// cluster is everything together.
type cluster struct {
	*load
	database *database // nil for one that is not ours to kill
	options  options
	progress io.Writer

	nodeKills, postgresKills int
	outages                  []outage
	lastKill                 time.Time
}

// run starts everything, lets it work and be killed, and looks at what came of it.
func run(ctx context.Context, o options, progress io.Writer) (report, error) {
	if o.nodes < 1 || o.rate <= 0 || o.duration <= 0 {
		return report{}, errors.New("-nodes, -rate and -for must be more than 0")
	}
	if o.engine != "river" && o.engine != "process" {
		return report{}, errors.New("-engine is river or process")
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c := &cluster{options: o, progress: progress}
	config := nodeConfig{DSN: o.dsn, Key: enlace.GenerateKey().Reveal(), Lease: o.lease, River: o.engine == "river", Log: o.log}
	if o.dsn == "" {
		var err error
		if c.database, err = newDatabase(ctx); err != nil {
			return report{}, err
		}
		defer c.database.stop()
		config.DSN = c.database.dsn
	}
	store, err := postgres.Open(ctx, config.DSN, postgres.Options{})
	if err != nil {
		return report{}, err
	}
	defer store.Close()
	if c.load, err = newLoad(ctx, store, config, o.nodes); err != nil {
		return report{}, err
	}
	if err := c.prepare(ctx, o.duration/2); err != nil {
		return report{}, err
	}
	defer c.nodes.killAll()
	if err := c.nodes.startAll(ctx); err != nil {
		return report{}, err
	}
	return c.work(ctx)
}

func newLoad(ctx context.Context, store *postgres.Store, config nodeConfig, count int) (l *load, err error) {
	l = &load{store: store}
	if l.nodes, err = newNodes(config, count); err != nil {
		return nil, err
	}
	if l.accounts, err = listenAccounts(ctx); err != nil {
		return nil, err
	}
	l.service, err = newService(ctx, config, store)
	return l, err
}

// work lets the load and the killing go on for their time, and then waits until all is done.
func (c *cluster) work(ctx context.Context) (report, error) {
	working, stop := context.WithTimeout(ctx, c.options.duration)
	defer stop()
	giveUp, cancel := context.WithTimeout(ctx, c.options.duration+2*doneWithin)
	defer cancel()
	c.lastKill = time.Now()
	var all sync.WaitGroup
	for range senders {
		all.Go(func() { c.send(giveUp, working, c.options.rate) })
	}
	for range pulls {
		all.Go(func() { c.pull(giveUp, working) })
	}
	looking, stopLooking := context.WithCancel(giveUp)
	var watching sync.WaitGroup
	watching.Go(func() { c.tell(looking) })
	err := c.killAround(ctx, working)
	all.Wait() // everything sent is acknowledged, every pull has ended
	if err == nil {
		err = c.pauseSchedules(giveUp)
	}
	for err == nil {
		var deliveries, runs int64
		if deliveries, runs, err = c.left(giveUp); err == nil && deliveries+runs == 0 {
			break
		}
		_ = pause(giveUp, 100*time.Millisecond)
		if giveUp.Err() != nil && ctx.Err() == nil {
			break // the report tells it
		}
	}
	took := time.Since(c.lastKill)
	stopLooking()
	watching.Wait()
	if err != nil {
		return report{}, err
	}
	return c.report(ctx, took)
}

// pauseSchedules ends the ticking, so that there is an end to wait for.
func (c *cluster) pauseSchedules(ctx context.Context) error {
	for _, a := range c.ticking {
		err := persist(ctx, func() error {
			schedules, _, err := c.service.Schedules(ctx, enlace.ScheduleQuery{Tenant: a.ref.Tenant, Integration: a.ref.ID})
			for _, schedule := range schedules {
				schedule.Paused = true
				_, err = c.service.SaveSchedule(ctx, schedule)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// killAround kills nodes and PostgreSQL until working ends.
func (c *cluster) killAround(ctx, working context.Context) error {
	kills, postgresKills := 0, 0
	began := time.Now()
	for working.Err() == nil {
		next := began.Add(c.options.duration)
		if c.options.killEvery > 0 {
			next = began.Add(time.Duration(kills+1) * c.options.killEvery)
		}
		postgresNext := began.Add(c.options.duration * time.Duration(postgresKills+1) / time.Duration(c.options.killPostgres+1))
		if c.database != nil && postgresKills < c.options.killPostgres && postgresNext.Before(next) {
			if pause(working, time.Until(postgresNext)) != nil {
				break
			}
			postgresKills++
			if err := c.killPostgres(ctx); err != nil {
				return err
			}
			continue
		}
		if pause(working, time.Until(next)) != nil {
			break
		}
		kills++
		if err := c.killNode(rand.IntN(c.options.nodes)); err != nil {
			return err
		}
	}
	return nil
}

func (c *cluster) killNode(number int) error {
	at := time.Now()
	c.nodes.kill(number)
	c.nodeKills++
	c.lastKill = time.Now()
	c.outages = append(c.outages, outage{at, c.lastKill})
	return c.nodes.start(number)
}

func (c *cluster) killPostgres(ctx context.Context) error {
	at := time.Now()
	c.database.kill()
	c.postgresKills++
	fmt.Fprintln(c.progress, "PostgreSQL is killed")
	if err := c.database.start(ctx); err != nil {
		return err
	}
	c.lastKill = time.Now()
	c.outages = append(c.outages, outage{at, c.lastKill.Add(settling)})
	fmt.Fprintf(c.progress, "PostgreSQL is back after %v\n", c.lastKill.Sub(at).Round(time.Millisecond))
	return nil
}

// tell prints how it stands, every five seconds.
func (c *cluster) tell(ctx context.Context) {
	began := time.Now()
	for pause(ctx, 5*time.Second) == nil {
		line := fmt.Sprintf("%4.0fs  %d nodes listen; %d deliveries acknowledged, %d sent again; %d of %d pulls done",
			time.Since(began).Seconds(), c.nodes.listening(), c.acknowledged.Load(), c.again.Load(), c.pulled.Load(), c.started.Load())
		if deliveries, runs, err := c.left(ctx); err == nil {
			line += fmt.Sprintf("; %d deliveries and %d runs to do", deliveries, runs)
		}
		fmt.Fprintln(c.progress, line)
	}
}
