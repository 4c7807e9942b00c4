// Quickstart is a host application with enlace in it: it connects a Bitrix24
// portal through OAuth and pulls contacts and deals into a table of its own.
//
//	go run ./examples/quickstart            # then goes on syncing every 10 seconds, with a dashboard
//	go run ./examples/quickstart -once      # ends after the first pull and one by change
//	go run ./examples/quickstart -crash     # kills itself half way; start it again to see it resume
//	go run ./examples/quickstart -once -json
//
// Without further configuration the portal is a fake one in the same process.
// Set ENLACE_BITRIX24_WEBHOOK_URL to an inbound webhook of a real portal to read that.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/bitrix24"
	"github.com/enlace-go/enlace/store/sqlite"
)

// entities are what this application wants of the CRM.
var entities = []string{"contacts", "deals"}

type options struct {
	dir             string
	once, crash     bool
	json            bool
	contacts, deals int
	webhook         string
	interval        time.Duration
}

func main() {
	log.SetFlags(0)
	var o options
	flag.StringVar(&o.dir, "dir", filepath.Join(os.TempDir(), "enlace-quickstart"), "where the database and the key are kept")
	flag.BoolVar(&o.once, "once", false, "end after the first pull and one by change")
	flag.BoolVar(&o.crash, "crash", false, "kill this process half way through the contacts")
	flag.BoolVar(&o.json, "json", false, "print the result as one JSON object")
	flag.IntVar(&o.contacts, "contacts", 10_000, "contacts in the fake portal")
	flag.IntVar(&o.deals, "deals", 2_000, "deals in the fake portal")
	flag.DurationVar(&o.interval, "every", 10*time.Second, "how often to sync after the first pull")
	flag.Parse()
	o.webhook = os.Getenv("ENLACE_BITRIX24_WEBHOOK_URL")

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, o); err != nil && !errors.Is(err, context.Canceled) {
		stop()
		log.Fatal(err)
	}
}

func run(ctx context.Context, o options) error {
	started := time.Now()
	if err := os.MkdirAll(o.dir, 0o700); err != nil {
		return err
	}
	store, err := openStore(ctx, o)
	if err != nil {
		return err
	}
	defer store.Close()
	table, err := newTable(ctx, store.DB())
	if err != nil {
		return err
	}
	keys, err := loadKeys(filepath.Join(o.dir, "key"))
	if err != nil {
		return err
	}
	portal := openPortal(o)
	defer portal.close()

	service, err := enlace.New(enlace.Config{
		Registry: enlace.NewRegistry(bitrix24.Adapter{}),
		Store:    store,
		Keys:     keys,
		OAuth:    portal.apps,
		Sink:     table,
		RunLease: runLease,
		Egress:   enlace.Egress{AllowPrefixes: portal.networks},
	})
	if err != nil {
		return err
	}
	integration, err := connect(ctx, service, portal)
	if err != nil {
		return err
	}

	first, err := sync(ctx, o, service, integration.Ref, table)
	if err != nil {
		return err
	}
	rows, err := table.count(ctx)
	if err != nil {
		return err
	}
	report := report{Integration: integration.ID, Entities: first.Entities, Rows: rows}
	if portal.fake != nil {
		portal.change()
		changes, err := sync(ctx, o, service, integration.Ref, table)
		if err != nil {
			return err
		}
		report.Changes = changes.Entities
	}
	report.Seconds = time.Since(started).Seconds()
	if err := report.print(o); err != nil || o.once {
		return err
	}
	return serveDashboard(ctx, service, func(ctx context.Context) error {
		return keepSyncing(ctx, o, service, integration.Ref, portal)
	})
}

// openStore opens the database of an earlier start, or makes it. The fake portal
// is a new one at each start, so a database that has all of an earlier one is
// started over; one whose pull was cut off is gone on with.
func openStore(ctx context.Context, o options) (*sqlite.Store, error) {
	path := filepath.Join(o.dir, "app.db")
	store, err := sqlite.Open(ctx, path, sqlite.Options{})
	if err != nil || o.webhook != "" {
		return store, err
	}
	unfinished, err := isUnfinished(ctx, store)
	if err != nil || unfinished {
		return store, err
	}
	if err := store.Close(); err != nil {
		return nil, err
	}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(path + suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
	}
	return sqlite.Open(ctx, path, sqlite.Options{})
}

// isUnfinished says whether a pull was cut off: its checkpoint is inside a run, or
// some entity has not been begun.
func isUnfinished(ctx context.Context, store *sqlite.Store) (bool, error) {
	list, _, err := store.Integrations(ctx, enlace.IntegrationQuery{Provider: bitrix24.Name})
	if err != nil || len(list) == 0 {
		return false, err
	}
	for _, entity := range entities {
		checkpoint, err := store.LoadCheckpoint(ctx, list[0].Ref, entity)
		if err != nil || checkpoint.Resume != "" || checkpoint.Mark == "" {
			return true, err
		}
	}
	return false, nil
}

// loadKeys reads the key that seals the credentials, or makes it at the first
// start. A real host keeps it apart from the database: in the environment or a
// secret manager.
func loadKeys(path string) (*enlace.Keyring, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		text = []byte(enlace.GenerateKey().Reveal())
		err = os.WriteFile(path, text, 0o600)
	}
	if err != nil {
		return nil, err
	}
	key, err := enlace.ParseKey(enlace.NewSecret(string(text)))
	if err != nil {
		return nil, err
	}
	return enlace.NewKeyring(key)
}

// connect finds the integration of an earlier start, or creates it, and opens
// the account: by the webhook's URL for a real portal, through OAuth for the fake one.
func connect(ctx context.Context, service *enlace.Service, p *portal) (enlace.Integration, error) {
	list, _, err := service.List(ctx, enlace.IntegrationQuery{Provider: bitrix24.Name})
	if err != nil {
		return enlace.Integration{}, err
	}
	var integration enlace.Integration
	if len(list) > 0 {
		integration = list[0]
		integration.Settings = p.settings()
		integration, err = service.Update(ctx, integration)
	} else {
		integration, err = service.Create(ctx, enlace.NewIntegration{Provider: bitrix24.Name, Name: "CRM", Settings: p.settings()})
	}
	if err != nil {
		return enlace.Integration{}, err
	}
	if p.fake == nil {
		return service.Connect(ctx, integration.Ref, enlace.Credential{Scheme: bitrix24.SchemeWebhook,
			Secrets: map[string]enlace.Secret{"url": enlace.NewSecret(p.webhook)}})
	}
	return authorize(ctx, service, integration.Ref, p)
}

// runLease is how long a run of a process that was killed keeps the next one waiting.
const runLease = 3 * time.Second

// sync makes one run and shows its progress. It waits for the lease of a run that
// was killed.
func sync(ctx context.Context, o options, service *enlace.Service, ref enlace.Ref, t *table) (enlace.SyncResult, error) {
	for began := time.Now(); ; time.Sleep(runLease / 6) {
		bar := newBar(os.Stderr)
		result, err := service.Sync(ctx, ref, enlace.SyncOptions{
			Entities: entities,
			Sink:     crashing(o, t),
			Progress: bar.show,
		})
		bar.end()
		if !errors.Is(err, enlace.ErrConflict) || time.Since(began) > 2*runLease {
			return result, err
		}
	}
}

// crashing kills the process half way through the contacts, at the worst moment:
// the host has the page, and the checkpoint does not know it yet.
func crashing(o options, t *table) enlace.Sink {
	accepted := 0
	return enlace.SinkFunc(func(ctx context.Context, b enlace.Batch) (enlace.Changes, error) {
		changes, err := t.Accept(ctx, b)
		if accepted += changes.Created; err == nil && o.crash && b.Entity == "contacts" && accepted >= o.contacts/2 {
			fmt.Fprintf(os.Stderr, "\nkilling this process with %d contacts in the table; start it again without -crash\n", accepted)
			if self, err := os.FindProcess(os.Getpid()); err == nil {
				_ = self.Kill()
			}
			select {} // the signal is on its way
		}
		return changes, err
	})
}

// keepSyncing syncs on a schedule until the process is interrupted.
func keepSyncing(ctx context.Context, o options, service *enlace.Service, ref enlace.Ref, p *portal) error {
	fmt.Printf("syncing every %s; press Ctrl-C to end\n", o.interval)
	tick := time.NewTicker(o.interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if p.fake != nil {
			p.change()
		}
		result, err := service.Sync(ctx, ref, enlace.SyncOptions{Entities: entities})
		if err != nil {
			fmt.Println("sync failed, next try at the next tick:", err)
			continue
		}
		for _, entity := range entities {
			e := result.Entities[entity]
			fmt.Printf("%s %-9s %d read: %d created, %d updated, %d unchanged (%d requests)\n",
				time.Now().Format(time.TimeOnly), entity, e.Read, e.Created, e.Updated, e.Unchanged, e.Requests)
		}
	}
}

// report is what -once tells.
type report struct {
	Integration string                         `json:"integration"`
	Entities    map[string]enlace.EntityResult `json:"entities"`          // the first pull of this start
	Changes     map[string]enlace.EntityResult `json:"changes,omitempty"` // the pull by change after it
	Rows        map[string]int                 `json:"rows"`              // in the host's table
	Seconds     float64                        `json:"seconds"`
}

func (r report) print(o options) error {
	if o.json {
		return json.NewEncoder(os.Stdout).Encode(r)
	}
	show := func(title string, results map[string]enlace.EntityResult) {
		for _, entity := range entities {
			e, ok := results[entity]
			if !ok {
				continue
			}
			resumed := ""
			if e.Resumed {
				resumed = ", resumed"
			}
			fmt.Printf("%-8s %-9s %6d read: %d created, %d updated, %d unchanged; %d requests, %d retries%s\n",
				title, entity, e.Read, e.Created, e.Updated, e.Unchanged, e.Requests, e.Retries, resumed)
		}
	}
	show("pull", r.Entities)
	show("changes", r.Changes)
	fmt.Printf("the table has %d contacts and %d deals after %.1f s\n", r.Rows["contacts"], r.Rows["deals"], r.Seconds)
	return nil
}
