package enlace

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/adhocore/gronx"
)

// Schedule starts runs of an integration again and again. Service.Run carries them
// out, in any of the processes that share the store; each run is started once.
type Schedule struct {
	ID  string `json:"id"`
	Ref Ref    `json:"integration"`
	// Spec is "every 5m" (a duration of a minute or more), or the five fields of
	// cron: minute, hour, day of the month, month, day of the week. A time of day
	// that the zone's clock skips in spring is skipped, and one that it shows twice
	// in autumn counts once.
	Spec string `json:"spec"`
	Zone string `json:"zone,omitempty"` // IANA name, for cron; empty is UTC
	// Jitter delays each run by a random time below it, so that many schedules of
	// the same time spread out.
	Jitter  time.Duration `json:"jitter,omitempty"`
	CatchUp CatchUp       `json:"catch_up,omitempty"`
	Options SyncOptions   `json:"options,omitzero"` // of the runs; without Sink, Progress and DryRun
	Paused  bool          `json:"paused,omitempty"`

	NextAt    time.Time `json:"next_at"`             // of the next run; set by enlace, as everything below
	Tick      time.Time `json:"tick"`                // the same without jitter
	LastRun   string    `json:"last_run,omitempty"`  // id of the run that it has started last
	LastAt    time.Time `json:"last_at,omitzero"`    // when
	LastSkip  string    `json:"last_skip,omitempty"` // why the last time came and no run was started; empty otherwise
	Version   int64     `json:"version"`             // 0 for a new one; grows with each change
	UpdatedAt time.Time `json:"updated_at"`          // set by the store
}

// CatchUp is what becomes of times that passed while no process was there.
type CatchUp string

// The policies.
const (
	CatchUpOnce CatchUp = ""     // one run for all of them, as soon as possible
	CatchUpSkip CatchUp = "skip" // none; the next time counts
)

// lateness is how late a run may begin and still be on time.
const lateness = time.Minute

// shortestEvery is the shortest interval of a schedule.
const shortestEvery = time.Minute

// ScheduleStore keeps schedules.
type ScheduleStore interface {
	// SaveSchedule stores s if the stored version is still s.Version (0 for a new
	// one), with Version+1 and UpdatedAt; otherwise it returns ErrConflict.
	SaveSchedule(ctx context.Context, s Schedule) error

	// Schedule returns one schedule of a tenant, or ErrNotFound.
	Schedule(ctx context.Context, tenant, id string) (Schedule, error)

	// Schedules returns the schedules that match q, in order of their ids, and the
	// cursor of the next page, which is empty after the last one.
	Schedules(ctx context.Context, q ScheduleQuery) ([]Schedule, string, error)

	// DueSchedules returns up to limit schedules, of all tenants, that are not
	// paused and whose NextAt is at or before that time, the earliest first.
	DueSchedules(ctx context.Context, at time.Time, limit int) ([]Schedule, error)

	// DeleteSchedule removes a schedule; it is no error if there is none.
	DeleteSchedule(ctx context.Context, tenant, id string) error

	// DeleteSchedules removes all schedules of an integration.
	DeleteSchedules(ctx context.Context, ref Ref) error
}

// ScheduleQuery selects schedules of one tenant.
type ScheduleQuery struct {
	Tenant      string
	Integration string // only this integration's; empty for all
	Cursor      string // from an earlier answer; empty for the first page
	Limit       int    // page size; 0 is 100, more than 1,000 is 1,000
}

// NextTime returns the first time of the schedule's Spec after t, without jitter.
// Errors: [*ValidationError].
func (s Schedule) NextTime(t time.Time) (time.Time, error) {
	if interval, ok := strings.CutPrefix(s.Spec, "every "); ok {
		every, err := time.ParseDuration(strings.TrimSpace(interval))
		if err != nil || every < shortestEvery {
			return time.Time{}, specFault("Spec", "not an interval of a minute or more", `"every 5m"`)
		}
		return t.UTC().Truncate(every).Add(every), nil
	}
	zone, err := time.LoadLocation(s.Zone)
	if err != nil {
		return time.Time{}, specFault("Zone", "not a known time zone", `an IANA name such as "America/Sao_Paulo"`)
	}
	if len(strings.Fields(s.Spec)) != 5 || !gronx.IsValid(s.Spec) {
		return time.Time{}, specFault("Spec", "neither an interval nor five fields of cron", `"every 5m" or "30 6 * * 1-5"`)
	}
	next, err := gronx.NextTickAfter(s.Spec, t.In(zone), false)
	if err != nil {
		return time.Time{}, specFault("Spec", "such a time never comes", `"30 6 * * 1-5"`)
	}
	return next.UTC(), nil
}

func specFault(field, problem, allowed string) error {
	return &ValidationError{Faults: []Fault{{Field: field, Problem: problem, Allowed: allowed}}}
}

// plan sets the time of the next run after t.
func (s *Schedule) plan(t time.Time) error {
	next, err := s.NextTime(t)
	if err != nil {
		return err
	}
	s.Tick, s.NextAt = next, next
	if s.Jitter > 0 {
		s.NextAt = next.Add(rand.N(s.Jitter))
	}
	return nil
}

// SaveSchedule stores a new schedule (without ID and Version) or a changed one, and
// returns it with the time of its next run. Errors: [*ValidationError], ErrNotFound
// for the integration, ErrConflict if somebody has changed it, and those that
// StartSync finds in the options.
func (s *Service) SaveSchedule(ctx context.Context, schedule Schedule) (Schedule, error) {
	if schedule.Jitter < 0 || (schedule.CatchUp != CatchUpOnce && schedule.CatchUp != CatchUpSkip) {
		return Schedule{}, specFault("schedule", "a negative Jitter or an unknown CatchUp", "a duration, CatchUpOnce or CatchUpSkip")
	}
	if err := schedule.plan(time.Now()); err != nil {
		return Schedule{}, err
	}
	if _, err := s.prepareQueued(ctx, schedule.Ref, schedule.Options); err != nil {
		return Schedule{}, err
	}
	schedule.Options = schedule.Options.plain()
	if schedule.ID == "" {
		schedule.ID = newID(time.Now())
	}
	entry := audit("schedule.save", schedule.Ref)
	entry.Target = schedule.ID
	if err := s.audited(ctx, entry, func(ctx context.Context) error { return s.store.SaveSchedule(ctx, schedule) }); err != nil {
		return Schedule{}, wrap("save schedule", ErrStore, err)
	}
	saved, err := s.store.Schedule(ctx, schedule.Ref.Tenant, schedule.ID)
	return saved, wrap("schedule", ErrStore, err)
}

// Schedule returns one schedule, or ErrNotFound.
func (s *Service) Schedule(ctx context.Context, tenant, id string) (Schedule, error) {
	schedule, err := s.store.Schedule(ctx, tenant, id)
	return schedule, wrap("schedule", ErrStore, err)
}

// Schedules lists schedules, and the cursor of the next page, which is empty after
// the last. Errors: ErrInvalid for a bad cursor, ErrStore.
func (s *Service) Schedules(ctx context.Context, q ScheduleQuery) ([]Schedule, string, error) {
	schedules, next, err := s.store.Schedules(ctx, q)
	return schedules, next, wrap("schedules", ErrStore, err)
}

// DeleteSchedule removes a schedule; runs that it has started go on. Errors:
// ErrNotFound, ErrStore.
func (s *Service) DeleteSchedule(ctx context.Context, tenant, id string) error {
	schedule, err := s.Schedule(ctx, tenant, id)
	if err != nil {
		return err
	}
	entry := audit("schedule.delete", schedule.Ref)
	entry.Target = id
	err = s.audited(ctx, entry, func(ctx context.Context) error { return s.store.DeleteSchedule(ctx, tenant, id) })
	return wrap("delete schedule", ErrStore, err)
}

const (
	// lookForSchedules is how often it is looked whether a run is due.
	lookForSchedules = 5 * time.Second
	// dueAtOnce is how many are started together.
	dueAtOnce = 100
)

// startDue starts the runs whose time has come.
func (s *Service) startDue(ctx context.Context) error {
	for {
		due, err := s.store.DueSchedules(ctx, time.Now(), dueAtOnce)
		if err != nil {
			return wrap("due schedules", ErrStore, err)
		}
		for _, schedule := range due {
			if err := s.startOne(ctx, schedule); err != nil && !errors.Is(err, ErrConflict) {
				s.logger.Warn("schedule not carried out", "integration", schedule.Ref.String(), "schedule", schedule.ID, "error", err)
			}
		}
		if len(due) < dueAtOnce {
			return nil
		}
	}
}

// startOne moves a schedule to its next time and queues its run, in one commit: of
// several processes that see it due, one does so.
func (s *Service) startOne(ctx context.Context, schedule Schedule) error {
	now := time.Now()
	late := now.Sub(schedule.NextAt)
	if err := schedule.plan(now); err != nil {
		return err
	}
	schedule.LastSkip = s.reasonToSkip(ctx, schedule, late)
	var queued *run
	if schedule.LastSkip == "" {
		var err error
		if queued, err = s.prepareQueued(ctx, schedule.Ref, schedule.Options); err != nil {
			schedule.LastSkip = KindLabel(err)
		} else {
			schedule.LastRun, schedule.LastAt = queued.record.ID, now
		}
	}
	err := s.store.Transact(ctx, func(ctx context.Context) error {
		if err := s.store.SaveSchedule(ctx, schedule); err != nil || queued == nil {
			return err
		}
		return queued.enqueue(ctx)
	})
	if err == nil {
		s.observe(ctx, ScheduleDue{Ref: schedule.Ref, ScheduleID: schedule.ID, RunID: schedule.LastRun, Skipped: schedule.LastSkip})
	}
	return wrap("start scheduled run", ErrStore, err)
}

// reasonToSkip says why no run is to be started now; empty if one is.
func (s *Service) reasonToSkip(ctx context.Context, schedule Schedule, late time.Duration) string {
	if schedule.CatchUp == CatchUpSkip && late > lateness {
		return "late"
	}
	if schedule.LastRun == "" {
		return ""
	}
	last, err := s.store.Run(ctx, schedule.Ref.Tenant, schedule.LastRun)
	switch {
	case err != nil:
		return ""
	case last.State == RunWaiting || last.State == RunRunning:
		return "running"
	case last.State == RunPaused:
		return "paused"
	default:
		return ""
	}
}

// ScheduleDue is a schedule whose time has come.
type ScheduleDue struct {
	Ref        Ref
	ScheduleID string
	RunID      string // that was queued; with Skipped, the one before
	Skipped    string // why none was: "late", "running", "paused", or a KindLabel; empty if one was
}

func (ScheduleDue) observation() {}
