package enlace_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/fake"
)

// A host's table, in short: it takes everything.
var everything = enlace.SinkFunc(func(context.Context, enlace.Batch) (enlace.Changes, error) { return enlace.Changes{}, nil })

// Service.Run starts the runs of a schedule, in one of the processes that share the store.
func ExampleService_SaveSchedule() {
	ctx := context.Background()
	service, _, ref, _ := newPushService()
	saved, err := service.SaveSchedule(ctx, enlace.Schedule{Ref: ref, Spec: "30 6 * * 1-5", Zone: "America/Sao_Paulo",
		Jitter: 5 * time.Minute, CatchUp: enlace.CatchUpSkip, Options: enlace.SyncOptions{Entities: []string{"contacts"}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	friday := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	next, err := saved.NextTime(friday) // a Monday
	fmt.Println(next, err)
	fmt.Println(saved.NextAt.Sub(saved.Tick) < 5*time.Minute)

	_, err = service.SaveSchedule(ctx, enlace.Schedule{Ref: ref, Spec: "every 5s"})
	fmt.Println(err)
	// Output:
	// 2026-11-30 09:30:00 +0000 UTC <nil>
	// true
	// enlace: invalid input: Spec: not an interval of a minute or more; allowed: "every 5m"
}

// Where too much has disappeared at once, a mistake is more likely than a deletion: it
// waits for somebody who knows.
func ExampleService_ApproveDeletions() {
	ctx := context.Background()
	service, crm, ref, _ := newPushService()
	crm.Seed("notes", 40)
	options := enlace.SyncOptions{Entities: []string{"notes"}, Sink: everything}
	pull := func() {
		result, err := service.Sync(ctx, ref, options)
		if err != nil {
			fmt.Println(err)
			return
		}
		notes := result.Entities["notes"]
		fmt.Println(notes.Read, "read,", notes.Deleted, "deleted,", notes.Missing, "missing")
	}
	pull()
	for n := 1; n <= 25; n++ {
		crm.Delete("notes", fmt.Sprint(n))
	}
	pull()
	missing, _, err := service.MissingRecords(ctx, enlace.RecordQuery{Ref: ref, Entity: "notes"})
	fmt.Println(len(missing), "wait,", missing[0].ID, "is one of them", err)

	if _, err := service.RejectDeletions(ctx, ref, "notes", "1"); err != nil { // the host keeps it
		fmt.Println(err)
		return
	}
	approved, err := service.ApproveDeletions(ctx, ref, "notes") // all the others
	fmt.Println(approved, "approved", err)
	pull()
	// Output:
	// 40 read, 0 deleted, 0 missing
	// 15 read, 0 deleted, 25 missing
	// 25 wait, 1 is one of them <nil>
	// 24 approved <nil>
	// 15 read, 24 deleted, 0 missing
}

// A run stops behind a page, in whichever process it is, and goes on there.
func ExampleService_PauseRun() {
	ctx := context.Background()
	service, crm, ref, _ := newPushService()
	crm.Seed("contacts", 120)
	pausing := enlace.SinkFunc(func(ctx context.Context, b enlace.Batch) (enlace.Changes, error) {
		return enlace.Changes{}, service.PauseRun(ctx, ref.Tenant, b.RunID) // somebody presses a button
	})
	result, err := service.Sync(ctx, ref, enlace.SyncOptions{Entities: []string{"contacts"}, Sink: pausing})
	fmt.Println(result.Entities["contacts"].Read, "read:", errors.Is(err, enlace.ErrPaused))

	// With its own sink it goes on by the same call.
	result, err = service.Sync(ctx, ref, enlace.SyncOptions{Entities: []string{"contacts"}, Sink: everything})
	fmt.Println(result.Entities["contacts"].Read, "read:", result.Complete, err)
	// Output:
	// 100 read: true
	// 20 read: true <nil>
}

// Runs are kept: they can be listed, taken up again and given up.
func ExampleService_CancelRun() {
	ctx := context.Background()
	service, crm, ref, _ := newPushService()
	crm.Seed("contacts", 120)
	started, err := service.StartSync(ctx, ref, enlace.SyncOptions{Entities: []string{"contacts"}}) // Service.Run carries it out
	if err != nil {
		fmt.Println(err)
		return
	}
	state := func() {
		run, err := service.SyncRun(ctx, ref.Tenant, started.ID)
		fmt.Println(run.State, err)
	}
	state()
	for _, step := range []func(ctx context.Context, tenant, id string) error{service.PauseRun, service.ResumeRun, service.CancelRun} {
		if err := step(ctx, ref.Tenant, started.ID); err != nil {
			fmt.Println(err)
			return
		}
		state()
	}
	runs, _, err := service.Runs(ctx, enlace.RunQuery{Tenant: ref.Tenant})
	fmt.Println(len(runs), "run", err)
	// Output:
	// waiting <nil>
	// paused <nil>
	// waiting <nil>
	// canceled <nil>
	// 1 run <nil>
}

// A dry run tells what a run would do with each record, and field by field what would
// change, without giving anything to the sink.
func ExampleSyncOptions_preview() {
	ctx := context.Background()
	service, crm, ref, _ := newPushService()
	crm.Put("contacts", "1", map[string]any{"name": "Ana"})
	sink := enlace.SinkFunc(func(context.Context, enlace.Batch) (enlace.Changes, error) { return enlace.Changes{}, nil })
	if _, err := service.Sync(ctx, ref, enlace.SyncOptions{Entities: []string{"contacts"}, Sink: sink, Keep: true}); err != nil {
		fmt.Println(err)
		return
	}
	crm.Put("contacts", "1", map[string]any{"name": "Ana Souza"})
	crm.Put("contacts", "2", map[string]any{"name": "Bia"})
	_, err := service.Sync(ctx, ref, enlace.SyncOptions{Entities: []string{"contacts"}, DryRun: true, Preview: func(r enlace.RecordPreview) {
		for _, f := range r.Fields {
			if f.Name == "name" {
				fmt.Printf("%s %s: %s → %s\n", r.Action, r.RecordID, f.Before, f.After)
			}
		}
	}})
	fmt.Println(err)
	// Output:
	// update 1: "Ana" → "Ana Souza"
	// create 2:  → "Bia"
	// <nil>
}

// A record that the host cannot store is put aside, and the others go on. A person looks,
// corrects it and has it tried again.
func ExampleService_EditRefusedRecord() {
	ctx := context.Background()
	service, crm, ref, _ := newPushService()
	crm.Put("contacts", "1", map[string]any{"name": "Ana"})
	crm.Put("contacts", "2", map[string]any{"name": "Maria Beatriz de Alcântara"})
	short := enlace.SinkFunc(func(_ context.Context, b enlace.Batch) (enlace.Changes, error) {
		refusal := enlace.SinkRefusal{Records: map[string]error{}}
		for _, r := range b.Records {
			var row struct{ Name string }
			if err := json.Unmarshal(r.Data, &row); err != nil || len(row.Name) > 20 {
				refusal.Records[r.ID] = errors.New("the name is too long")
			}
		}
		if len(refusal.Records) > 0 { // and nothing is stored
			return enlace.Changes{}, &refusal
		}
		for _, r := range b.Records {
			fmt.Println("stored", r.ID)
		}
		return enlace.Changes{}, nil
	})
	options := enlace.SyncOptions{Entities: []string{"contacts"}, Sink: short}
	if _, err := service.Sync(ctx, ref, options); err != nil {
		fmt.Println(err)
		return
	}
	aside, _, err := service.RefusedRecords(ctx, enlace.RefusedQuery{Ref: ref})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, r := range aside {
		fmt.Println("put aside", r.RecordID, r.State, r.Error)
		r, err := service.EditRefusedRecord(ctx, r.Key(), r.Version, json.RawMessage(`{"id":"2","name":"Maria Beatriz"}`))
		if err == nil {
			err = service.RedriveRefusedRecord(ctx, r.Key(), r.Version)
		}
		if err != nil {
			fmt.Println(err)
			return
		}
	}
	if _, err := service.Sync(ctx, ref, options); err != nil {
		fmt.Println(err)
	}
	// Output:
	// stored 1
	// put aside 2 waiting enlace: accept contacts: the sink did not accept the page: the name is too long
	// stored 2
}

// With Keep, the last state of each record stays readable while the provider is down.
func ExampleService_KeptRecords() {
	ctx := context.Background()
	service, crm, ref, _ := newPushService()
	crm.Put("contacts", "7", map[string]string{"name": "Ana"})
	if _, err := service.Sync(ctx, ref, enlace.SyncOptions{Entities: []string{"contacts"}, Sink: everything, Keep: true}); err != nil {
		fmt.Println(err)
		return
	}
	crm.Fail(fake.Failure{Times: -1})
	for r, err := range service.KeptRecords(ctx, ref, "contacts") {
		if err != nil {
			fmt.Println(err)
			return
		}
		var contact struct{ Name string }
		if err := json.Unmarshal(r.Data, &contact); err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(r.ID, contact.Name)
	}
	// Output: 7 Ana
}
