package rdstation_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/rdstation"
	"github.com/enlace-go/enlace/adapters/rdstation/rdstationtest"
	"github.com/enlace-go/enlace/store/memory"
)

// open returns a connection to a fake account. With a real one, leave out
// Transport, and connect by Service.BeginAuth and CompleteAuth.
func open(ctx context.Context, account *rdstationtest.Account, adapter enlace.IntegrationAdapter, product rdstationtest.Product) (*enlace.Service, enlace.Ref, *enlace.Conn, error) {
	key, err := enlace.ParseKey(enlace.GenerateKey()) // in a real program a secret of its own
	if err != nil {
		return nil, enlace.Ref{}, nil, err
	}
	keys, err := enlace.NewKeyring(key)
	if err != nil {
		return nil, enlace.Ref{}, nil, err
	}
	name, app := adapter.Describe().Name, account.App(product)
	service, err := enlace.New(enlace.Config{Registry: enlace.NewRegistry(adapter), Store: memory.New(), Keys: keys, Transport: account.Transport(),
		OAuth: map[string]enlace.OAuthApp{name: {ClientID: app.ClientID, ClientSecret: enlace.NewSecret(app.ClientSecret)}}})
	if err != nil {
		return nil, enlace.Ref{}, nil, err
	}
	tokens := account.Authorize(app.ClientID)
	in, err := service.Create(ctx, enlace.NewIntegration{Provider: name, Credential: &enlace.Credential{Scheme: rdstation.SchemeOAuth,
		Token: &enlace.Token{Access: enlace.NewSecret(tokens.AccessToken), Refresh: enlace.NewSecret(tokens.RefreshToken)}}})
	if err != nil {
		return nil, enlace.Ref{}, nil, err
	}
	conn, err := service.Conn(ctx, in.Ref)
	return service, in.Ref, conn, err
}

// A visitor has filled in a form; later the lead is qualified and tagged.
func ExampleMarketing_Send() {
	ctx := context.Background()
	account := rdstationtest.New(rdstationtest.Options{})
	account.PutField("cf_segmento", "STRING")
	marketing := &rdstation.Marketing{}
	_, _, conn, err := open(ctx, account, marketing, rdstationtest.Marketing)
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = marketing.Send(ctx, conn, rdstation.Conversion{Identifier: "orcamento", Email: "bia@exemplo.com.br", Name: "Bia Nunes",
		Custom: map[string]any{"cf_segmento": "padaria"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	bia := rdstation.ByEmail("bia@exemplo.com.br")
	if err := marketing.AddTags(ctx, conn, bia, "Padaria"); err != nil {
		fmt.Println(err)
		return
	}
	funnel, err := marketing.SetFunnel(ctx, conn, bia, rdstation.FunnelChange{LifecycleStage: new("Qualified Lead"), Opportunity: new(true)})
	if err != nil {
		fmt.Println(err)
		return
	}
	contact, err := marketing.Contact(ctx, conn, bia)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(contact.Name, contact.Tags, contact.Custom["cf_segmento"], funnel.LifecycleStage)
	_, err = marketing.CreateContact(ctx, conn, rdstation.Contact{Email: "bia@exemplo.com.br"})
	fmt.Println("again:", errors.Is(err, enlace.ErrConflict))
	// Output:
	// Bia Nunes [padaria] padaria Qualified Lead
	// again: true
}

// Deals are read, first all of them and then what has changed.
func ExampleCRM() {
	ctx := context.Background()
	account := rdstationtest.New(rdstationtest.Options{})
	var last string
	for i := range 150 {
		last = account.PutCRM(rdstationtest.CRMDeals, map[string]any{"name": fmt.Sprint("Deal ", i)})
	}
	service, ref, conn, err := open(ctx, account, rdstation.CRM{}, rdstationtest.CRM)
	if err != nil {
		fmt.Println(err)
		return
	}
	sink := enlace.SinkFunc(func(_ context.Context, b enlace.Batch) (enlace.Changes, error) {
		return enlace.Changes{Updated: len(b.Records)}, nil // store b.Records here
	})
	result, err := service.Sync(ctx, ref, enlace.SyncOptions{Entities: []string{"deals"}, Sink: sink})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("deals:", result.Entities["deals"].Read, "complete:", result.Complete)
	deal, err := rdstation.CRM{}.Deals().Update(ctx, conn, last, rdstation.Deal{Status: "won"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(deal.Name, deal.Status)
	// Output:
	// deals: 150 complete: true
	// Deal 149 won
}

// A CRM webhook proves itself by a header, and is a hint to read the record again.
func ExampleCRM_ParseWebhook() {
	adapter, secret := rdstation.CRM{}, enlace.NewSecret("the secret given to EnsureWebhook")
	d := enlace.Delivery{Header: http.Header{rdstation.KeyHeader: {"the secret given to EnsureWebhook"}},
		Body: []byte(`{"event_name":"crm_deal_deleted","document":{"id":"64df7a11113f800186449230","name":"Forno 10 bandejas"},` +
			`"event_timestamp":"2025-10-03T12:43:09.000Z","transaction_uuid":"b2daa3cb-23b1-497f-afb5-a5e4acda9374"}`)}
	if err := adapter.Verifier().Verify(d, []enlace.Secret{secret}); err != nil {
		fmt.Println(err)
		return
	}
	events, err := adapter.ParseWebhook(context.Background(), d)
	if err != nil {
		fmt.Println(err)
		return
	}
	e := events[0]
	fmt.Println(e.Type, e.Record.Entity, e.Record.ID, "deleted:", e.Record.Deleted)
	// Output:
	// crm_deal_deleted deals 64df7a11113f800186449230 deleted: true
}
