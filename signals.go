package enlace

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"
)

// Notifier is implemented by stores through which processes can call one another at
// once. Optional: without it, what other processes do is found by reading the store,
// which flags and breakers do once a second.
type Notifier interface {
	// Notify sends a text of up to 7,900 bytes to everybody who listens, this process
	// too, with the commit of ctx's transaction if it has one. Who listens later does not
	// get it. It is called a few times a second at most.
	Notify(ctx context.Context, text string) error

	// Listen calls heard with each text, one after the other, and with an empty one
	// whenever some may have been missed, until ctx ends. It connects again by itself.
	// It returns ErrUnsupported at once if this process cannot listen.
	Listen(ctx context.Context, heard func(text string)) error
}

// Signal says that something has changed; who wants to know what reads it. Observers
// of [Service.Watch] get those of other processes; [SignalOf] makes one of any
// observation. It holds nothing but names.
type Signal struct {
	Ref    Ref    `json:"r"`           // the integration; its ID is empty if it concerns none
	Topic  string `json:"t"`           // "integrations", "runs", "webhooks", "health", "audit", "flags", "breakers"
	Action string `json:"a,omitempty"` // what happened to it
	RunID  string `json:"i,omitempty"` // for "runs"
}

// SignalsMissed says that other processes may have done anything: those of
// [Service.Watch] who show what there is read it again.
type SignalsMissed struct{}

func (Signal) observation()        {}
func (SignalsMissed) observation() {}

// SignalOf is what an observation says to those who only want to know where to look. It
// is false for those that change nothing that is stored.
func SignalOf(o Observation) (Signal, bool) {
	switch o := o.(type) {
	case Signal:
		return o, true
	case IntegrationChanged:
		return Signal{o.Ref, "integrations", o.Action, ""}, true
	case CredentialChanged:
		return Signal{o.Ref, "integrations", "credential." + o.Action, ""}, true
	case MappingChanged:
		return Signal{o.Ref, "integrations", "mapping." + o.Action, ""}, true
	case PageSynced:
		return Signal{o.Ref, "runs", "page", o.RunID}, true
	case BatchPushed:
		return Signal{o.Ref, "runs", "page", o.RunID}, true
	case SyncFinished:
		return Signal{o.Ref, "runs", "finished", o.RunID}, true
	case RunChanged:
		return Signal{o.Ref, "runs", o.Action, o.RunID}, true
	case ScheduleDue:
		return Signal{o.Ref, "runs", "schedule", o.RunID}, true
	case AuditRecorded:
		return Signal{Ref{o.Entry.Tenant, o.Entry.Integration}, "audit", o.Entry.Action, ""}, true
	case HealthChanged:
		return Signal{o.Change.Ref, "health", string(o.Change.To), ""}, true
	case WebhookReceived:
		return Signal{o.Ref, "webhooks", "received", ""}, true
	case WebhookRefused:
		return Signal{o.Ref, "webhooks", "refused", ""}, true
	case DeliveriesDone:
		return Signal{o.Ref, "webhooks", "done", ""}, true
	case DeliveryChanged:
		return Signal{o.Ref, "webhooks", o.Action, ""}, true
	case FlagChanged:
		return Signal{Ref{o.Target.Tenant, o.Target.Integration}, "flags", o.Action, ""}, true
	case BreakerChanged:
		if o.Open {
			return Signal{o.Ref, "breakers", "open", ""}, true
		}
		return Signal{o.Ref, "breakers", "close", ""}, true
	default:
		return Signal{}, false
	}
}

const (
	// signalInterval is how often a process tells of what it has done. PostgreSQL takes
	// one lock for all commits that notify: they must be few.
	signalInterval = 500 * time.Millisecond
	// maxSignals are told at a time; of more it is told that they were too many.
	maxSignals = 200
	// maxNotify bounds one text, in bytes.
	maxNotify = 7_900
)

// signals are what other processes are still to be told of, each once.
type signals struct {
	mu      sync.Mutex
	used    bool // there is somebody to send them
	pending []Signal
	known   map[Signal]struct{}
	lost    bool
}

func (s *signals) note(o Observation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.used || s.lost {
		return
	}
	signal, ok := SignalOf(o)
	if _, known := s.known[signal]; !ok || known {
		return
	}
	if len(s.pending) >= maxSignals {
		s.pending, s.known, s.lost = nil, nil, true
		return
	}
	if s.known == nil {
		s.known = map[Signal]struct{}{}
	}
	s.known[signal] = struct{}{}
	s.pending = append(s.pending, signal)
}

// take gives what is pending and begins anew.
func (s *signals) take() (pending []Signal, lost bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	pending, lost, s.used = s.pending, s.lost, true
	s.pending, s.known, s.lost = nil, nil, false
	return pending, lost
}

// signalText is what processes send one another.
type signalText struct {
	Node    string   `json:"n"` // which has sent it
	Signals []Signal `json:"s,omitempty"`
	Lost    bool     `json:"l,omitempty"` // there were too many
}

// sendSignals tells other processes of what has happened here since the last time.
func (s *Service) sendSignals(ctx context.Context) error {
	notifier, ok := s.store.(Notifier)
	if !ok {
		<-ctx.Done()
		return nil
	}
	pending, lost := s.signals.take()
	if len(pending) == 0 && !lost {
		return nil
	}
	text, err := json.Marshal(signalText{Node: s.meter.node, Signals: pending, Lost: lost})
	if err == nil && len(text) > maxNotify { // hardly ever: the names are long
		text, err = json.Marshal(signalText{Node: s.meter.node, Lost: true})
	}
	if err != nil {
		return err
	}
	return wrap("tell other processes", ErrStore, notifier.Notify(ctx, string(text)))
}

// hearSignals passes on what other processes tell, until ctx ends.
func (s *Service) hearSignals(ctx context.Context) error {
	notifier, ok := s.store.(Notifier)
	if ok {
		err := notifier.Listen(ctx, func(text string) { s.heard(ctx, text) })
		if ok = !errors.Is(err, ErrUnsupported); ok {
			return wrap("hear other processes", ErrStore, err)
		}
	}
	<-ctx.Done()
	return nil
}

// heard is called for each text. One that is not as this version writes it says that
// there is something to look at.
func (s *Service) heard(ctx context.Context, text string) {
	var t signalText
	if json.Unmarshal([]byte(text), &t) != nil {
		t = signalText{Lost: true}
	}
	if t.Node == s.meter.node {
		return
	}
	if t.Lost {
		s.flags.refresh()
		s.breakerReads.read.Store(0)
		s.tellWatchers(ctx, SignalsMissed{})
	}
	for _, signal := range t.Signals {
		switch signal.Topic {
		case "flags":
			s.flags.refresh()
		case "breakers":
			s.breakerReads.read.Store(0)
		}
		s.tellWatchers(ctx, signal)
	}
}
