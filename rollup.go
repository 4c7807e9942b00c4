package enlace

import (
	"context"
	"errors"
	"time"
)

const (
	// flushGrace is how long after the end of an hour its minutes may still be saved.
	flushGrace = 3 * time.Minute
	// rollupInterval is how often it is looked for hours and days that are over.
	rollupInterval = 5 * time.Minute
	// metricBatch is how many chunks are read or removed at a time.
	metricBatch = 1000
)

// keepMetrics ends each minute and saves what was counted in it, and what the
// last, unfinished minute has when ctx ends. Every process keeps its own.
func (s *Service) keepMetrics(ctx context.Context) error {
	for {
		minute := floorTime(time.Now(), time.Minute)
		ended := pause(ctx, time.Until(minute.Add(time.Minute))) != nil
		flushCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
		s.meter.cut(minute, func(ref Ref, provider string) bool {
			return s.flagOn(flushCtx, FlagAnalytics, FlagTarget{Tenant: ref.Tenant, Integration: ref.ID, Provider: provider})
		})
		err := s.meter.flush(flushCtx, s.store)
		cancel()
		if err != nil {
			s.logger.WarnContext(ctx, "metrics not saved yet", "error", err)
		}
		if ended {
			return nil
		}
	}
}

// rollUpMetrics makes hours of minutes and days of hours, and removes what is
// older than it is kept. One process does it at a time; doing it twice does no harm.
func (s *Service) rollUpMetrics(ctx context.Context) error {
	lease, err := s.store.AcquireLease(ctx, LeaseName{Name: "metrics"}, s.meter.node, 2*rollupInterval)
	if errors.Is(err, ErrConflict) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = s.store.ReleaseLease(context.WithoutCancel(ctx), lease) }() // else it runs out
	return s.rollUp(ctx, time.Now(), s.summedUp)
}

// summedUp is what a process knows of the hours and days that it has summed up.
type summedUp struct {
	hours map[time.Time]bool // done; doing one again gives the same
	days  map[time.Time]bool // to be done, once they are over: an hour of theirs was
}

// rollUp brings hours and days up to date.
func (s *Service) rollUp(ctx context.Context, now time.Time, known summedUp) error {
	minutes, hours, days := metricResolutions[0], metricResolutions[1], metricResolutions[2]
	starts, err := s.store.MetricStarts(ctx, minutes.step)
	if err != nil {
		return err
	}
	for _, hour := range starts {
		if known.hours[hour] || now.Before(hour.Add(minutes.span+flushGrace)) {
			continue
		}
		if err := s.rollUpChunk(ctx, minutes, hours, hour); err != nil {
			return err
		}
		known.hours[hour], known.days[hours.start(hour)] = true, true
	}
	for day := range known.days {
		if now.Before(day.Add(hours.span + flushGrace)) {
			continue
		}
		if err := s.rollUpChunk(ctx, hours, days, day); err != nil {
			return err
		}
		delete(known.days, day)
	}
	for hour := range known.hours {
		if now.Sub(hour) > minutes.keep+minutes.span {
			delete(known.hours, hour)
		}
	}
	for _, r := range metricResolutions {
		if err := s.deleteMetrics(ctx, r.step, now.Add(-r.keep-r.span)); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) deleteMetrics(ctx context.Context, resolution time.Duration, before time.Time) error {
	for {
		n, err := s.store.DeleteMetrics(ctx, resolution, before, metricBatch)
		if err != nil || n < metricBatch {
			return err
		}
	}
}

// rollUpChunk makes one coarse point of each series' chunk that begins at start.
func (s *Service) rollUpChunk(ctx context.Context, fine, coarse metricResolution, start time.Time) error {
	existing, err := s.chunksAt(ctx, coarse.step, coarse.start(start))
	if err != nil {
		return err
	}
	step := int(start.Sub(coarse.start(start)) / coarse.step)
	var after MetricKey
	var current MetricKey // the series that is being summed up
	sum := sample{}
	var out []MetricChunk
	finish := func() error {
		if current == (MetricKey{}) || sum.empty() {
			return nil
		}
		key := MetricKey{Resolution: coarse.step, Tenant: current.Tenant, Scope: current.Scope, Name: current.Name, Start: coarse.start(start)}
		points, err := replaceSample(existing[key], step, &sum)
		out = append(out, MetricChunk{MetricKey: key, Points: points})
		return err
	}
	for {
		chunks, err := s.store.MetricsAt(ctx, fine.step, start, after, metricBatch)
		if err != nil {
			return err
		}
		for _, c := range chunks {
			after = c.MetricKey
			series := MetricKey{Tenant: c.Tenant, Scope: c.Scope, Name: c.Name}
			if series != current {
				if err := finish(); err != nil {
					return err
				}
				current, sum = series, sample{}
			}
			if err := readChunk(c.Points, func(int) *sample { return &sum }); err != nil {
				s.logger.WarnContext(ctx, "chunk of metrics left out", "scope", c.Scope, "name", c.Name, "error", err)
			}
		}
		last := len(chunks) < metricBatch
		if last {
			if err := finish(); err != nil {
				return err
			}
		}
		if len(out) > 0 {
			if err := s.store.SaveMetrics(ctx, out); err != nil {
				return err
			}
			out = nil
		}
		if last {
			return nil
		}
	}
}

// chunksAt reads all chunks of that resolution and start.
func (s *Service) chunksAt(ctx context.Context, resolution time.Duration, start time.Time) (map[MetricKey][]byte, error) {
	all := map[MetricKey][]byte{}
	var after MetricKey
	for {
		chunks, err := s.store.MetricsAt(ctx, resolution, start, after, metricBatch)
		if err != nil {
			return nil, err
		}
		for _, c := range chunks {
			all[c.MetricKey] = c.Points
			after = c.MetricKey
		}
		if len(chunks) < metricBatch {
			return all, nil
		}
	}
}

// replaceSample is the chunk with the point of one step set to s.
func replaceSample(chunk []byte, step int, s *sample) ([]byte, error) {
	points := map[int]*sample{}
	err := readChunk(chunk, func(at int) *sample {
		if points[at] == nil {
			points[at] = &sample{}
		}
		return points[at]
	})
	if err != nil {
		points = map[int]*sample{} // it is of no use to anybody
	}
	points[step] = s
	var out []byte
	for at := range 64 {
		if points[at] != nil {
			out = appendSample(out, at, points[at])
		}
	}
	return out, nil
}
