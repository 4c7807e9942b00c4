package enlace_test

import (
	"context"
	"fmt"

	"github.com/enlace-go/enlace"
	"github.com/enlace-go/enlace/store/memory"
)

// A service registers kinds of its own; this shows what an engine does with them.
func ExampleNewEngine() {
	ctx := context.Background()
	store := memory.New()
	engine := enlace.NewEngine(store, nil)
	done := make(chan string, 2) // what is enqueued while it is done is done once more
	err := engine.Register(enlace.JobKind{Name: "greetings", Workers: 1, Work: func(_ context.Context, job enlace.Job) error {
		done <- "hello, " + job.Key
		return nil
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := engine.Start(ctx); err != nil {
		fmt.Println(err)
		return
	}
	err = store.Transact(ctx, func(ctx context.Context) error { // with what the job is about
		return engine.Enqueue(ctx, enlace.Job{Kind: "greetings", Key: "world"}, enlace.Job{Kind: "greetings", Key: "world"})
	})
	fmt.Println(<-done, err)
	fmt.Println(engine.Stop(ctx))
	// Output:
	// hello, world <nil>
	// <nil>
}
