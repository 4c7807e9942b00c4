package enlace

import (
	"context"
	"slices"
	"strings"
	"time"
)

// EventHandler does what the host wants done about an event. An error has the
// delivery tried again later, with all its events.
type EventHandler func(ctx context.Context, e ReceivedEvent) error

// ReceivedEvent is an event on its way to the host.
type ReceivedEvent struct {
	Event
	Integration Integration
	DeliveryID  string
	// Key is the same for each try of the event and for its repetitions by the
	// provider, and another one for each replay: the idempotency key for effects
	// outside of the store's database.
	Key        string
	Signed     bool // the sender vouches for the content; otherwise it is a hint
	Attempt    int  // from 1
	Replay     int  // how often it was set back by hand; 0 for the first time
	ReceivedAt time.Time
}

// Processor is a handler of the host with what it wants to see. It has one of Handle
// and HandleTx.
type Processor struct {
	// Provider, Integration and Types choose events; each empty one chooses all. A
	// type that ends in "*" stands for all with that beginning.
	Provider    string
	Integration Ref
	Types       []string
	// Filter chooses further, if it is not nil.
	Filter func(e ReceivedEvent) bool
	// AfterSink runs the handler when the sink has the records that the event
	// tells of. Otherwise it runs before.
	AfterSink bool
	// HandleTx runs inside the transaction that marks the delivery done, which ctx
	// carries: what it writes there (see Tx of the stores) is there exactly once. It
	// makes no network call, and may run again if the transaction fails.
	HandleTx EventHandler
	// Handle runs outside of any transaction, with AfterSink after its end. It runs at
	// least once, so what it does must be idempotent by the event's Key. If one
	// that runs after the end fails, the delivery is tried again all the same, but
	// neither the sink nor a HandleTx sees the event again.
	Handle EventHandler
}

// wants says whether the processor is to see the event.
func (p Processor) wants(e ReceivedEvent) bool {
	if (p.Provider != "" && p.Provider != e.Integration.Provider) || (p.Integration != (Ref{}) && p.Integration != e.Integration.Ref) {
		return false
	}
	matches := func(pattern string) bool {
		prefix, open := strings.CutSuffix(pattern, "*")
		return pattern == e.Type || (open && strings.HasPrefix(e.Type, prefix))
	}
	if len(p.Types) > 0 && !slices.ContainsFunc(p.Types, matches) {
		return false
	}
	return p.Filter == nil || p.Filter(e)
}
