package river_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/engine/river"
	"github.com/enlace-go/enlace/store/postgres"
)

// Every process of the host is made like this. One of them is enough; each one more takes its
// share of the work.
func Example() {
	ctx := context.Background()
	store, err := postgres.Open(ctx, os.Getenv("DATABASE_URL"), postgres.Options{MaxConns: 20})
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	engine, err := river.New(ctx, store, river.Options{})
	if err != nil {
		log.Fatal(err)
	}
	service, err := enlace.New(enlace.Config{Registry: enlace.NewRegistry(), Store: store, Keys: keys(), Engine: engine})
	if err != nil {
		log.Fatal(err)
	}
	if err := service.Run(ctx); err != nil {
		log.Fatal(err)
	}
}

// keys stands for where the host keeps its keys.
func keys() enlace.KeySource { return nil }

// River's own dashboard, riverqueue.com/riverui, is an http.Handler. It is
// made from the client, and shows the jobs as the host's administrators may see them:
//
//	handler, err := riverui.NewHandler(&riverui.HandlerOpts{Endpoints: riverui.NewEndpoints(client, nil), Prefix: "/jobs", Logger: logger})
//	err = handler.Start(ctx)
//	mux.Handle("/jobs/", onlyAdministrators(handler))
//
// It has no login of its own.
func ExampleEngine_Client() {
	var engine *river.Engine // that the service was made with
	client, err := engine.Client()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(client.Schema())
}
