package enlace

import (
	"context"
	"time"
)

const (
	// defaultRunRetention is Config.RunRetention unless the host says otherwise.
	defaultRunRetention = 30 * 24 * time.Hour
	// healthLife is how long changes of health are kept: the same month of last year too.
	healthLife = 400 * 24 * time.Hour
	// forgetChunk is how many rows one statement removes.
	forgetChunk = 1000
)

// forgetPast removes, once, what is older than it is kept: writes that are too old to be
// taken back, runs that have ended, and changes of health. What is sealed in the
// inbox and the metrics have loops of their own.
func (s *Service) forgetPast(ctx context.Context) error {
	for _, past := range []struct {
		life   time.Duration
		forget func(ctx context.Context, before time.Time, limit int) (int, error)
	}{
		{journalLife, s.store.DeleteJournal},
		{journalLife, s.store.DeleteResolvedConflicts},
		{orDefaultDuration(s.config.RunRetention, defaultRunRetention), s.store.PruneRuns},
		{healthLife, s.store.DeleteHealthChanges},
	} {
		before := time.Now().Add(-past.life)
		for n := forgetChunk; n == forgetChunk; {
			var err error
			if n, err = past.forget(ctx, before, forgetChunk); err != nil {
				return wrap("forget the past", ErrStore, err)
			}
		}
	}
	return nil
}
