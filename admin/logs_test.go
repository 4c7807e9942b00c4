package admin

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enlace-go/enlace"
)

// TestTellLogs: a stream is told of new lines of its tenant, of nobody else's, and once a
// second at most.
func TestTellLogs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		buffer := enlace.NewLogBuffer(50, nil)
		logger := slog.New(buffer)
		a := &Admin{options: Options{Logs: buffer}, hub: &hub{numbers: map[string]uint64{"acme": 7}}}
		s := &stream{wake: make(chan struct{}, 1), seen: map[signal]struct{}{}}
		logger.Info("before", enlace.LogTenant, "acme")
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			a.tellLogs(ctx, "acme", s)
		}()
		told := func() int {
			synctest.Wait()
			signals, number, _ := s.drain()
			for _, sig := range signals {
				if sig != (signal{Topic: "logs"}) || number != 7 {
					t.Errorf("told of %+v, number %d", sig, number)
				}
			}
			return len(signals)
		}
		if n := told(); n != 0 {
			t.Errorf("%d signals of what was there", n)
		}
		logger.Info("of another", enlace.LogTenant, "other")
		logger.Info("of nobody")
		if n := told(); n != 0 {
			t.Errorf("%d signals of somebody else's lines", n)
		}
		time.Sleep(3 * gatherLines)
		for range 200 { // more than the buffer holds
			logger.Info("a page", enlace.LogTenant, "acme")
		}
		if n := told(); n != 1 {
			t.Errorf("%d signals, want 1", n)
		}
		logger.Info("another page", enlace.LogTenant, "acme")
		if n := told(); n != 0 {
			t.Errorf("%d signals within a second", n)
		}
		time.Sleep(3 * gatherLines)
		if n := told(); n != 1 {
			t.Errorf("%d signals after it, want 1", n)
		}
		cancel()
		<-ended
	})
}
