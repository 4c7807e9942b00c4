package bitrix24_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/bitrix24"
	"github.com/enlace-go/enlace/adapters/bitrix24/bitrix24test"
	"github.com/enlace-go/enlace/store/memory"
)

// Contacts are read from a portal, here a fake one, first all of them and then
// what has changed.
func ExampleAdapter() {
	ctx := context.Background()
	portal := bitrix24test.New(bitrix24test.Options{})
	portal.Seed(bitrix24test.Contact, bitrix24test.Seed{Count: 1234})

	keys, err := exampleKeys()
	if err != nil {
		fmt.Println(err)
		return
	}
	service, err := enlace.New(enlace.Config{
		Registry:  enlace.NewRegistry(bitrix24.Adapter{}),
		Store:     memory.New(),
		Keys:      keys,
		Transport: portal.Transport(), // leave it out to call real portals
		Sink: enlace.SinkFunc(func(_ context.Context, b enlace.Batch) (enlace.Changes, error) {
			return enlace.Changes{Updated: len(b.Records)}, nil // store b.Records here
		}),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	in, err := service.Create(ctx, enlace.NewIntegration{
		Provider: bitrix24.Name,
		Name:     "Acme's portal",
		Credential: &enlace.Credential{
			Scheme:  bitrix24.SchemeWebhook,
			Secrets: map[string]enlace.Secret{"url": enlace.NewSecret(portal.WebhookURL())},
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 2 {
		result, err := service.Sync(ctx, in.Ref, enlace.SyncOptions{Entities: []string{"contacts"}})
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println("contacts:", result.Entities["contacts"].Read, "complete:", result.Complete)
		portal.Touch(bitrix24test.Contact, 7, 8)
	}
	// Output:
	// contacts: 1234 complete: true
	// contacts: 2 complete: true
}

// exampleKeys are the keys that credentials are sealed with; in a real program the key
// is a secret of its own.
func exampleKeys() (*enlace.Keyring, error) {
	key, err := enlace.ParseKey(enlace.GenerateKey())
	if err != nil {
		return nil, err
	}
	return enlace.NewKeyring(key)
}

// exampleConn opens an account of the fake portal, by its inbound webhook or as an
// application. The errors of examples are not handled, to keep them short.
func exampleConn(portal *bitrix24test.Portal, scheme string) *enlace.Conn {
	keys, _ := exampleKeys()
	service, _ := enlace.New(enlace.Config{Registry: enlace.NewRegistry(bitrix24.Adapter{}), Store: memory.New(), Keys: keys, Transport: portal.Transport()})
	credential := &enlace.Credential{Scheme: scheme, Secrets: map[string]enlace.Secret{"url": enlace.NewSecret(portal.WebhookURL())}}
	if scheme == bitrix24.SchemeOAuth {
		tokens := portal.Authorize() // what a user does in a browser
		credential.Secrets = nil
		credential.Token = &enlace.Token{Access: enlace.NewSecret(tokens.AccessToken), Refresh: enlace.NewSecret(tokens.RefreshToken)}
	}
	in, _ := service.Create(context.Background(), enlace.NewIntegration{Provider: bitrix24.Name, Name: "Acme", Credential: credential,
		Settings: map[string]string{"portal": portal.Host()}})
	conn, _ := service.Conn(context.Background(), in.Ref)
	return conn
}

// A deal is created once, however often the order that it stands for is handed over.
func ExampleCreate() {
	ctx, conn := context.Background(), exampleConn(bitrix24test.New(bitrix24test.Options{}), bitrix24.SchemeWebhook)
	for range 2 {
		id, created, err := bitrix24.Create(ctx, conn, bitrix24.Deal{Title: "Order 77", Opportunity: "150.50", CurrencyID: "EUR"}, "order-77")
		fmt.Println(id, created, err)
	}
	deal, err := bitrix24.Get[bitrix24.Deal](ctx, conn, 1)
	fmt.Println(deal.Title, deal.Opportunity, deal.StageID, err)
	// Output:
	// 1 true <nil>
	// 1 false <nil>
	// Order 77 150.5 NEW <nil>
}

// A contact is found by an e-mail address. What is said about it is changed, its other
// addresses stay.
func ExampleUpsert() {
	portal := bitrix24test.New(bitrix24test.Options{})
	portal.Put(bitrix24test.Contact, map[string]any{"name": "Ana", "fm": []bitrix24test.Multifield{{TypeID: "EMAIL", ValueType: "WORK", Value: "ana@example.org"}}})
	ctx, conn := context.Background(), exampleConn(portal, bitrix24.SchemeWebhook)
	id, created, err := bitrix24.Upsert(ctx, conn, bitrix24.Contact{LastName: "Lima", Multifields: bitrix24.Multifields{
		{TypeID: bitrix24.Email, Value: "Ana@example.org"}, {TypeID: bitrix24.Phone, ValueType: "MOBILE", Value: "+55 11 99999-0000"}}}, "")
	fmt.Println(id, created, err)
	ana, err := bitrix24.Get[bitrix24.Contact](ctx, conn, id)
	fmt.Println(ana.Name, ana.LastName, ana.Multifields.Values(bitrix24.Email), ana.Multifields.Values(bitrix24.Phone), err)
	// Output:
	// 1 false <nil>
	// Ana Lima [ana@example.org] [+55 11 99999-0000] <nil>
}

// Null clears a field; what is not named stays.
func ExampleUpdate() {
	portal := bitrix24test.New(bitrix24test.Options{})
	portal.Put(bitrix24test.Contact, map[string]any{"name": "Ana", "post": "Pilot", "comments": "tall"})
	ctx, conn := context.Background(), exampleConn(portal, bitrix24.SchemeWebhook)
	err := bitrix24.Update[bitrix24.Contact](ctx, conn, 1, map[string]any{"name": "Anna", "post": nil})
	ana, _ := bitrix24.Get[bitrix24.Contact](ctx, conn, 1)
	fmt.Printf("%s %q %s %v\n", ana.Name, ana.Post, ana.Comments, err)
	// Output: Anna "" tall <nil>
}

// Each write of a batch succeeds or fails for itself.
func ExampleAdapter_PushBatch() {
	ctx, conn := context.Background(), exampleConn(bitrix24test.New(bitrix24test.Options{}), bitrix24.SchemeWebhook)
	results, err := bitrix24.Adapter{}.PushBatch(ctx, conn, []enlace.Mutation{
		{Entity: "contacts", Op: enlace.OpCreate, Key: "c-1", Data: bitrix24.Contact{Name: "Ana"}},
		{Entity: "contacts", Op: enlace.OpUpdate, ID: "999", Data: bitrix24.Contact{Name: "Nobody"}},
		{Entity: "contacts", Op: enlace.OpCreate, Key: "c-2", Data: bitrix24.Contact{Name: "Bo"}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, r := range results {
		fmt.Println(r.Ack.ID, errors.Is(r.Err, enlace.ErrNotFound))
	}
	// Output:
	// 1 false
	//  true
	// 2 false
}

// One phone number is changed and another added; the first one keeps its id.
func ExampleEditMultifields() {
	portal := bitrix24test.New(bitrix24test.Options{})
	portal.Put(bitrix24test.Contact, map[string]any{"name": "Ana", "fm": []bitrix24test.Multifield{{TypeID: "PHONE", ValueType: "WORK", Value: "+55 1"}}})
	ctx, conn := context.Background(), exampleConn(portal, bitrix24.SchemeWebhook)
	after, err := bitrix24.EditMultifields(ctx, conn, "contacts", "1", func(m bitrix24.Multifields) bitrix24.Multifields {
		m[0].Value = "+55 2"
		return append(m, bitrix24.Multifield{TypeID: bitrix24.Phone, ValueType: "HOME", Value: "+55 3"})
	})
	for _, f := range after {
		fmt.Println(f.ID, f.ValueType, f.Value)
	}
	fmt.Println(err)
	// Output:
	// 901 WORK +55 2
	// 902 HOME +55 3
	// <nil>
}

// The fields of this very account, with the choices that its people have made.
func ExampleDescribeFields() {
	portal := bitrix24test.New(bitrix24test.Options{UserFields: []bitrix24test.UserField{
		{EntityTypeID: bitrix24test.Deal, Name: "UF_CRM_SIZE", Type: "enumeration", Label: "Size", Options: []string{"S", "L"}, Mandatory: true}}})
	fields, err := bitrix24.DescribeFields(context.Background(), exampleConn(portal, bitrix24.SchemeWebhook), "deals")
	for _, f := range fields {
		if f.UserField {
			fmt.Println(f.Name, f.Type, f.Title, f.Required, f.Options)
		}
	}
	fmt.Println(err)
	// Output:
	// UF_CRM_SIZE enumeration Size true [{41 S} {42 L}]
	// <nil>
}

// Offline events wait until they are acknowledged, which happens when the function
// returns nil. They are hints: Fetch tells what has become of the records.
func ExampleProcessOffline() {
	portal := bitrix24test.New(bitrix24test.Options{})
	ctx, conn := context.Background(), exampleConn(portal, bitrix24.SchemeOAuth)
	if err := bitrix24.SubscribeOffline(ctx, conn, "ONCRMCONTACTADD", "ONCRMCONTACTDELETE"); err != nil {
		fmt.Println(err)
		return
	}
	id := portal.Put(bitrix24test.Contact, map[string]any{"name": "Ana"})
	portal.Delete(bitrix24test.Contact, id)
	for {
		set, err := bitrix24.ProcessOffline(ctx, conn, 50, func(ctx context.Context, events []bitrix24.OfflineEvent) error {
			for _, e := range events {
				records, err := bitrix24.Adapter{}.Fetch(ctx, conn, e.Entity, []string{e.RecordID})
				if err != nil {
					return err // they stay reserved, see ResumeOffline
				}
				fmt.Println(e.Name, records[0].ID, "gone:", records[0].Deleted)
			}
			return nil
		})
		if err != nil || len(set.Events) == 0 {
			fmt.Println(err)
			return
		}
	}
	// Output:
	// ONCRMCONTACTADD 1 gone: true
	// ONCRMCONTACTDELETE 1 gone: true
	// <nil>
}

// Deals of one stage, page by page as they are asked for.
func ExampleList() {
	portal := bitrix24test.New(bitrix24test.Options{})
	for i, stage := range []string{"NEW", "WON", "NEW"} {
		portal.Put(bitrix24test.Deal, map[string]any{"title": fmt.Sprint("Order ", i), "stageId": stage})
	}
	ctx, conn := context.Background(), exampleConn(portal, bitrix24.SchemeWebhook)
	for deal, err := range bitrix24.List[bitrix24.Deal](ctx, conn, map[string]any{"stageId": "NEW"}) {
		fmt.Println(deal.ID, deal.Title, err)
	}
	// Output:
	// 1 Order 0 <nil>
	// 3 Order 2 <nil>
}

// An application hears of its installation, proves it, and has what an integration is
// made from.
func ExampleInstallHandler() {
	var install http.Handler
	portal := bitrix24test.New(bitrix24test.Options{Callback: "https://app.example.net/install",
		EventTransport: bitrix24test.HandlerTransport(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { install.ServeHTTP(w, r) }))})
	install = bitrix24.InstallHandler(bitrix24.InstallOptions{ClientID: portal.ClientID(),
		Client: &http.Client{Transport: portal.Transport()}}, // leave it out to ask the real server
		func(_ http.ResponseWriter, _ *http.Request, in bitrix24.Install, account bitrix24.Account) error {
			fmt.Println(in.Event, account.Portal, len(account.Credential.WebhookSecrets)) // store account.Credential here
			return nil
		})
	portal.Install()
	portal.Drain()
	// Output: ONAPPINSTALL acme.bitrix24.com 1
}
