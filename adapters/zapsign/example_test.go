package zapsign_test

import (
	"context"
	"fmt"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/adapters/zapsign"
	"github.com/enlace-go/enlace/adapters/zapsign/zapsigntest"
	"github.com/enlace-go/enlace/store/memory"
)

// open connects a program to a ZapSign account, here a fake one.
func open(ctx context.Context, api *zapsigntest.API) (*enlace.Service, enlace.Ref, error) {
	key, err := enlace.ParseKey(enlace.GenerateKey()) // in a real program a secret of its own
	if err != nil {
		return nil, enlace.Ref{}, err
	}
	keys, err := enlace.NewKeyring(key)
	if err != nil {
		return nil, enlace.Ref{}, err
	}
	service, err := enlace.New(enlace.Config{
		Registry:  enlace.NewRegistry(zapsign.Adapter{}),
		Store:     memory.New(),
		Keys:      keys,
		Transport: api.Transport(), // leave it out to call ZapSign
		Sink: enlace.SinkFunc(func(_ context.Context, b enlace.Batch) (enlace.Changes, error) {
			return enlace.Changes{Updated: len(b.Records)}, nil // store b.Records here
		}),
	})
	if err != nil {
		return nil, enlace.Ref{}, err
	}
	in, err := service.Create(ctx, enlace.NewIntegration{
		Provider: zapsign.Name,
		Settings: map[string]string{"environment": zapsign.Sandbox},
		Credential: &enlace.Credential{
			Scheme:  zapsign.SchemeToken,
			Secrets: map[string]enlace.Secret{"api_key": enlace.NewSecret(api.Token())},
		},
	})
	return service, in.Ref, err
}

// A document is created, signed and fetched. The key makes the create safe to
// repeat: it is billed once.
func ExampleCreateDocument() {
	ctx := context.Background()
	api := zapsigntest.New(zapsigntest.Options{})
	service, ref, err := open(ctx, api)
	if err != nil {
		fmt.Println(err)
		return
	}
	conn, err := service.Conn(ctx, ref)
	if err != nil {
		fmt.Println(err)
		return
	}
	in := zapsign.DocumentInput{
		Name:    "Contract 42",
		PDF:     []byte("%PDF-1.4\n"),
		Signers: []zapsign.SignerInput{{Name: "Ana Prado", Email: "ana@example.com", SendEmail: new(true)}},
		Common:  zapsign.Common{Key: "order-42"},
	}
	var document zapsign.Document
	for range 2 {
		if document, err = zapsign.CreateDocument(ctx, conn, in); err != nil {
			fmt.Println(err)
			return
		}
	}
	fmt.Println(document.State(), document.FolderPath, "documents:", len(api.Documents()))

	_ = api.Sign(document.Signers[0].Token) // the signer's part
	file, err := zapsign.DownloadSigned(ctx, conn, document.Token, 0)
	fmt.Println(string(file[:5]), err)
	// Output:
	// pending /enlace/order-42/ documents: 1
	// %PDF- <nil>
}

// Documents are read, first all of them and then what has changed.
func ExampleAdapter() {
	ctx := context.Background()
	api := zapsigntest.New(zapsigntest.Options{ListCache: -1})
	api.Seed(zapsigntest.Seed{Count: 5})
	service, ref, err := open(ctx, api)
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 2 {
		result, err := service.Sync(ctx, ref, enlace.SyncOptions{Entities: []string{zapsign.Documents}})
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println("documents:", result.Entities[zapsign.Documents].Read, "complete:", result.Complete)
		_ = api.Sign(api.Documents()[3].Signers[0].Token)
	}
	// Output:
	// documents: 5 complete: true
	// documents: 1 complete: true
}

// A delivery is verified by the secret header, and then read as an event.
func ExampleParseEvent() {
	body := []byte(`{"event_type":"doc_signed","token":"11111111-0000-4000-8000-000000000101","status":"pending",
		"signer_who_signed":{"token":"22222222-0000-4000-8000-000000000001","status":"signed","name":"Ana Prado"}}`)
	event, err := zapsign.ParseEvent(body)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(event.Type, event.Signer.Name, event.Signer.State())
	fmt.Println("document:", event.Document.State())
	// Output:
	// doc_signed Ana Prado completed
	// document: pending
}
