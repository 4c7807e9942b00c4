package enlace

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Flag is a part of enlace that can be switched off, also while it runs.
type Flag string

// The flags. All of them are on unless somebody says otherwise.
const (
	FlagIntegrations   Flag = "integrations"       // any call to a provider: Conn, Sync, pushes, tests
	FlagWebhooks       Flag = "webhook_processing" // taking in (the sender gets 503) and handling of deliveries
	FlagRealTimeSync   Flag = "real_time_sync"     // following an event or a change at once; they wait meanwhile
	FlagBulkOperations Flag = "bulk_operations"    // batches of writes
	FlagAnalytics      Flag = "analytics"          // keeping of metrics
)

// KnownFlags lists the flags, in the order in which they are shown.
func KnownFlags() []Flag {
	return []Flag{FlagIntegrations, FlagWebhooks, FlagRealTimeSync, FlagBulkOperations, FlagAnalytics}
}

// FlagTarget is what a flag is asked or set for. In a rule an empty field stands
// for everything.
type FlagTarget struct {
	Tenant      string `json:"tenant,omitempty"`
	Provider    string `json:"provider,omitempty"`
	Integration string `json:"integration,omitempty"`
	Entity      string `json:"entity,omitempty"`
}

// covers says whether a rule with this target applies to what is asked for.
func (t FlagTarget) covers(asked FlagTarget) bool {
	return (t.Tenant == "" || t.Tenant == asked.Tenant) && (t.Provider == "" || t.Provider == asked.Provider) &&
		(t.Integration == "" || t.Integration == asked.Integration) && (t.Entity == "" || t.Entity == asked.Entity)
}

// Flags answers flags from outside, for instance an OpenFeature client.
type Flags interface {
	// Enabled says whether the flag is on for the target, and fallback if it does
	// not know. An error counts as fallback and is logged. It is asked often: it
	// answers from memory, and it is safe for concurrent use.
	Enabled(ctx context.Context, flag Flag, target FlagTarget, fallback bool) (bool, error)
}

// FlagsFunc makes a function a Flags.
type FlagsFunc func(ctx context.Context, flag Flag, target FlagTarget, fallback bool) (bool, error)

// Enabled implements Flags.
func (f FlagsFunc) Enabled(ctx context.Context, flag Flag, target FlagTarget, fallback bool) (bool, error) {
	return f(ctx, flag, target, fallback)
}

// FlagRule switches a flag at run time for what it targets.
type FlagRule struct {
	Flag      Flag       `json:"flag"`
	Target    FlagTarget `json:"target"`
	Enabled   bool       `json:"enabled"`
	Reason    string     `json:"reason,omitempty"`
	SetBy     string     `json:"set_by,omitempty"` // the actor's id
	UpdatedAt time.Time  `json:"updated_at"`
}

// FlagStore keeps the rules that are set at run time.
type FlagStore interface {
	// FlagRules returns all rules of all tenants, in order of flag, tenant,
	// provider, integration and entity.
	FlagRules(ctx context.Context) ([]FlagRule, error)
	// SetFlagRule inserts a rule or replaces the one of the same flag and target.
	SetFlagRule(ctx context.Context, r FlagRule) error
	// DeleteFlagRule removes a rule; it returns ErrNotFound if there is none.
	DeleteFlagRule(ctx context.Context, flag Flag, target FlagTarget) error
}

const (
	flagsMaxAge = time.Second // how old the rules may be that a process goes by
	maxFlags    = 1000        // rules at most: they are kept in memory and gone through for each question
)

// flagRules is what a process knows of the rules.
type flagRules struct {
	mu     sync.Mutex // one reads them anew, the others go by what is there
	loaded atomic.Pointer[loadedFlags]
}

type loadedFlags struct {
	rules   []FlagRule
	at      time.Time
	changed bool // by this process, which goes by the change at once
}

// FlagEnabled says whether a flag is on for an integration and an entity; both may
// be left empty. Config.DisabledFlags and Config.Flags say how it stands by itself. A rule
// that was set at run time switches it for what it targets, and where several
// apply, off wins: a kill switch holds whatever else is set. A rule counts in
// every process within a second or two.
//
// While the rules have never been read, because the store is down, every flag is off.
func (s *Service) FlagEnabled(ctx context.Context, flag Flag, ref Ref, entity string) bool {
	target := FlagTarget{Tenant: ref.Tenant, Integration: ref.ID, Entity: entity}
	if ref.ID != "" && s.flagsNameProviders(ctx) {
		if in, err := s.store.Integration(ctx, ref); err == nil {
			target.Provider = in.Provider
		}
	}
	return s.flagOn(ctx, flag, target)
}

// flagsNameProviders says whether a provider can make a difference.
func (s *Service) flagsNameProviders(ctx context.Context) bool {
	rules, _ := s.flags.current(ctx, s)
	return s.config.Flags != nil || slices.ContainsFunc(rules, func(r FlagRule) bool { return r.Target.Provider != "" })
}

// flagOn is FlagEnabled for whoever knows the provider.
func (s *Service) flagOn(ctx context.Context, flag Flag, asked FlagTarget) bool {
	on, known := s.flagState(ctx, flag, asked)
	return on && known
}

// flagState says how a flag stands; known is false if the rules have never been read.
func (s *Service) flagState(ctx context.Context, flag Flag, asked FlagTarget) (on, known bool) {
	on = !slices.Contains(s.config.DisabledFlags, flag)
	if s.config.Flags != nil {
		answer, err := s.config.Flags.Enabled(ctx, flag, asked, on)
		if err == nil {
			on = answer
		} else {
			s.logger.WarnContext(ctx, "flag not answered", "flag", string(flag), "error", err)
		}
	}
	rules, known := s.flags.current(ctx, s)
	for _, r := range rules {
		if r.Flag == flag && r.Target.covers(asked) {
			if !r.Enabled {
				return false, known
			}
			on = true
		}
	}
	return on, known
}

// checkFlag refuses with ErrDisabled what a flag switches off, and with ErrStore
// what it might, while nobody knows.
func (s *Service) checkFlag(ctx context.Context, flag Flag, asked FlagTarget) error {
	on, known := s.flagState(ctx, flag, asked)
	if !known {
		return &Error{Provider: asked.Provider, Op: "check flag", Kind: ErrStore, Outcome: OutcomeNotRun, Message: "the rules of the flags could not be read"}
	}
	if on {
		return nil
	}
	return &Error{Provider: asked.Provider, Op: "check flag", Kind: ErrDisabled, Outcome: OutcomeNotRun, Message: "the flag " + string(flag) + " is off"}
}

// current returns the rules, not much older than flagsMaxAge. known is false if
// they have never been read.
func (f *flagRules) current(ctx context.Context, s *Service) (rules []FlagRule, known bool) {
	loaded := f.loaded.Load()
	if loaded != nil && time.Since(loaded.at) < flagsMaxAge {
		return loaded.rules, true
	}
	if loaded == nil || loaded.changed {
		f.mu.Lock()
	} else if !f.mu.TryLock() {
		return loaded.rules, true // somebody is reading them
	}
	defer f.mu.Unlock()
	if loaded = f.loaded.Load(); loaded != nil && time.Since(loaded.at) < flagsMaxAge {
		return loaded.rules, true
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	fresh, err := s.store.FlagRules(ctx)
	if err != nil {
		s.logger.ErrorContext(ctx, "flags not read", "error", err)
		if loaded == nil {
			return nil, false
		}
		fresh = loaded.rules // and not asked for again at once
	}
	f.loaded.Store(&loadedFlags{rules: fresh, at: time.Now()})
	return fresh, true
}

// refresh has the rules read anew by the next who asks.
func (f *flagRules) refresh() {
	if loaded := f.loaded.Load(); loaded != nil {
		f.loaded.CompareAndSwap(loaded, &loadedFlags{rules: loaded.rules})
	}
}

// FlagRules lists the rules that are set at run time, of all tenants or of one.
// Errors: ErrStore.
func (s *Service) FlagRules(ctx context.Context, tenant string) ([]FlagRule, error) {
	rules, err := s.store.FlagRules(ctx)
	if err != nil {
		return nil, wrap("flag rules", ErrStore, err)
	}
	if tenant == "" {
		return rules, nil
	}
	return slices.DeleteFunc(rules, func(r FlagRule) bool { return r.Target.Tenant != tenant }), nil
}

// SetFlag switches a flag at run time for a target, in every process within a
// second or two. Errors: ErrInvalid (an unknown flag, or 1,000 rules already), ErrStore.
func (s *Service) SetFlag(ctx context.Context, flag Flag, target FlagTarget, enabled bool, reason string) error {
	if err := checkFlagName(flag); err != nil {
		return err
	}
	rule := FlagRule{Flag: flag, Target: target, Enabled: enabled, Reason: cutText(reason, 500), SetBy: ActorOf(ctx).ID}
	field := "off"
	if enabled {
		field = "on"
	}
	return s.changeFlag(ctx, "flag.set", flag, target, field, func(ctx context.Context) error {
		rules, err := s.store.FlagRules(ctx)
		if err != nil {
			return err
		}
		if len(rules) >= maxFlags {
			return &ValidationError{Faults: []Fault{{Field: "flag", Problem: "too many rules", Allowed: "1,000 rules; remove some with ClearFlag"}}}
		}
		rule.UpdatedAt = time.Now().UTC()
		return s.store.SetFlagRule(ctx, rule)
	})
}

// ClearFlag removes the rule that SetFlag has made for exactly that target.
// Errors: ErrNotFound, ErrStore.
func (s *Service) ClearFlag(ctx context.Context, flag Flag, target FlagTarget) error {
	return s.changeFlag(ctx, "flag.clear", flag, target, "", func(ctx context.Context) error {
		return s.store.DeleteFlagRule(ctx, flag, target)
	})
}

// changeFlag carries out a change of the rules, which this process goes by at once.
func (s *Service) changeFlag(ctx context.Context, action string, flag Flag, target FlagTarget, field string, change func(context.Context) error) error {
	entry := AuditEntry{Tenant: target.Tenant, Integration: target.Integration, Action: action, Target: string(flag)}
	if target.Provider != "" {
		entry.Target += " provider " + target.Provider
	}
	if target.Entity != "" {
		entry.Target += " entity " + target.Entity
	}
	if field != "" {
		entry.Fields = []string{field}
	}
	err := s.audited(ctx, entry, change)
	if loaded := s.flags.loaded.Load(); loaded != nil {
		s.flags.loaded.Store(&loadedFlags{rules: loaded.rules, changed: true})
	}
	if err != nil && !errors.Is(err, ErrInvalid) {
		return wrap(action, ErrStore, err)
	}
	if err == nil {
		s.observe(ctx, FlagChanged{Flag: flag, Target: target, Action: action})
	}
	return err
}

func checkFlagName(flag Flag) error {
	if slices.Contains(KnownFlags(), flag) {
		return nil
	}
	return &ValidationError{Faults: []Fault{{Field: "flag", Problem: "unknown", Allowed: joinWords(KnownFlags())}}}
}

// switchedOn leaves out the entities for which the flag "integrations" is off; it
// refuses if none is left.
func (s *Service) switchedOn(ctx context.Context, in Integration, entities []string) ([]string, error) {
	var on []string
	for _, entity := range entities {
		err := s.checkFlag(ctx, FlagIntegrations, FlagTarget{Tenant: in.Tenant, Provider: in.Provider, Integration: in.ID, Entity: entity})
		if err == nil {
			on = append(on, entity)
		} else if !errors.Is(err, ErrDisabled) {
			return nil, err
		}
	}
	if len(on) == 0 && len(entities) > 0 {
		return nil, &Error{Provider: in.Provider, Op: "sync", Kind: ErrDisabled, Outcome: OutcomeNotRun, Message: "the flag integrations is off for these entities"}
	}
	return on, nil
}

// webhooksOn says whether an integration's deliveries are handled.
func (s *Service) webhooksOn(ctx context.Context, in Integration) bool {
	target := FlagTarget{Tenant: in.Tenant, Provider: in.Provider, Integration: in.ID}
	return s.flagOn(ctx, FlagWebhooks, target) && s.flagOn(ctx, FlagRealTimeSync, target)
}
