package enlace_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enlace-go/enlace"
)

// countingEngine is an engine of the host that counts the slices of runs behind the first.
type countingEngine struct {
	enlace.Engine
	slices atomic.Int64
}

func (e *countingEngine) Enqueue(ctx context.Context, jobs ...enlace.Job) error {
	for _, job := range jobs {
		if job.Kind == "runs" && !job.At.IsZero() {
			e.slices.Add(1)
		}
	}
	return e.Engine.Enqueue(ctx, jobs...)
}

// With an engine of the host a long run is a chain of jobs, each record comes once, and the
// whole is told of as one run.
func TestRunIsAChainOfJobs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newShelfHost(t, newShelf(100, 10))
		sink := h.sink
		h.config.Sink = enlace.SinkFunc(func(ctx context.Context, b enlace.Batch) (enlace.Changes, error) {
			time.Sleep(4 * time.Second)
			return sink.Accept(ctx, b)
		})
		engine := &countingEngine{Engine: enlace.NewEngine(h.config.Store, nil)}
		h.config.Engine = engine
		var finished []enlace.SyncFinished
		h.config.Observer = func(_ context.Context, o enlace.Observation) {
			if o, ok := o.(enlace.SyncFinished); ok {
				finished = append(finished, o)
			}
		}
		service := h.restart()
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- service.Run(ctx) }()
		run := must(service.StartSync(t.Context(), h.ref, enlace.SyncOptions{Full: true}))(t)
		for range 100 {
			time.Sleep(time.Second)
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		run = must(service.SyncRun(t.Context(), "acme", run.ID))(t)
		if result := run.Results["items"]; run.State != enlace.RunComplete || result.Read != 100 || result.Pages != 10 || sink.given != 100 {
			t.Errorf("%+v with %d records given; want one complete run of 100", run, sink.given)
		}
		if len(finished) != 1 || finished[0].Result.Entities["items"].Read != 100 {
			t.Errorf("told of %d ends: %+v; want one with all records", len(finished), finished)
		}
		if slices := engine.slices.Load(); slices != 3 {
			t.Errorf("%d slices behind the first; a page takes four seconds and a slice ends after ten, so want 3", slices)
		}
	})
}
