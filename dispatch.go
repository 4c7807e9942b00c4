package enlace

import (
	"golang.org/x/time/rate"
)

// prepareWebhooks sets up what takes and works on deliveries. It starts nothing.
func (s *Service) prepareWebhooks(c WebhookConfig) {
	s.webhooks = c
	s.refusals.limit, s.refusals.burst = rate.Limit(float64(c.RefusedPerMinute)/60), c.RefusedPerMinute
	s.arrivals.limit, s.arrivals.burst = rate.Limit(c.PerSecond), c.Burst
	s.inFlight.left.Store(c.MaxInFlight)
	s.commits = groupCommit[*arrival]{run: s.commitArrivals, maxItems: sharedCommit, parallel: 2}
	if c.SpillDirectory != "" {
		s.spill = openSpill(c.SpillDirectory, c.MaxSpill)
	}
}

// wake has the integration's deliveries looked at.
func (s *Service) wake(ref Ref) { s.turns.add(ref) }
