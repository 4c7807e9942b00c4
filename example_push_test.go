package enlace_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/fake"
	"github.com/enlace-go/enlace/store/memory"
)

// clients is a host's table of clients with a flag for those that have changed. A
// table in a database does the same with two statements.
type clients struct {
	rows    map[string]json.RawMessage
	changed map[string]bool
}

// set changes a row.
func (c *clients) set(id, data string) {
	c.rows[id], c.changed[id] = json.RawMessage(data), true
}

// Changes implements enlace.Source.
func (c *clients) Changes(_ context.Context, q enlace.ChangeQuery) ([]enlace.Change, string, error) {
	var changes []enlace.Change
	for _, id := range slices.Sorted(maps.Keys(c.changed)) {
		named := len(q.IDs)+len(q.RemoteIDs) == 0 || slices.Contains(q.IDs, id)
		if id > q.After && named && len(changes) < q.Limit {
			changes = append(changes, enlace.Change{ID: id, Data: c.rows[id]})
		}
	}
	if len(changes) == q.Limit {
		return changes, changes[len(changes)-1].ID, nil
	}
	return changes, "", nil
}

// Accepted implements enlace.Source.
func (c *clients) Accepted(_ context.Context, a enlace.AcceptedChanges) error {
	for _, change := range a.Changes {
		delete(c.changed, change.Change.ID)
	}
	return nil
}

// newPushService makes a service for the bundled CRM in memory.
func newPushService() (*enlace.Service, *fake.Provider, enlace.Ref, *clients) {
	crm := fake.New(fake.Options{})
	key, err := enlace.ParseKey(enlace.GenerateKey())
	if err != nil {
		panic(err)
	}
	keys, err := enlace.NewKeyring(key)
	if err != nil {
		panic(err)
	}
	service, err := enlace.New(enlace.Config{Registry: enlace.NewRegistry(crm.Adapter()), Transport: crm, Store: memory.New(), Keys: keys})
	if err != nil {
		panic(err)
	}
	account := crm.APIKey()
	in, err := service.Create(context.Background(), enlace.NewIntegration{Tenant: "acme", Provider: fake.Name, Credential: &account})
	if err != nil {
		panic(err)
	}
	return service, crm, in.Ref, &clients{rows: map[string]json.RawMessage{}, changed: map[string]bool{}}
}

// A push sends what has changed at the host. What the provider has already costs
// no request, whatever the source gives.
func ExampleService_Sync_push() {
	ctx := context.Background()
	service, crm, ref, table := newPushService()
	table.set("ana", `{"name":"Ana","email":"ana@example.com"}`)
	table.set("bia", `{"name":"Bia"}`)
	options := enlace.SyncOptions{Direction: enlace.Push, Entities: []string{"contacts"}, Source: table}
	push := func() {
		result, err := service.Sync(ctx, ref, options)
		if err != nil {
			fmt.Println(err)
			return
		}
		counts := result.Entities["contacts"].Push
		fmt.Println(counts.Created, "created,", counts.Updated, "updated,", counts.Unchanged, "unchanged,", result.Entities["contacts"].Requests, "requests")
	}
	push()
	table.set("ana", `{"name":"Ana","email":"new@example.com"}`)
	table.set("bia", `{"name":"Bia"}`)
	push()
	fmt.Println(crm.Requests(fake.OpCreate)+crm.Requests(fake.OpBatch), "request for both creates")
	// Output:
	// 2 created, 0 updated, 0 unchanged, 1 requests
	// 0 created, 1 updated, 1 unchanged, 1 requests
	// 1 request for both creates
}

// A dry run says what a push would do; Apply does it, but for records that have
// changed in the meantime.
func ExampleService_Apply() {
	ctx := context.Background()
	service, crm, ref, table := newPushService()
	options := enlace.SyncOptions{Direction: enlace.Push, Entities: []string{"contacts"}, Source: table}
	table.set("ana", `{"name":"Ana"}`)
	table.set("bia", `{"name":"Bia"}`)
	if _, err := service.Sync(ctx, ref, options); err != nil {
		fmt.Println(err)
		return
	}
	table.set("ana", `{"name":"Ana Prado"}`)
	table.set("bia", `{"name":"Bia Lima"}`)
	table.set("caio", `{"name":"Caio"}`)

	options.DryRun = true
	result, err := service.Sync(ctx, ref, options)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, item := range result.Plan.Items {
		for _, f := range item.Fields {
			fmt.Printf("%s %s: %s from %s to %s\n", item.Action, item.LocalID, f.Name, orNothing(f.Before), f.After)
		}
	}
	fmt.Println(result.Plan.Requests, "requests")

	crm.Put("contacts", "1", map[string]any{"name": "Ana Maria"}) // somebody works there
	applied, err := service.Apply(ctx, *result.Plan, enlace.SyncOptions{Source: table})
	fmt.Println(errors.Is(err, enlace.ErrConflict))
	counts := applied.Entities["contacts"].Push
	fmt.Println(counts.Created, "created,", counts.Updated, "updated,", counts.Conflicts, "refused")
	// Output:
	// update ana: name from "Ana" to "Ana Prado"
	// update bia: name from "Bia" to "Bia Lima"
	// create caio: name from nothing to "Caio"
	// 2 requests
	// true
	// 1 created, 1 updated, 1 refused
}

func orNothing(v json.RawMessage) string {
	if v == nil {
		return "nothing"
	}
	return string(v)
}

// With OnErrorRollback a batch is written as a whole or not at all, as far as the
// provider lets it be taken back.
func ExampleService_Sync_rollback() {
	service, crm, ref, table := newPushService()
	table.set("ana", `{"name":"Ana"}`)
	table.set("bia", `{"name":"Bia","company_id":"77"}`) // there is no such company
	table.set("caio", `{"name":"Caio"}`)
	result, err := service.Sync(context.Background(), ref, enlace.SyncOptions{Direction: enlace.Push, Entities: []string{"contacts"},
		Source: table, OnError: enlace.OnErrorRollback})
	counts := result.Entities["contacts"].Push
	fmt.Println(errors.Is(err, enlace.ErrInvalid))
	fmt.Println(counts.RolledBack, "rolled back,", counts.Failed, "failed,", len(counts.NotUndone), "left")
	fmt.Println(len(crm.Records("contacts")), "contacts at the provider,", len(table.changed), "changes to be given again")
	// Output:
	// true
	// 2 rolled back, 1 failed, 0 left
	// 0 contacts at the provider, 3 changes to be given again
}

// What a run has written can be taken back later, if it was told to look first.
func ExampleService_Undo() {
	ctx := context.Background()
	service, crm, ref, table := newPushService()
	crm.Put("contacts", "1", map[string]any{"name": "Ana", "phone": "1"})
	if err := service.LinkRecord(ctx, ref, "contacts", "ana", "1"); err != nil {
		fmt.Println(err)
		return
	}
	table.set("ana", `{"phone":"2"}`)
	result, err := service.Sync(ctx, ref, enlace.SyncOptions{Direction: enlace.Push, Entities: []string{"contacts"},
		Source: table, OnError: enlace.OnErrorRollback})
	if err != nil {
		fmt.Println(err)
		return
	}
	report, err := service.Undo(ctx, "acme", result.RunID)
	fmt.Println(report.Undone, len(report.NotUndone), err)
	var contact struct{ Name, Phone string }
	_ = crm.Records("contacts")[0].Decode(&contact)
	fmt.Println(contact.Name, contact.Phone)
	// Output:
	// 1 0 <nil>
	// Ana 1
}

// A change that the provider refuses again and again becomes a dead letter. It can
// be read, corrected and sent again.
func ExampleService_Redrive() {
	ctx := context.Background()
	service, _, ref, table := newPushService()
	table.set("bia", `{"name":"Bia","company_id":"77"}`)
	for range 3 {
		if _, err := service.Sync(ctx, ref, enlace.SyncOptions{Direction: enlace.Push, Entities: []string{"contacts"}, Source: table}); err != nil {
			fmt.Println(err)
		}
	}
	letters, _, err := service.DeadLetters(ctx, enlace.OutgoingQuery{Tenant: "acme"})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, l := range letters {
		fmt.Println(l.LocalID, l.State, l.Kind, "after", l.Tries, "tries")
		fixed, err := service.EditDeadLetter(ctx, l.OutgoingKey, l.Version, json.RawMessage(`{"name":"Bia"}`))
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println("sent again:", service.Redrive(ctx, l.OutgoingKey, fixed.Version) == nil) // Service.Run pushes it
	}
	// Output:
	// bia dead invalid after 3 tries
	// sent again: true
}

// Both sides have changed the same field: nothing is sent or given before somebody, or the
// policy of the run, has decided.
func ExampleService_ResolveConflict() {
	ctx := context.Background()
	service, crm, ref, table := newPushService()
	sink := enlace.SinkFunc(func(_ context.Context, b enlace.Batch) (enlace.Changes, error) {
		for _, r := range b.Records {
			table.rows["ana"] = r.Data
		}
		return enlace.Changes{}, nil
	})
	options := enlace.SyncOptions{Direction: enlace.Bidirectional, Entities: []string{"contacts"}, Source: table, Sink: sink}
	sync := func() {
		if _, err := service.Sync(ctx, ref, options); err != nil {
			fmt.Println(err)
		}
	}
	table.set("ana", `{"name":"Ana","email":"ana@example.com"}`)
	sync()
	created := crm.Records("contacts")[0]
	table.set("ana", `{"name":"Ana","email":"ana@home.example"}`)
	crm.Put("contacts", created.ID, map[string]string{"name": "Ana Prado", "email": "ana@work.example"})
	sync()

	open, _, err := service.Conflicts(ctx, enlace.ConflictQuery{Tenant: "acme", State: enlace.ConflictOpen})
	if err != nil || len(open) != 1 {
		fmt.Println(open, err)
		return
	}
	for _, f := range open[0].Fields {
		fmt.Printf("%s was %s, here %s, there %s\n", f.Name, f.Base, f.Local, f.Remote)
	}
	if _, err := service.ResolveConflict(ctx, ref, open[0].ID, open[0].Version, enlace.ConflictLocal, nil); err != nil {
		fmt.Println(err)
		return
	}
	sync()
	var there struct{ Name, Email string }
	if err := json.Unmarshal(crm.Records("contacts")[0].Data, &there); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("there now:", there.Name, there.Email)
	// Output:
	// email was "ana@example.com", here "ana@home.example", there "ana@work.example"
	// there now: Ana Prado ana@home.example
}
